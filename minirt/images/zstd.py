"""Zstandard (RFC 8878), by the library that dpkg and systemd use: libzstd.so.1.

Python has it from 3.14 on. Why not a package: docs/decisions/zstd-by-ctypes.md.
The window is limited to 128 MiB by the library (ZSTD_WINDOWLOG_LIMIT_DEFAULT).
"""

from __future__ import annotations

import ctypes

from minirt.errors import NotFound
from minirt.images.streams import Readable


class _Buffer(ctypes.Structure):
    """ZSTD_inBuffer and ZSTD_outBuffer of zstd.h: they differ in nothing but a const."""

    _fields_ = (
        ("start", ctypes.c_void_p),
        ("size", ctypes.c_size_t),
        ("position", ctypes.c_size_t),
    )


class Reader:
    """A compressed stream as it was before; frames one after another are one stream."""

    def __init__(self, source: Readable) -> None:
        self.library = _library()
        self.stream = self.library.ZSTD_createDStream()
        self.source, self.inside = source, True  # Inside a frame until libzstd says 0.
        self.data = ctypes.create_string_buffer(0)
        self.plain = ctypes.create_string_buffer(0)
        self.input = _Buffer(None, 0, 0)

    def read(self, size: int) -> bytes:
        """Return at most ``size`` bytes; none at the end. Raises EOFError, ValueError."""
        if size > len(self.plain):
            self.plain = ctypes.create_string_buffer(size)
        output = _Buffer(ctypes.addressof(self.plain), size, 0)
        while output.position == 0:
            more = self.input.position < self.input.size or self._filled()
            left = self.library.ZSTD_decompressStream(
                self.stream, ctypes.byref(output), ctypes.byref(self.input)
            )
            if self.library.ZSTD_isError(left):
                raise ValueError(self.library.ZSTD_getErrorName(left).decode())
            if not more and output.position == 0:
                if self.inside:
                    raise EOFError("it ends too early")
                return b""
            self.inside = left != 0
        return ctypes.string_at(self.plain, output.position)

    def _filled(self) -> bool:
        data = self.source.read(1 << 17)
        self.data = ctypes.create_string_buffer(data, len(data))
        self.input = _Buffer(ctypes.addressof(self.data), len(data), 0)
        return bool(data)

    def __del__(self) -> None:
        self.library.ZSTD_freeDStream(self.stream)


def _library() -> ctypes.CDLL:
    try:
        library = ctypes.CDLL("libzstd.so.1")
    except OSError as error:
        remedy = "Install it: apt-get install libzstd1."
        raise NotFound("This archive is compressed with zstd", str(error), remedy) from error
    library.ZSTD_createDStream.restype = ctypes.c_void_p
    library.ZSTD_freeDStream.argtypes = (ctypes.c_void_p,)
    library.ZSTD_decompressStream.argtypes = (ctypes.c_void_p, *[ctypes.POINTER(_Buffer)] * 2)
    library.ZSTD_decompressStream.restype = ctypes.c_size_t
    library.ZSTD_isError.argtypes = (ctypes.c_size_t,)
    library.ZSTD_getErrorName.argtypes = (ctypes.c_size_t,)
    library.ZSTD_getErrorName.restype = ctypes.c_char_p
    return library
