"""Reads tar archives that nobody vouches for, entry by entry, without seeking.

The standard library's tarfile knows the formats (ustar, PAX, GNU, sparse files). What it lacks
is distrust: it reads headers of any size and any number into memory before it returns an entry,
and takes garbage between two entries for the end. That is added here. Nothing touches the file
system.
"""

from __future__ import annotations

import math
import tarfile
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from minirt.errors import InvalidRequest, in_quotes
from minirt.images.streams import CHUNK, Readable

_MOST_ENTRIES = 2_000_000
_LONGEST_NAMES = 256 << 20  # characters, all names together
_LARGEST_HEADERS = 1 << 20  # bytes, all headers of one entry: what Go's archive/tar allows for one
_MOST_GLOBAL_KEYS = 100  # keywords of all global PAX headers
_LARGEST_GLOBAL = 64 << 10  # characters of all global PAX headers
_LARGEST_OFFSET = (1 << 63) - 1  # bytes of a file, off_t
_XATTR = "SCHILY.xattr."  # the key under which star, GNU tar and Go keep them
_DISTANT = 1 << 33  # seconds: a time beyond ext4's is not worth an error
_LARGEST_ID = (1 << 32) - 2  # -1 means "don't change" to chown(2)
_TARFILES_OWN = (tarfile.TarError, ValueError, OverflowError, MemoryError, RecursionError)


class Forward:
    """A stream as tarfile wants it, which only goes forward, in pieces of a bearable size.

    A header can't ask for gigabytes of memory, and can't lead back and round in circles
    (CVE-2025-8194). Nor can many headers do so together: tarfile keeps every extended header and
    the whole map of a sparse file until the entry itself follows, so what it reads on the way to
    one entry has a limit as well (as in Go's archive/tar since CVE-2025-58183).
    """

    def __init__(self, source: Readable) -> None:
        self.source, self.position, self.last = source, 0, b""
        self.header_bytes_left: int | None = None  # None: what is read now is no header

    def tell(self) -> int:
        """Return how many bytes have been read."""
        return self.position

    def seekable(self) -> bool:
        """Say that it can be sought in; forward is enough for who reads from front to back."""
        return True

    def seek(self, position: int, _whence: int = 0) -> int:
        """Skip to ``position``. Raises InvalidRequest if that lies behind."""
        if position < self.position:
            raise damaged("it leads back to what has been read")
        while self.position < position and self._take(min(CHUNK, position - self.position)):
            pass
        return self.position

    def read(self, size: int) -> bytes:
        """Return ``size`` bytes, fewer only at the end. Raises InvalidRequest."""
        if not 0 <= size <= CHUNK:
            raise damaged(f"a header claims to have {size} bytes")
        if self.header_bytes_left is not None:
            self.header_bytes_left -= size
            if self.header_bytes_left < 0:
                raise damaged(f"an entry has more than {_LARGEST_HEADERS >> 20} MiB of headers")
        return self._take(size)

    def _take(self, size: int) -> bytes:
        pieces, missing = [], size
        while missing and (data := self.source.read(missing)):
            pieces.append(data)
            missing -= len(data)
        self.last = b"".join(pieces)
        self.position += len(self.last)
        return self.last


