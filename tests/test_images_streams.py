from __future__ import annotations

import bz2
import gzip
import io
import lzma
import shutil
import subprocess
import tempfile
from collections.abc import Callable

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from minirt.errors import InvalidRequest
from minirt.images import streams
from minirt.images.streams import CHUNK, Counted, Readable, Unpacked, compression_of


def zstd(data: bytes) -> bytes:
    done = subprocess.run(["zstd", "-qc"], input=data, capture_output=True, check=True)
    return done.stdout


COMPRESSIONS: dict[str, Callable[[bytes], bytes]] = {
    "": bytes,
    "bzip2": bz2.compress,
    "gzip": gzip.compress,
    "xz": lzma.compress,
    "zstd": zstd,
}
each_compression = pytest.mark.parametrize("name", COMPRESSIONS)


def packed(name: str, data: bytes) -> bytes:
    if name == "zstd" and shutil.which("zstd") is None:
        pytest.skip("the zstd program, which makes the test's data, is not installed")
    return COMPRESSIONS[name](data)


def whole(stream: Readable, size: int = 1 << 16) -> bytes:
    pieces = []
    while data := stream.read(size):
        pieces.append(data)
    return b"".join(pieces)


@each_compression
def test_a_stream_is_recognised_and_read(name: str) -> None:
    data = bytes(range(256)) * 5000
    file = io.BytesIO(packed(name, data))
    stream = Unpacked(file, 1 << 30)
    assert stream.compression == name
    assert whole(stream) == data


@pytest.mark.parametrize("name", sorted(set(COMPRESSIONS) - {""}))  # plain has no end of its own
def test_a_stream_that_is_cut_is_refused(name: str) -> None:
    data = packed(name, bytes(range(256)) * 5000)
    with pytest.raises(InvalidRequest, match="damaged"):
        whole(Unpacked(io.BytesIO(data[:-5]), 1 << 30))


@pytest.mark.parametrize("name", ["bzip2", "gzip", "xz", "zstd"])
def test_a_stream_with_a_flipped_bit_is_refused_or_differs(name: str) -> None:
    data = bytes(range(256)) * 500
    wrong = bytearray(packed(name, data))
    wrong[len(wrong) // 2] ^= 0x10
    try:
        assert whole(Unpacked(io.BytesIO(bytes(wrong)), 1 << 30)) != data
    except InvalidRequest:
        pass


def test_two_frames_are_one_stream() -> None:
    for name in ("gzip", "zstd", "bzip2", "xz"):
        data = packed(name, b"one") + packed(name, b"two")
        assert whole(Unpacked(io.BytesIO(data), 1 << 30)) == b"onetwo"


def test_what_the_format_allows_between_frames_is_skipped() -> None:
    skipped = b"\x5a\x2a\x4d\x18\x05\0\0\0hello"  # RFC 8878, 3.1.2
    between = {"zstd": [skipped], "xz": [bytes(4), bytes(CHUNK)], "gzip": [bytes(100)]}
    for name, fillings in between.items():
        for filling in fillings:
            data = packed(name, b"one") + filling + packed(name, b"two") + filling
            assert whole(Unpacked(io.BytesIO(data), 1 << 30)) == b"onetwo"
    first = skipped + packed("zstd", b"one")
    assert whole(Unpacked(io.BytesIO(first), 1 << 30)) == b"one"


@pytest.mark.parametrize("name", ["gzip", "xz", "zstd"])
def test_what_follows_a_stream_is_a_stream_or_refused(name: str) -> None:
    with pytest.raises(InvalidRequest, match="damaged"):
        whole(Unpacked(io.BytesIO(packed(name, b"one") + b"something else"), 1 << 30))


@pytest.mark.parametrize("name", ["gzip", "zstd"])
def test_a_bomb_is_refused_long_before_it_has_gone_off(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The number of bytes from which the ratio counts is 1 GiB; here it is 32 MiB, to save time."""
    assert streams._HARMLESS == 1 << 30
    harmless = 32 << 20
    monkeypatch.setattr(streams, "_HARMLESS", harmless)
    bomb = packed(name, bytes(4 << 20)) * 20  # 80 MiB
    stream = Unpacked(io.BytesIO(bomb), 1 << 40)
    with pytest.raises(InvalidRequest, match="200 times"):
        while stream.read(1 << 20):
            pass
    assert harmless < stream.count <= harmless + (1 << 20)
    assert naively(name, bomb, 2 * harmless) >= 2 * harmless  # The control.


def test_a_stream_that_shrinks_much_is_read_if_it_is_small(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(streams, "_HARMLESS", 4 << 20)
    for size in (4 << 20, (4 << 20) + 1):
        stream = Unpacked(io.BytesIO(packed("gzip", bytes(size))), 1 << 40)
        if size == 4 << 20:
            assert len(whole(stream)) == size
        else:
            with pytest.raises(InvalidRequest, match="200 times"):
                whole(stream)


def naively(name: str, bomb: bytes, enough: int) -> int:
    """Unpack with the program of that name until it is enough; return how much came out."""
    count = 0
    with tempfile.TemporaryFile() as packed:
        packed.write(bomb)
        packed.seek(0)
        words = [name, "-dc"]
        with subprocess.Popen(words, stdin=packed, stdout=subprocess.PIPE) as program:
            assert program.stdout
            while count < enough and (piece := program.stdout.read(1 << 20)):
                count += len(piece)
            program.kill()
    return count


def test_a_limit_is_kept() -> None:
    with pytest.raises(InvalidRequest, match="too large"):
        whole(Unpacked(io.BytesIO(bytes(3 << 20)), 2 << 20))


def test_xz_may_not_ask_for_more_memory_than_is_sensible() -> None:
    filters = [{"id": lzma.FILTER_LZMA2, "preset": 0, "dict_size": 1 << 30}]
    head = lzma.compress(b"x", filters=filters)
    with pytest.raises(InvalidRequest, match="damaged"):
        whole(Unpacked(io.BytesIO(head), 1 << 30))


def test_a_counted_stream_knows_its_digest() -> None:
    stream = Counted(io.BytesIO(b"abc"))
    assert whole(stream) == b"abc"
    assert stream.count == 3
    assert stream.digest.endswith("f20015ad")  # FIPS 180-4, appendix B.1


@settings(max_examples=60)
@given(st.binary(max_size=60), st.sampled_from([b"", *[m for m in (b"\x1f\x8b", b"BZh9")]]))
def test_garbage_behind_a_magic_is_refused_or_empty(garbage: bytes, magic: bytes) -> None:
    try:
        read = whole(Unpacked(io.BytesIO(magic + garbage), 1 << 20))
    except InvalidRequest:
        return
    assert compression_of(magic + garbage) or read == magic + garbage
