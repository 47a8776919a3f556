"""Reads tar archives that nobody vouches for, entry by entry, without seeking.

The standard library's tarfile knows the formats (ustar, PAX, GNU, sparse files). What it lacks
is distrust: it reads a header of any size into memory, and takes garbage between two entries
for the end. :class:`Header` adds that. Nothing here touches the file system.
"""

from __future__ import annotations

import math
import tarfile
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from minirt.errors import InvalidRequest
from minirt.images.streams import CHUNK, Readable

_MOST_ENTRIES = 2_000_000
_LARGEST_HEADER = 1 << 20  # bytes of a PAX header or a long name: xattrs end at 64 KiB each
_XATTR = "SCHILY.xattr."  # the key under which star, GNU tar and Go keep them
_DISTANT = 1 << 33  # seconds: a time beyond ext4's is not worth an error
_LARGEST_ID = (1 << 32) - 2  # -1 means "don't change" to chown(2)
_EXTENSIONS = {
    tarfile.XHDTYPE,
    tarfile.XGLTYPE,
    tarfile.SOLARIS_XHDTYPE,
    tarfile.GNUTYPE_LONGNAME,
    tarfile.GNUTYPE_LONGLINK,
}


class Header(tarfile.TarInfo):
    """A header that refuses what tarfile would swallow."""

    @classmethod
    def frombuf(cls, buf: bytes | bytearray, encoding: str, errors: str) -> Header:
        """Read one block of 512 bytes. Raises InvalidRequest."""
        try:
            header = super().frombuf(buf, encoding, errors)
        except tarfile.HeaderError as error:
            if type(error).__name__ in ("EOFHeaderError", "EmptyHeaderError"):
                raise  # the two that mean an end
            raise damaged(str(error)) from error
        if header.size < 0 or (header.type in _EXTENSIONS and header.size > _LARGEST_HEADER):
            raise damaged(f"a header claims to have {header.size} bytes")
        return header


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
        raw: Any = file.raw  # type: ignore[attr-defined]  # the buffer above it wants to seek back
        for offset, size in self._pieces():
            raw.seek(offset)
            position, end = offset, offset + size
            while position < end:
                try:
                    data = raw.read(min(CHUNK, end - position))
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
    stream: Any = source
    options: Any = {"tarinfo": Header, "bufsize": CHUNK, "encoding": "utf-8"}
    try:
        with tarfile.open(fileobj=stream, mode="r|", **options) as archive:
            count = 0
            while (member := archive.next()) is not None:
                count += 1
                if count > _MOST_ENTRIES:
                    raise damaged(f"it has more than {_MOST_ENTRIES} entries")
                yield Entry(_name(member), member, archive)
                archive.members.clear()  # type: ignore[attr-defined]  # else all stay in memory
    except (tarfile.TarError, ValueError, OverflowError, MemoryError, RecursionError) as error:
        raise damaged(str(error)) from error


def damaged(why: str) -> InvalidRequest:
    """Return the error for an archive that can't be what it says."""
    return InvalidRequest("This is no tar archive that can be used", why)


def _name(member: tarfile.TarInfo) -> bytes:
    if not 0 <= member.uid <= _LARGEST_ID or not 0 <= member.gid <= _LARGEST_ID:
        raise damaged(f"{member.name[:200]!r} has an owner that cannot be")
    return _path(member.name)


def _path(text: str) -> bytes:
    if "\0" in text:
        raise damaged(f"the name {text[:200]!r} holds a zero byte")
    return _raw(text)


def _raw(text: str) -> bytes:
    return text.encode("utf-8", "surrogateescape")
