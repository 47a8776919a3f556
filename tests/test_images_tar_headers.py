"""The headers of an entry have a limit, however many of them there are and whatever they claim."""

from __future__ import annotations

import contextlib
import io
import tarfile
import tracemalloc
from collections.abc import Callable, Iterator

import pytest

from minirt.errors import InvalidRequest
from minirt.images.archive import Tar
from minirt.images.tars import Forward, entries, members

MiB = 1 << 20
MOST = 3 * MiB  # bytes of headers read before an archive is refused
MORE_THAN_THAT = 4  # MiB


class Pieces(io.RawIOBase):
    """A file made while it is read: an archive of any size takes no memory in the test itself."""

    def __init__(self, pieces: Iterator[bytes]) -> None:
        self.pieces, self.rest, self.count = pieces, b"", 0

    def read(self, size: int = -1) -> bytes:
        self.rest = self.rest or next(self.pieces, b"")
        data, self.rest = self.rest[:size], self.rest[size:]
        self.count += len(data)
        return data


def header(name: str, kind: bytes, size: int = 0) -> bytes:
    made = tarfile.TarInfo(name)
    made.type, made.size = kind, size
    return made.tobuf(tarfile.GNU_FORMAT)


def pax(kind: bytes, **records: str) -> bytes:
    made = b""
    for key, value in records.items():
        raw = f" {key.replace('__', '.')}={value}\n".encode()
        length = len(raw) + 1
        while len(str(length)) + len(raw) != length:
            length = len(str(length)) + len(raw)
        made += str(length).encode() + raw
    return header("pax", kind, len(made)) + made + bytes(-len(made) % 512)


def chained_pax() -> Iterator[bytes]:
    one = pax(tarfile.XHDTYPE, comment="x" * (MiB - 2000))
    yield from [one] * MORE_THAN_THAT


def chained_names() -> Iterator[bytes]:
    one = header("long", tarfile.GNUTYPE_LONGNAME, MiB) + b"x" * MiB
    yield from [one] * MORE_THAN_THAT


def global_pax() -> Iterator[bytes]:
    for number in range(MORE_THAN_THAT):
        yield pax(tarfile.XGLTYPE, **{f"key{number}": "x" * (MiB - 2000)})
        yield header(f"f{number}", tarfile.REGTYPE)


def sparse_map_of_gnu() -> Iterator[bytes]:
    first = bytearray(header("f", tarfile.GNUTYPE_SPARSE))
    first[386:482] = b"0" * 96
    first[482:495] = b"\1" + b"0" * 11 + b"\0"  # more follows; the size
    first[148:156] = b" " * 8
    first[148:156] = b"%06o\0 " % sum(first)
    yield bytes(first)
    more = b"00000000001\0" * 42 + b"\1" + bytes(7)
    yield from [more * 2048] * MORE_THAN_THAT
    yield b"00000000001\0" * 42 + bytes(8)


def sparse_map_of_pax() -> Iterator[bytes]:
    yield pax(tarfile.XHDTYPE, GNU__sparse__major="1", GNU__sparse__minor="0")
    yield header("f", tarfile.REGTYPE, MORE_THAN_THAT * MiB)
    yield (b"999999999\n" + b"1\n" * MiB)[:MiB]
    yield from [b"1\n" * (MiB // 2)] * MORE_THAN_THAT


WAYS = [chained_pax, chained_names, global_pax, sparse_map_of_gnu, sparse_map_of_pax]
each_way = pytest.mark.parametrize("way", WAYS)


def archive(way: Callable[[], Iterator[bytes]]) -> Pieces:
    def pieces() -> Iterator[bytes]:
        yield from way()
        yield header("f", tarfile.REGTYPE) + bytes(1024)

    return Pieces(pieces())


@each_way
def test_headers_do_not_fill_the_memory(way: Callable[[], Iterator[bytes]]) -> None:
    file = archive(way)
    with pytest.raises(InvalidRequest, match="headers"):
        list(entries(file))
    assert file.count < MOST


class Trusting(Forward):
    """The control: it does not count what belongs to one entry."""

    def read(self, size: int) -> bytes:
        return self._take(size)


@each_way
def test_a_reader_that_does_not_count_them_takes_them_all(
    way: Callable[[], Iterator[bytes]], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("minirt.images.tars._MOST_GLOBAL_KEYS", 1 << 60)
    monkeypatch.setattr("minirt.images.tars._LARGEST_GLOBAL", 1 << 60)
    file = archive(way)
    with contextlib.suppress(InvalidRequest):  # The map of a sparse file makes no sense.
        for _ in members(Trusting(file)):
            pass
    assert file.count > (MORE_THAN_THAT - 1) * MiB


def test_an_index_of_an_archive_keeps_no_headers() -> None:
    one = pax(tarfile.XHDTYPE, comment="x" * (MiB - 2000))
    entry = [one + header(f"f{number}", tarfile.REGTYPE) for number in range(32)]
    file = io.BytesIO(b"".join(entry) + bytes(1024))
    tracemalloc.start()
    try:
        index = Tar(file)
        held, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert index.has("f31")
    assert held < 2 * MiB


def test_an_index_of_an_archive_has_a_limit() -> None:
    long = pax(tarfile.XHDTYPE, path="x" * (MiB - 2000)) + header("f", tarfile.REGTYPE)
    file = io.BytesIO(long * 20 + bytes(1024))
    with pytest.raises(InvalidRequest, match="names"):
        Tar(file)


def test_headers_as_programs_write_them_are_taken() -> None:
    raw = pax(tarfile.XGLTYPE, comment="a commit of git archive")
    raw += pax(tarfile.XHDTYPE, path="d/" * 2000 + "f") + header("f", tarfile.REGTYPE)
    raw += header("long", tarfile.GNUTYPE_LONGNAME, 512) + b"n" * 511 + b"\0"
    raw += header("f", tarfile.REGTYPE, 3 * MiB) + bytes(3 * MiB) + bytes(1024)
    found = [(len(entry.name), entry.member.size) for entry in entries(io.BytesIO(raw))]
    assert found == [(4001, 0), (511, 3 * MiB)]


@pytest.mark.parametrize("size", [1 << 63, 10**30, -5])
def test_a_sparse_file_of_a_size_that_cannot_be_is_refused(size: int) -> None:
    raw = pax(tarfile.XHDTYPE, GNU__sparse__map="0,0", GNU__sparse__size=str(size))
    raw += header("f", tarfile.REGTYPE) + bytes(1024)
    with pytest.raises(InvalidRequest, match="sparse"):
        for entry in entries(io.BytesIO(raw)):
            list(entry.content())


@pytest.mark.parametrize("size", [(1 << 63) - 600, 1 << 63, 10**30])
def test_an_entry_larger_than_any_file_is_refused(size: int) -> None:
    raw = pax(tarfile.XHDTYPE, size=str(size)) + header("f", tarfile.REGTYPE) + bytes(1024)
    with pytest.raises(InvalidRequest):
        Tar(io.BytesIO(raw))
