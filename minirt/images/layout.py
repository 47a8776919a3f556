"""The store on disk: an OCI image layout, and the layers unpacked beside it.

    ROOT/images/oci-layout          which standard this is
    ROOT/images/index.json          one descriptor for each name of an image
    ROOT/images/blobs/sha256/HEX    manifests, configurations, layers as they came
    ROOT/images/layers/HEX/         a layer unpacked, by the digest of its tar (its "diff id")
    ROOT/images/layers/HEX.json     what was met while unpacking
    ROOT/images/scratch/WORD/       what an import is making; WORD.lock says that it lives
    ROOT/images/lock                held by who changes the index, or removes something

An import makes everything in its scratch folder and moves it into place under the lock, with
rename(2): nobody sees half an image, and whatever goes wrong, the scratch folder is all there
is to remove. Readers take no lock. (OCI image-spec, image-layout.md)
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from minirt.errors import InvalidRequest, MinirtError, in_quotes
from minirt.images.names import DIGEST
from minirt.kernel import libc, locks, trees
from minirt.state import made, new_id, read_json, root_dir, write_json

INDEX_TYPE = "application/vnd.oci.image.index.v1+json"
MANIFEST_TYPE = "application/vnd.oci.image.manifest.v1+json"
CONFIG_TYPE = "application/vnd.oci.image.config.v1+json"
LAYER_TYPE = "application/vnd.oci.image.layer.v1.tar"
REF_NAME = "org.opencontainers.image.ref.name"
FULL_NAME = "io.containerd.image.name"

LARGEST_DOCUMENT = 4 << 20  # bytes of a manifest: the limit that registries keep to


def home() -> Path:
    """Return the folder of the store."""
    return root_dir() / "images"


def blob(digest: str, place: Path | None = None) -> Path:
    """Return the path of a blob, in the store or in another ``place``. Raises InvalidRequest."""
    if not DIGEST.fullmatch(digest):
        raise InvalidRequest(
            f"Unknown digest {in_quotes(digest[:80])}", "only sha256 is understood"
        )
    return (place or home()) / "blobs" / "sha256" / digest.removeprefix("sha256:")


def layer(diff_id: str, place: Path | None = None) -> Path:
    """Return the folder of an unpacked layer."""
    return (place or home()) / "layers" / blob(diff_id).name


def facts_of(layer_directory: Path) -> Path:
    """Return the file beside an unpacked layer that says what was met in it."""
    return layer_directory.with_name(f"{layer_directory.name}.json")


def read_document(digest: str, place: Path | None = None) -> dict[str, Any]:
    """Read a manifest or a configuration by its digest. Raises FileNotFoundError."""
    return _read(blob(digest, place))


def read_index() -> list[dict[str, Any]]:
    """Return the descriptors in the index: none if there is no store yet."""
    path = home() / "index.json"
    try:
        manifests = _read(path).get("manifests")
    except FileNotFoundError:
        return []
    if not isinstance(manifests, list):
        raise _damaged(path, "it has no list of manifests")
    return manifests


def write_index(manifests: list[dict[str, Any]], place: Path | None = None) -> None:
    """Replace the index at once; only who holds :func:`locked` may do so in the store."""
    directory = place or home()
    if not (directory / "oci-layout").exists():
        write_json(directory / "oci-layout", {"imageLayoutVersion": "1.0.0"})
    index = {"schemaVersion": 2, "mediaType": INDEX_TYPE, "manifests": manifests}
    write_json(directory / "index.json", index)


def make_folders(place: Path) -> None:
    """Make the folders of a store, closed to all but root: layers hold set-user-ID programs."""
    for folder in ("blobs", "blobs/sha256", "layers"):
        made(place / folder)


@contextmanager
def locked() -> Iterator[None]:
    """Keep every other writer out of the store."""
    fd = locks.acquire(made(home()) / "lock", wait=True)
    try:
        yield
    finally:
        os.close(fd)  # The file stays: removing it under those who wait gains nothing.


@contextmanager
def scratch() -> Iterator[Path]:
    """Make a folder for what is not finished; it is gone afterwards, whatever happened."""
    place = made(made(home()) / "scratch")
    _sweep(place)
    word = new_id()[:12]
    lock = place / f"{word}.lock"
    fd = locks.acquire(lock, wait=True)  # A sweep may have found it first, before it was locked.
    try:
        directory = made(place / word)
        make_folders(directory)
        yield directory
    finally:
        _clear(place / word, lock, fd)


def flush_all() -> None:
    """Write to the disk what is still in memory, syncfs(2): ten thousand files at once."""
    fd = os.open(home(), os.O_RDONLY | os.O_DIRECTORY)
    try:
        libc.syscall("syncfs", fd)
    finally:
        os.close(fd)


def read_facts(layer_directory: Path) -> dict[str, int]:
    """Read what was met while a layer was unpacked. Raises FileNotFoundError."""
    return _read(facts_of(layer_directory))


def _read(path: Path) -> dict[str, Any]:
    try:
        document = read_json(path)
    except ValueError as error:
        raise _damaged(path, str(error)) from error
    if not isinstance(document, dict):
        raise _damaged(path, "it is no JSON object")
    return document


def _damaged(path: Path, why: str) -> MinirtError:
    remedy = "Remove the folder of the images, and load them again."
    return MinirtError(f"The image store is damaged at {path}", why, remedy)


def _sweep(place: Path) -> None:
    """Remove what killed imports have left: the kernel has dropped their locks."""
    for lock in place.glob("*.lock"):
        try:
            fd = locks.acquire(lock)
        except BlockingIOError:
            continue
        _clear(place / lock.stem, lock, fd)


def _clear(directory: Path, lock: Path, fd: int) -> None:
    """Remove a scratch folder, then its lock; if that fails the next sweep finds the lock."""
    try:
        trees.remove(directory)
    except OSError:
        os.close(fd)  # Whatever led here tells more than this error.
    else:
        locks.release(lock, fd)
