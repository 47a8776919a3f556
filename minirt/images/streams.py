"""Compressed streams, read without trust: how much came out is watched against what went in.

Everything is decompressed in this process. A program called for it would be one more thing
that could be found in the wrong place. (OCI image-spec, layer.md: tar, gzip and zstd.)
"""

from __future__ import annotations

import io
from typing import TYPE_CHECKING, Protocol

from minirt.errors import InvalidRequest

if TYPE_CHECKING:
    import hashlib
    import lzma

CHUNK = 1 << 20

# A stream of zeros shrinks a thousandfold with gzip, more with others; real layers shrink 2 to
# 20 times. Below the first number of bytes the ratio doesn't matter: there it does no harm.
_HARMLESS = 1 << 30
_STEEPEST = 200
_XZ_MEMORY = 256 << 20  # bytes; xz -9 needs 65 MiB
_XZ_PIECE = 1 << 15  # bytes; what is left of one is copied at the end of each stream in it


class Readable(Protocol):
    """What can be read in pieces."""

    def read(self, size: int, /) -> bytes:
        """Return at most ``size`` bytes; none at the end."""


def sha256(data: bytes = b"") -> hashlib._Hash:
    """Return the SHA-256 of ``data``, to be updated.

    Imported late: the fork server would have 4 MB of OpenSSL's, which few commands need.
    """
    import hashlib

    return hashlib.sha256(data)


class Counted:
    """A stream that knows how much was read from it, and the digest of that."""

    def __init__(self, source: Readable) -> None:
        self.source, self.count, self._hash = source, 0, sha256()

    def read(self, size: int = CHUNK) -> bytes:
        """Return at most ``size`` bytes; none at the end."""
        data = self.source.read(size)
        self.count += len(data)
        self._hash.update(data)
        return data

    @property
    def digest(self) -> str:
        """Return the digest of all that has been read: ``sha256:…``."""
        return f"sha256:{self._hash.hexdigest()}"


class Unpacked:
    """A compressed stream as it was before; refuses one that is made to fill the disk."""

    def __init__(self, source: Readable, limit: int) -> None:
        self.packed = _Metered(source)
        self.compression = compression_of(self.packed.peek())
        self.plain, self.limit, self.count = _opened(self.packed, self.compression), limit, 0

    def read(self, size: int = CHUNK) -> bytes:
        """Return at most ``size`` bytes; none at the end. Raises InvalidRequest."""
        try:
            data: bytes = self.plain.read(size)
        except (EOFError, ArithmeticError, OSError, ValueError, _zlib_error()) as error:
            if isinstance(error, OSError) and error.errno:
                raise
            raise InvalidRequest(
                "This archive is damaged", f"{self.compression}: {error}"
            ) from error
        self.count += len(data)
        if self.count > self.limit:
            raise InvalidRequest(
                "This archive is too large", f"it unpacks to more than {self.limit >> 20} MiB"
            )
        if self.count > _HARMLESS and self.count > _STEEPEST * self.packed.count:
            why = f"it unpacks to more than {_STEEPEST} times its size, as made to fill the disk"
            remedy = "If you trust it, decompress it yourself and import the result."
            raise InvalidRequest("This archive is refused", why, remedy)
        return data


def compression_of(head: bytes) -> str:
    """Tell the compression of a stream by its first bytes: "gzip", "zstd", … or "" for none."""
    magics = {
        b"\x1f\x8b": "gzip",
        b"\x28\xb5\x2f\xfd": "zstd",
        b"\xfd7zXZ\0": "xz",
        b"BZh": "bzip2",
    }
    if head[1:4] == b"\x2a\x4d\x18" and head[0] >> 4 == 5:
        return "zstd"  # a frame to be skipped comes first (RFC 8878, 3.1.2), as pzstd writes it
    return next((name for magic, name in magics.items() if head.startswith(magic)), "")


class _Metered(io.RawIOBase):
    """A source with a look ahead, that counts what was taken from it."""

    def __init__(self, source: Readable) -> None:
        self.source, self.count, self._ahead = source, 0, b""

    def peek(self) -> bytes:
        self._ahead = self.source.read(8)
        return self._ahead

    def readable(self) -> bool:
        return True

    def read(self, size: int = -1) -> bytes:
        if self._ahead and size:
            data = self._ahead[:size] if size > 0 else self._ahead
            self._ahead = self._ahead[len(data) :]
        else:
            data = self.source.read(CHUNK if size < 0 else size)
        self.count += len(data)
        return data


def _opened(packed: _Metered, compression: str) -> Readable:
    if compression == "gzip":
        import gzip

        return gzip.GzipFile(fileobj=packed, mode="rb")
    if compression == "zstd":
        from minirt.images.zstd import Reader

        return Reader(packed)
    if compression == "bzip2":
        import bz2

        return bz2.BZ2File(packed)
    if compression == "xz":
        return _Xz(packed)
    return packed


class _Xz:
    """The one decompressor of the standard library whose file object takes no memory limit.

    A file may be several streams one after another, with zeros between them, as ``cat a.xz b.xz``
    and parallel compressors make it (the .xz file format, 1.1.1): each has its own decompressor.
    """

    def __init__(self, packed: _Metered) -> None:
        import lzma

        self.packed, self.lzma, self.data = packed, lzma, b""
        self.decompressor: lzma.LZMADecompressor | None = None

    def read(self, size: int) -> bytes:
        while decompressor := self.decompressor or self._next_stream():
            if decompressor.needs_input and not self.data:
                self.data = self.packed.read(_XZ_PIECE)
                if not self.data:
                    raise EOFError("it ends too early")
            try:
                plain = decompressor.decompress(self.data, size)
            except self.lzma.LZMAError as error:
                raise ValueError(str(error)) from error
            self.data = b""
            if decompressor.eof:
                self.data, self.decompressor = decompressor.unused_data, None
            if plain:
                return plain
        return b""

    def _next_stream(self) -> lzma.LZMADecompressor | None:
        """Skip zeros; return the decompressor of the stream that follows, if there is one."""
        self.data = self.data.lstrip(b"\0")
        while not self.data:
            more = self.packed.read(_XZ_PIECE)
            if not more:
                return None
            self.data = more.lstrip(b"\0")
        self.decompressor = self.lzma.LZMADecompressor(self.lzma.FORMAT_XZ, memlimit=_XZ_MEMORY)
        return self.decompressor


def _zlib_error() -> type[Exception]:
    import zlib

    return zlib.error