@dataclass(frozen=True, slots=True)
class Entry:
    """One entry of an archive, its numbers checked, its name not."""

    name: bytes
    member: tarfile.TarInfo
    archive: tarfile.TarFile

    @property
    def link(self) -> bytes:
        """Return what a link names."""
        return _path(self.member.linkname)

    @property
    def mode(self) -> int:
        """Return the permissions, with set-user-ID and its like."""
        return self.member.mode & 0o7777

    @property
    def nanoseconds(self) -> int:
        """Return when it was last changed, since the epoch."""
        time = self.member.mtime
        if not math.isfinite(time):
            return 0
        return int(max(-_DISTANT, min(time, _DISTANT)) * 1_000_000_000)

    @property
    def xattrs(self) -> dict[str, bytes]:
        """Return the extended attributes that the archive claims."""
        return {
            key.removeprefix(_XATTR): _raw(value)
            for key, value in self.member.pax_headers.items()
            if key.startswith(_XATTR)
        }

    @property
    def bytes_held(self) -> int:
        """Return how many bytes of content the archive has: the holes of a file are none."""
        return sum(size for _, size in self._pieces())

    def content(self) -> Iterator[tuple[int, bytes]]:
        """Yield the content of a file as offsets and bytes; what lies between is a hole."""
        file = self.archive.extractfile(self.member)
        assert file is not None
        for offset, size in self._pieces():
            file.seek(offset)
            position, end = offset, offset + size
            while position < end:
                try:
                    data = file.read(min(CHUNK, end - position))
                except tarfile.TarError as error:
                    raise damaged(str(error)) from error
                if not data:
                    raise damaged("it ends within a file")
                yield position, data
                position += len(data)

    def _pieces(self) -> list[tuple[int, int]]:
        pieces: Any = getattr(self.member, "sparse", None)
        if pieces is None:
            return [(0, self.member.size)]
        if not 0 <= self.member.size <= _LARGEST_OFFSET:
            raise damaged("a sparse file has a size that cannot be")
        end, held = 0, [piece for piece in pieces if piece[1]]  # unused places in the map are zero
        for offset, size in held:
            if offset < end or size < 0 or offset + size > self.member.size:
                raise damaged("the holes of a sparse file are where they can't be")
            end = offset + size
        return held


def entries(source: Readable) -> Iterator[Entry]:
    """Yield the entries of an archive; the content of each is there until the next is asked for.

    Raises InvalidRequest.
    """
    for member, archive in members(Forward(source)):
        if not 0 <= member.uid <= _LARGEST_ID or not 0 <= member.gid <= _LARGEST_ID:
            raise damaged(f"{in_quotes(member.name[:200])} has an owner that cannot be")
        yield Entry(_path(member.name), member, archive)


def members(stream: Forward) -> Iterator[tuple[tarfile.TarInfo, tarfile.TarFile]]:
    """Yield what tarfile understands of an archive. Raises InvalidRequest."""
    file: Any = stream
    stream.header_bytes_left = _LARGEST_HEADERS  # the constructor reads the first entry's headers
    try:
        with tarfile.TarFile(fileobj=file, mode="r", encoding="utf-8") as archive:
            count = names = 0
            while (member := _next(archive, stream)) is not None:
                count += 1
                names += len(member.name)
                if count > _MOST_ENTRIES or names > _LONGEST_NAMES:
                    raise damaged("it has more entries than any layer")
                yield member, archive
                archive.members.clear()  # type: ignore[attr-defined]  # else all stay in memory
    except _TARFILES_OWN as error:
        raise damaged(str(error)) from error
    if any(stream.last):  # An archive ends with zeros; tarfile takes any nonsense for its end.
        raise damaged("there is something between its entries")


def _next(archive: tarfile.TarFile, stream: Forward) -> tarfile.TarInfo | None:
    """Read the headers of one entry."""
    stream.header_bytes_left = _LARGEST_HEADERS
    member = archive.next()
    stream.header_bytes_left = None
    known = archive.pax_headers  # the global ones, which tarfile adds up and keeps
    if len(known) > _MOST_GLOBAL_KEYS or sum(map(len, [*known, *known.values()])) > _LARGEST_GLOBAL:
        raise damaged("its global headers are larger than any program writes")
    return member


def damaged(why: str) -> InvalidRequest:
    """Return the error for an archive that can't be what it says."""
    return InvalidRequest("This is no tar archive that can be used", why)


def _path(text: str) -> bytes:
    if "\0" in text:
        raise damaged(f"the name {in_quotes(text[:200])} holds a zero byte")
    return _raw(text)


def _raw(text: str) -> bytes:
    return text.encode("utf-8", "surrogateescape")
