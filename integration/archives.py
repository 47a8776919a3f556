"""Tars, layers and archives of images as tests need them, and folders compared to the last bit."""

from __future__ import annotations

import contextlib
import gzip
import hashlib
import io
import json
import os
import stat
import tarfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from minirt.images import store
from minirt.kernel import libc

Member = tuple[tarfile.TarInfo, bytes]

MANIFEST = "application/vnd.oci.image.manifest.v1+json"
CONFIG = "application/vnd.oci.image.config.v1+json"
LAYER = "application/vnd.oci.image.layer.v1.tar"


def member(name: str, content: bytes = b"", **fields: Any) -> Member:
    """Return an entry of an archive; ``type`` and whatever else TarInfo has are fields."""
    header = tarfile.TarInfo(name)
    header.size, header.mode = len(content), 0o644
    for key, value in fields.items():
        setattr(header, key, value)
    return header, content


def folder(name: str, **fields: Any) -> Member:
    """Return a folder."""
    return member(name, type=tarfile.DIRTYPE, **{"mode": 0o755, **fields})


def symlink(name: str, target: str) -> Member:
    """Return a symbolic link."""
    return member(name, type=tarfile.SYMTYPE, linkname=target)


def hardlink(name: str, target: str) -> Member:
    """Return one more name of a file."""
    return member(name, type=tarfile.LNKTYPE, linkname=target)


def tar(*members: Member, form: int = tarfile.PAX_FORMAT) -> bytes:
    """Return an archive."""
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w", format=form) as archive:
        for header, content in members:
            archive.addfile(header, io.BytesIO(content))
    return out.getvalue()


def digest(raw: bytes) -> str:
    """Return the digest of some bytes."""
    return f"sha256:{hashlib.sha256(raw).hexdigest()}"


def oci_files(layers: Sequence[bytes], name: str = "made:1", **config: Any) -> dict[str, bytes]:
    """Return the files of an OCI layout with one image of these layers, compressed with gzip."""
    blobs = [gzip.compress(layer, mtime=0) for layer in layers]
    document = {
        "architecture": "amd64",
        "os": "linux",
        "created": "2026-01-02T03:04:05Z",
        "config": {"Cmd": ["sh"]},
        "rootfs": {"type": "layers", "diff_ids": [digest(layer) for layer in layers]},
        **config,
    }
    raw = json.dumps(document).encode()
    manifest = {
        "schemaVersion": 2,
        "mediaType": MANIFEST,
        "config": described(raw, CONFIG),
        "layers": [described(blob, f"{LAYER}+gzip") for blob in blobs],
    }
    return layout_of(manifest, [raw, *blobs], name)


def layout_of(manifest: dict[str, Any], blobs: Sequence[bytes], name: str) -> dict[str, bytes]:
    """Return the files of an OCI layout with that manifest and these blobs."""
    raw = json.dumps(manifest).encode()
    named = {**described(raw, MANIFEST), "annotations": {"org.opencontainers.image.ref.name": name}}
    return {
        "oci-layout": b'{"imageLayoutVersion":"1.0.0"}',
        "index.json": json.dumps({"schemaVersion": 2, "manifests": [named]}).encode(),
        **{f"blobs/sha256/{digest(blob)[7:]}": blob for blob in [raw, *blobs]},
    }


def described(raw: bytes, media_type: str) -> dict[str, Any]:
    """Return the descriptor of a blob."""
    return {"mediaType": media_type, "digest": digest(raw), "size": len(raw)}


def written(path: Path, files: dict[str, bytes]) -> Path:
    """Write files into a tar at ``path``, and return that."""
    path.write_bytes(tar(*(member(name, raw) for name, raw in files.items())))
    return path


def fingerprint(top: Path) -> dict[str, tuple[Any, ...]]:
    """Return all that can be seen of a folder and what is in it, by path."""
    seen: dict[tuple[int, int], str] = {}
    found: dict[str, tuple[Any, ...]] = {}
    for path in [top, *sorted(top.rglob("*"))]:
        status = path.lstat()
        name = str(path.relative_to(top))
        first = name
        if not stat.S_ISDIR(status.st_mode):
            first = seen.setdefault((status.st_dev, status.st_ino), name)
        found[name] = (
            oct(status.st_mode),
            (status.st_uid, status.st_gid),
            status.st_rdev,
            status.st_mtime_ns,
            first,
            _content(path, status),
            _attributes(path),
        )
    return found


def _content(path: Path, status: os.stat_result) -> object:
    if stat.S_ISREG(status.st_mode):
        return digest(path.read_bytes())
    return str(path.readlink()) if stat.S_ISLNK(status.st_mode) else None


def _attributes(path: Path) -> dict[str, bytes]:
    names = [one for one in os.listxattr(path, follow_symlinks=False) if "overlay" not in one]
    return {one: os.getxattr(path, one, follow_symlinks=False) for one in names}


@contextlib.contextmanager
def merged(layers: Sequence[Path], place: Path) -> Iterator[Path]:
    """Mount the layers, the topmost first, as a container would see them."""
    top, empty = place / "merged", place / "empty"
    for one in (top, empty):
        one.mkdir()
    options = f"lowerdir={':'.join(map(str, [*layers, empty]))},redirect_dir=nofollow,metacopy=off"
    libc.mount("overlay", str(top), "overlay", 0, options)  # mount(8) ends at 255 bytes
    try:
        yield top
    finally:
        libc.umount2(str(top), 0)


@contextlib.contextmanager
def untouched(place: Path) -> Iterator[Path]:
    """Make a folder below ``place`` that no image may touch; look afterwards whether one did."""
    outside = place / "outside"
    outside.mkdir(mode=0o700)
    (outside / "secret").write_text("secret")
    (outside / "secret").chmod(0o600)
    before = fingerprint(outside)
    beside = {one.name for one in place.iterdir()}
    yield outside
    assert fingerprint(outside) == before
    assert {one.name for one in place.iterdir()} - beside <= {"hostile.tar"}
    assert not Path("/evil").exists()


def assert_no_image_is_left() -> None:
    """Look whether a failed import or load has left anything in the store."""
    top = Path(os.environ["MINIRT_ROOT"]) / "images"
    assert store.all() == []
    for kind in ("scratch", "layers", "blobs/sha256"):
        assert not (top / kind).exists() or list((top / kind).iterdir()) == []


ROOT = (folder("./"), folder("./bin"), member("./bin/sh", b"#!", mode=0o755))

LAYERS = (
    tar(
        *ROOT,
        folder("d", mode=0o750, mtime=1_000_000_000),
        member("d/a", b"one"),
        folder("d/sub"),
        member("d/sub/b", b"two"),
        member("gone", b"x"),
        folder("replaced"),
        member("replaced/old", b"x"),
        symlink("link", "/d/a"),
        member("suid", b"s", mode=0o4755, uid=7, gid=8, mtime=1_234_567_890),
        hardlink("suid2", "./suid"),
        member("pipe", type=b"6"),
    ),
    tar(
        member(".wh.gone"),
        folder("d", mode=0o700),
        member("d/.wh..wh..opq"),
        member("d/c", b"three"),
        member(".wh.replaced"),
        folder("replaced"),
        member("replaced/new", b"y"),
        member("attributes", b"", pax_headers={"SCHILY.xattr.user.who": "me"}),
    ),
)
