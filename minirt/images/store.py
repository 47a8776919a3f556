"""The images that there are: found, named, forgotten."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from minirt.errors import Conflict, InvalidRequest, NotFound, in_quotes
from minirt.images import layout, names
from minirt.images.index import id_of, name_of, named, put
from minirt.state import flush


@dataclass(frozen=True, slots=True)
class Image:
    """One image: a configuration and the layers that it stands on."""

    id: str  # "sha256:…", the digest of the configuration
    names: tuple[str, ...]  # "busybox:latest"; none: it has lost its name to a newer one
    config: dict[str, Any]  # OCI image-spec, config.md; what runs is in its "config"
    manifest: str  # the manifest's digest

    @property
    def execution(self) -> dict[str, Any]:
        """Return how to run it: Cmd, Entrypoint, Env, User, WorkingDir, Volumes."""
        execution: dict[str, Any] = self.config.get("config") or {}
        return execution

    @property
    def diff_ids(self) -> list[str]:
        """Return the digests of its layers' tars, the lowest first."""
        rootfs = self.config.get("rootfs") or {}
        return list(rootfs.get("diff_ids") or [])

    @property
    def layers(self) -> tuple[Path, ...]:
        """Return the unpacked layers, the topmost first. Raises NotFound if one is missing."""
        from minirt.images.stack import stack

        return stack(self.diff_ids)

    @property
    def created(self) -> str:
        """Return when it was made, in RFC 3339; empty if it doesn't say."""
        return self.config.get("created") or ""

    @property
    def size(self) -> int:
        """Return the bytes of the files in its layers, as far as they are there."""
        from minirt.images.stack import facts

        size = 0
        for one in set(self.diff_ids):
            try:
                size += facts(one).size
            except FileNotFoundError:
                continue  # It is being removed, or damaged: who runs it will hear of that.
        return size


def find(reference: str) -> Image:
    """Return the image of that name, id, or beginning of an id. Raises NotFound, Conflict."""
    index = layout.read_index()
    if not reference.startswith("sha256:"):
        try:
            name = str(names.parse(reference))
        except InvalidRequest:
            name = ""
        for descriptor in index:
            if name and name_of(descriptor) == name:
                return _image(descriptor, index)
    prefix = reference.removeprefix("sha256:")
    found: dict[str, dict[str, Any]] = {}
    if prefix and set(prefix) <= set("0123456789abcdef"):
        for descriptor in index:
            image_id = id_of(descriptor)
            if image_id.startswith(f"sha256:{prefix}") or reference == descriptor["digest"]:
                found.setdefault(image_id, descriptor)
    if len(found) > 1:
        raise Conflict(
            f"The id {in_quotes(reference)} is ambiguous", f"{len(found)} images begin with it"
        )
    if not found:
        raise not_found(reference)
    return _image(next(iter(found.values())), index)


def all() -> list[Image]:
    """Return every image, the newest first."""
    index = layout.read_index()
    images = {id_of(one): one for one in index}
    found = []
    for descriptor in images.values():
        try:
            found.append(_image(descriptor, index))
        except NotFound:
            if descriptor in layout.read_index():
                raise  # else it has been removed meanwhile
    return sorted(found, key=lambda image: image.created, reverse=True)


def not_found(reference: str) -> NotFound:
    """Return the error for an image that is not here, with what to do about it."""
    remedy = (
        "Load it with 'minirt image load -i ARCHIVE', or import a root file system with"
        " 'minirt image import TAR NAME'; rootfs-tools/ makes some."
    )
    return NotFound(f"No such image: {reference[:200]}", remedy=remedy)


def add(place: Path, new: Iterable[tuple[dict[str, Any], str]]) -> None:
    """Move what a scratch folder holds into the store: all of it or nothing is seen.

    ``new`` are pairs of a manifest's descriptor and a name, or "" for an image without one.
    Raises Conflict if a layer that was there has been removed meanwhile.
    """
    from minirt.images.layers import move_in

    with layout.locked():
        layout.make_folders(layout.home())
        for blob in (place / "blobs" / "sha256").iterdir():
            final = layout.home() / "blobs" / "sha256" / blob.name
            if not final.exists():
                flush(blob)
                blob.rename(final)
        if move_in(place):
            layout.flush_all()
        pairs = list(new)
        _check_whole(one for one, _ in pairs)
        layout.write_index(put(layout.read_index(), pairs))


def forget(image_id: str, lost: Collection[str], *, keep: bool = False) -> list[str]:
    """Take names from an image, and remove the image if none is left, unless told to ``keep`` it.

    Returns the digests of what was removed: the image's id, then its layers.
    """
    with layout.locked():
        before = layout.read_index()
        mine = [one for one in before if id_of(one) == image_id]
        rest = [one for one in mine if name_of(one) and name_of(one) not in lost]
        if not rest and keep and mine:
            rest = [named(mine[0], "")]
        layout.write_index([one for one in before if one not in mine] + rest)
        removed = _sweep()
    return ([image_id] if mine and not rest else []) + removed


def _image(descriptor: dict[str, Any], index: list[dict[str, Any]]) -> Image:
    image_id = id_of(descriptor)
    bears = {name_of(one) for one in index if id_of(one) == image_id} - {""}
    try:
        config = layout.read_document(image_id)
    except FileNotFoundError:
        raise NotFound("The image is damaged", f"its configuration {image_id} is missing") from None
    return Image(image_id, tuple(sorted(bears)), config, descriptor["digest"])


def _check_whole(descriptors: Iterable[dict[str, Any]]) -> None:
    _, layers = _parts(descriptors)
    if any(not layout.layer(diff_id).exists() for diff_id in layers):
        why = "somebody removed an image that shares layers with this one"
        raise Conflict("The image is not complete", why, "Try again.")


def _parts(descriptors: Iterable[dict[str, Any]]) -> tuple[set[str], set[str]]:
    """Return the digests of all blobs and of all layers' tars that some manifests need.

    Each document is read once: thousands of names may share a manifest, and thousands of manifests
    a configuration, of 4 MiB each.
    """
    manifests = {one["digest"] for one in descriptors}
    blobs, configs = set(manifests), set()
    for digest in manifests:
        manifest = layout.read_document(digest)
        configs.add(manifest["config"]["digest"])
        blobs |= {one["digest"] for one in manifest["layers"]}
    layers: set[str] = set()
    for digest in configs:
        layers |= set((layout.read_document(digest).get("rootfs") or {}).get("diff_ids") or [])
    return blobs | configs, layers


def _sweep() -> list[str]:
    """Remove the blobs and the layers that no image in the index needs; only under the lock."""
    blobs, layers = _parts(layout.read_index())
    for path in (layout.home() / "blobs" / "sha256").iterdir():
        if f"sha256:{path.name}" not in blobs:
            path.unlink()
    removed = []
    home = layout.home() / "layers"
    with layout.scratch() as place:
        for path in home.iterdir():
            if path.suffix != ".json" and f"sha256:{path.name}" not in layers:
                path.rename(place / "layers" / path.name)  # gone at once; emptied below
                removed.append(f"sha256:{path.name}")
        for facts in home.glob("*.json"):
            if not facts.with_suffix("").exists():
                facts.unlink()  # also those of a layer at which somebody was killed
    return sorted(removed)
