"""Archives of images, as files by name: a tar, or a folder.

``docker save``, ``podman save`` and skopeo write tars whose parts come in any order, so they
are read here and there, not from front to back: what comes through a pipe or compressed is
written to the disk first. Only the names that somebody asks for are read, nothing is unpacked.
"""

from __future__ import annotations

import os
import stat
import tarfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO, NamedTuple, Protocol

from minirt.errors import in_quotes, kernel_refused
from minirt.images.layout import LARGEST_DOCUMENT
from minirt.images.streams import CHUNK, Readable, Unpacked, compression_of
from minirt.images.tars import Forward, damaged, members
from minirt.kernel.beneath import open_beneath
from minirt.state import private

_MOST_MEMBERS = 100_000
_LONGEST_NAMES = 16 << 20  # characters, all names and targets of links together
_LARGEST = 256 << 30  # bytes of an archive that has to be written to the disk first
_LONGEST_CHAIN = 8  # links: old archives say that way that two images share a layer


class Archive(Protocol):
    """Files by name."""

    def has(self, name: str) -> bool:
        """Say whether there is such a file."""

    def open(self, name: str) -> Readable:
        """Open a file. Raises InvalidRequest."""


class Tar:
    """A tar archive in a file that can be read here and there."""

    def __init__(self, file: BinaryIO) -> None:
        self.file, self.start = file, file.tell()
        self.members: dict[str, _Place | _Link | None] = {}  # None: neither a file nor a link
        characters = 0
        for count, (member, _) in enumerate(members(_SkippingFile(file)), 1):
            self.members[_plain(member.name)] = _found(member)
            characters += len(member.name) + len(member.linkname)
            if count > _MOST_MEMBERS or characters > _LONGEST_NAMES:
                raise damaged(f"it has more than {_MOST_MEMBERS} entries, or very long names")

    def has(self, name: str) -> bool:
        """Say whether there is such a file."""
        return name in self.members

    def open(self, name: str) -> Readable:
        """Open a file. Raises InvalidRequest."""
        for _ in range(_LONGEST_CHAIN):
            if name not in self.members:
                raise damaged(f"it lacks {in_quotes(name[:200])}")
            found = self.members[name]
            if isinstance(found, _Place):
                return _Slice(self.file, self.start + found.offset, found.size)
            if found is None:
                break
            above = "" if found.is_hard else name.rpartition("/")[0]
            name = _plain(os.path.normpath(f"{above}/{found.target}"))
        raise damaged(f"its {in_quotes(name[:200])} is no file")


class _Place(NamedTuple):
    """Where the content of a file is in its archive."""

    offset: int
    size: int


class _Link(NamedTuple):
    """Another name of a member."""

    target: str
    is_hard: bool


def _found(member: tarfile.TarInfo) -> _Place | _Link | None:
    """Return what is needed of an entry: tarfile's own record keeps its headers in memory."""
    if member.isreg() and not member.issparse():
        return _Place(member.offset_data, member.size)
    if member.issym() or member.islnk():
        return _Link(member.linkname, member.islnk())
    return None


class _SkippingFile(Forward):
    """A file that is skipped through without reading it."""

    def __init__(self, file: BinaryIO) -> None:
        super().__init__(file)
        self.file, self.start = file, file.tell()

    def seek(self, position: int, _whence: int = 0) -> int:
        if position >= self.position:
            self.position = position
            try:
                self.file.seek(self.start + position)
            except OSError as error:  # beyond what lseek(2) takes
                raise damaged(f"an entry claims to be very large: {error.strerror}") from error
            return position
        return super().seek(position)


class _Slice:
    """One member of an archive."""

    def __init__(self, file: BinaryIO, start: int, size: int) -> None:
        self.file, self.position, self.left = file, start, size

    def read(self, size: int, /) -> bytes:
        self.file.seek(self.position)
        data = self.file.read(min(size, self.left))
        self.position += len(data)
        self.left -= len(data)
        return data


class Folder:
    """A folder that somebody has made: an OCI layout, or an archive that was unpacked."""

    def __init__(self, fd: int) -> None:
        self.fd = fd

    def has(self, name: str) -> bool:
        """Say whether there is such a file."""
        try:
            os.close(open_beneath(self.fd, name))
        except OSError:
            return False
        return True

    def open(self, name: str) -> Readable:
        """Open a file. Raises InvalidRequest."""
        try:
            fd = open_beneath(self.fd, name, os.O_RDONLY | os.O_NONBLOCK | os.O_NOCTTY)
        except OSError as error:
            raise damaged(f"{in_quotes(name[:200])}: {error.strerror}") from error
        except UnicodeEncodeError:  # half of a surrogate pair, which JSON can spell
            raise damaged(f"it lacks {in_quotes(name[:200])}") from None
        if not stat.S_ISREG(os.fstat(fd).st_mode):
            os.close(fd)
            raise damaged(f"its {in_quotes(name[:200])} is no file")
        return os.fdopen(fd, "rb")


@contextmanager
def opened(source: BinaryIO | Path, place: Path) -> Iterator[Archive]:
    """Open an archive for the time of a ``with``; ``place`` is a scratch folder.

    Raises InvalidRequest, KernelRefused.
    """
    if isinstance(source, Path):
        try:
            fd = os.open(source, os.O_RDONLY | os.O_CLOEXEC)
        except OSError as error:
            raise kernel_refused("Cannot read the archive", error) from error
        if stat.S_ISDIR(os.fstat(fd).st_mode):
            try:
                yield Folder(fd)
            finally:
                os.close(fd)
            return
        with os.fdopen(fd, "rb") as file, opened(file, place) as archive:
            yield archive
        return
    if source.seekable() and not compression_of(_head(source)):
        yield Tar(source)
        return
    spooled = place / "archive"
    with open(spooled, "wb", opener=private) as written:
        stream = Unpacked(source, _LARGEST)
        while data := stream.read(CHUNK):
            written.write(data)
    with spooled.open("rb") as file:
        yield Tar(file)


def read(archive: Archive, name: str) -> bytes:
    """Read a small file. Raises InvalidRequest."""
    file, pieces, count = archive.open(name), [], 0
    while data := file.read(CHUNK):
        pieces.append(data)
        count += len(data)
        if count > LARGEST_DOCUMENT:
            raise damaged(f"its {in_quotes(name[:200])} has more than {LARGEST_DOCUMENT >> 20} MiB")
    return b"".join(pieces)


def _head(file: BinaryIO) -> bytes:
    start = file.tell()
    head = file.read(8)
    file.seek(start)
    return head


def _plain(name: str) -> str:
    return name.removeprefix("./").strip("/")
