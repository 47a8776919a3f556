"""Archives that want out: one test for each way that is known."""

from __future__ import annotations

import tarfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from integration.archives import (
    Member,
    fingerprint,
    folder,
    hardlink,
    member,
    symlink,
    tar,
    untouched,
)
from integration.conftest import Minirt
from integration.hostile import ROOT, imported, refused

Layer = Callable[[Path], list[Member]]


@pytest.fixture
def outside(tmp_path: Path) -> Iterator[Path]:
    """Return a folder that no image may touch, and look whether one did."""
    with untouched(tmp_path) as place:
        yield place


# ---- out of the folder -------------------------------------------------------------------------

CONTAINED: dict[str, Layer] = {
    "an absolute name": lambda out: [member(f"{out}/evil", b"x")],
    "a link to a folder, then through it": lambda out: [
        symlink("l", str(out)),
        member("l/evil", b"x"),
    ],
    "a relative link": lambda out: [
        symlink("l", "../" * 30 + str(out)),
        member("l/evil", b"x"),
        member("l/secret", b"x"),
    ],
    "links in a chain": lambda out: [
        symlink("a", "b"),
        symlink("b", f"/c/../../../../{out}"),
        folder("c"),
        folder("a/evil"),
    ],
    "a link through proc": lambda out: [
        symlink("p", "/proc/self/root"),
        symlink("q", "/proc/self/cwd"),
        member("p/evil", b"x"),
        member("q/evil", b"x"),
    ],
    "a file over a link": lambda out: [
        symlink("l", f"{out}/secret"),
        member("l", b"overwritten", mode=0o666),
    ],
    "a folder over a link": lambda out: [
        symlink("l", str(out)),
        folder("l", mode=0o777, uid=1000),
        member("l/secret", b"x"),
    ],
    "a link over a folder": lambda out: [
        folder("d"),
        member("d/x", b"x"),
        folder("d/e"),
        symlink("d", str(out)),
        member("d/evil", b"x"),
        hardlink("copy", "d/evil"),
    ],
    "one more name of a link": lambda out: [
        symlink("l", f"{out}/secret"),
        hardlink("m", "l"),
        member("m", b"overwritten"),
        hardlink("n", "l"),
    ],
    "a pipe, then written": lambda out: [
        member("p", type=tarfile.FIFOTYPE),
        member("p", b"x"),
    ],
    "a whiteout behind a link": lambda out: [
        symlink("l", str(out)),
        member("l/.wh.secret"),
        member("l/.wh..wh..opq"),
    ],
    "a path of a pax header": lambda out: [
        member("fine", b"x", pax_headers={"path": f"{out}/evil"}),
    ],
    "times behind a link": lambda out: [
        folder("d", mtime=5),
        symlink("d", str(out)),
    ],
}


@pytest.mark.parametrize("way", CONTAINED)
def test_nothing_is_written_outside(
    minirt: Minirt, tmp_path: Path, outside: Path, way: str
) -> None:
    layer = imported(minirt, tmp_path, [ROOT, *CONTAINED[way](outside)])
    assert len(fingerprint(layer)) > 1


@pytest.mark.parametrize("way", ["an absolute name", "a link to a folder, then through it"])
def test_an_extractor_that_trusts_its_archive_writes_outside(tmp_path: Path, way: str) -> None:
    """The control for the test above."""
    out, into, archive = tmp_path / "out", tmp_path / "into", tmp_path / "hostile.tar"
    out.mkdir()
    archive.write_bytes(tar(*CONTAINED[way](out)))
    with tarfile.open(archive) as opened:
        if hasattr(tarfile, "fully_trusted_filter"):  # Debian 12's Python needn't be told.
            opened.extraction_filter = tarfile.fully_trusted_filter
        opened.extractall(into)
    assert (out / "evil").read_bytes() == b"x"


REFUSED: dict[str, Layer] = {
    "dots": lambda out: [member(f"../../../../../../{out}/evil", b"x")],
    "dots within": lambda out: [folder("a"), member("a/../../evil", b"x")],
    "dots of a pax header": lambda out: [member("fine", pax_headers={"path": "../evil"})],
    "one more name of a file outside": lambda out: [hardlink("m", f"{out}/secret")],
    "the same with dots": lambda out: [hardlink("m", "../" * 30 + f"{out}/secret")],
    "the same through a link": lambda out: [symlink("l", str(out)), hardlink("m", "l/secret")],
    "the same of a pax header": lambda out: [
        member("m", type=tarfile.LNKTYPE, pax_headers={"linkpath": f"{out}/secret"})
    ],
    "one more name of the root": lambda out: [hardlink("m", "/")],
    "a file that is the root": lambda out: [member("./", b"x")],
    "a link that is the root": lambda out: [symlink(".", str(out))],
    "a file as a folder": lambda out: [member("f", b"x"), member("f/g", b"x")],
    "a whiteout of dots": lambda out: [folder("a"), member("a/.wh...")],
    "a whiteout of nothing": lambda out: [member(".wh.")],
    "a link that ends in itself": lambda out: [symlink("l", "l"), member("l/x", b"x")],
    "a name that is too long": lambda out: [member("n" * 300, b"x")],
    "an owner that cannot be": lambda out: [member("f", pax_headers={"uid": "4294967295"})],
    "a type that nobody knows": lambda out: [member("f", type=b"Z")],
    "the mark of a removed file": lambda out: [member("f", type=tarfile.CHRTYPE)],
    "memory": lambda out: [member("mem", type=tarfile.CHRTYPE, devmajor=1, devminor=1)],
    "a disk": lambda out: [member("d/sda", type=tarfile.BLKTYPE, devmajor=8, devminor=0)],
}


@pytest.mark.parametrize("way", REFUSED)
def test_what_makes_no_sense_is_refused(
    minirt: Minirt, tmp_path: Path, outside: Path, way: str
) -> None:
    refused(minirt, tmp_path, [ROOT, *REFUSED[way](outside)])
