"""Archives are read without trust: nothing here touches the file system."""

from __future__ import annotations

import io
import tarfile

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from minirt.errors import InvalidRequest
from minirt.images.tars import Entry, entries


def archive(*members: tuple[tarfile.TarInfo, bytes], form: int = tarfile.PAX_FORMAT) -> bytes:
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w", format=form) as tar:
        for header, content in members:
            header.size = len(content)
            tar.addfile(header, io.BytesIO(content))
    return out.getvalue()


def header(name: str, **fields: object) -> tarfile.TarInfo:
    made = tarfile.TarInfo(name)
    for key, value in fields.items():
        setattr(made, key, value)
    return made


def read(raw: bytes) -> list[tuple[bytes, bytes]]:
    def content(entry: Entry) -> bytes:
        if not entry.member.isreg():
            return b""
        return b"".join(data for _, data in entry.content())

    return [(entry.name, content(entry)) for entry in entries(io.BytesIO(raw))]


@pytest.mark.parametrize("form", [tarfile.USTAR_FORMAT, tarfile.GNU_FORMAT, tarfile.PAX_FORMAT])
def test_entries_come_with_their_content(form: int) -> None:
    raw = archive((header("a"), b"one"), (header("b/c"), b"two" * 1000), form=form)
    assert read(raw) == [(b"a", b"one"), (b"b/c", b"two" * 1000)]


def test_content_that_nobody_asks_for_is_skipped() -> None:
    raw = archive((header("a"), b"x" * 5000), (header("b"), b"y"))
    assert [entry.name for entry in entries(io.BytesIO(raw))] == [b"a", b"b"]


def test_names_that_are_no_utf8_keep_their_bytes() -> None:
    raw = archive((header("\udcff\udcfe"), b""), form=tarfile.GNU_FORMAT)
    assert read(raw) == [(b"\xff\xfe", b"")]


def test_long_names_and_attributes_come_from_pax_headers() -> None:
    attributes = {"SCHILY.xattr.user.x": "\udcff\udc80", "SCHILY.xattr.security.capability": "c"}
    raw = archive((header("n" * 200, pax_headers=attributes), b"x"))
    (entry,) = entries(io.BytesIO(raw))
    assert entry.name == b"n" * 200
    assert set(entry.xattrs) == {"user.x", "security.capability"}


@pytest.mark.parametrize("mtime", ["nan", "inf", "-1e300", "1e300"])
def test_times_that_no_file_has_are_made_bearable(mtime: str) -> None:
    raw = archive((header("a", pax_headers={"mtime": mtime}), b""))
    (entry,) = entries(io.BytesIO(raw))
    assert abs(entry.nanoseconds) <= (1 << 33) * 1_000_000_000


@pytest.mark.parametrize(
    "raw",
    [
        b"",
        b"no tar at all, but long enough to be looked at" * 20,
        archive((header("a"), b"x"))[:512] + b"garbage!" * 128,
        archive((header("a"), b"x" * 2000))[:1200],
        archive((header("a"), b"x"), (header("b"), b""))[:1024] + b"\x01" * 512,
        archive((header("a", pax_headers={"uid": str(1 << 40)}), b"x")),
        archive((header("a", pax_headers={"path": "a\0/../b"}), b"x")),
        archive((header("a", pax_headers={"comment": "x" * (2 << 20)}), b"x")),
    ],
    ids=["empty", "text", "cut", "short", "garbage", "owner", "zero byte", "huge header"],
)
def test_an_archive_that_is_none_is_refused(raw: bytes) -> None:
    with pytest.raises(InvalidRequest):
        read(raw)


@settings(max_examples=150)
@given(st.data())
def test_an_archive_with_wrong_bytes_is_read_or_refused(data: st.DataObject) -> None:
    raw = bytearray(archive((header("a" * 120), b"x" * 700), (header("b"), b"y")))
    for _ in range(data.draw(st.integers(1, 4))):
        raw[data.draw(st.integers(0, len(raw) - 1))] = data.draw(st.integers(0, 255))
    try:
        read(bytes(raw[: data.draw(st.integers(0, len(raw)))]))
    except InvalidRequest:
        pass
