"""Takes images from archives of other programs.

Two forms are about. An OCI layout (image-spec, image-layout.md) has an ``index.json``, whose
descriptors lead to manifests, and everything lies in ``blobs/`` under its digest. The older
form of ``docker save`` has a ``manifest.json``, which names a configuration and the layers'
tars by their paths. Newer Dockers write both into one archive: then the first is read.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, BinaryIO

from minirt.errors import InvalidRequest
from minirt.images import documents, layout, names, store
from minirt.images.archive import Archive, opened, read
from minirt.images.blobs import put_blob, put_document, put_layer
from minirt.images.layers import unpack_blob
from minirt.images.platforms import chosen
from minirt.images.stack import Facts
from minirt.images.streams import sha256
from minirt.images.tars import damaged
from minirt.state import parse_json

_DEEPEST = 4  # indexes within indexes
_MOST_NAMES = 10_000  # each is in the index that most commands read
Descriptor = dict[str, Any]
Unpacked = dict[tuple[str, str], Facts]  # a blob's digest and its tar's -> what was met in it


@dataclass(frozen=True, slots=True)
class Loaded:
    """One image of an archive, now in the store."""

    id: str
    names: tuple[str, ...]
    left_out: int  # device nodes below /dev


@dataclass(frozen=True, slots=True)
class Brought:
    """What is in the scratch folder already.

    An archive may name a layer, or a manifest of 4 MiB, thousands of times: each is read once.
    """

    manifests: dict[str, Descriptor] = field(default_factory=dict)  # by what the archive says
    layers: dict[str, Descriptor] = field(default_factory=dict)  # by path, of docker save


def load(source: BinaryIO | Path, *, allow_devices: bool = False) -> list[Loaded]:
    """Take all images of an archive, or none of them; return what they are.

    ``source`` is an open file or a pipe, or the path of a file or of a folder. Raises
    InvalidRequest, Conflict, KernelRefused.
    """
    with layout.scratch() as place, opened(source, place) as archive:
        new: list[tuple[Descriptor, str]] = []
        images: dict[str, tuple[set[str], int]] = {}
        unpacked: Unpacked = {}
        done: dict[str, tuple[str, int]] = {}  # by the digest of a manifest, which may come again
        for manifest, found in _manifests(archive, place):
            key = manifest["digest"]
            if key not in done:
                done[key] = _unpack(manifest, place, unpacked, allow_devices=allow_devices)
            image_id, left_out = done[key]
            new += [(manifest, name) for name in found or [""]]
            bears, _ = images.setdefault(image_id, (set(), left_out))
            bears |= set(found)
            if len(new) > _MOST_NAMES:
                raise damaged(f"it gives its images more than {_MOST_NAMES} names")
        if not new:
            raise InvalidRequest("The archive holds no image", "its index is empty")
        store.add(place, new)
    return [Loaded(key, tuple(sorted(bears)), out) for key, (bears, out) in images.items()]


def _manifests(archive: Archive, place: Path) -> Iterator[tuple[Descriptor, list[str]]]:
    """Bring each image's blobs into the scratch folder; yield its manifest and its names."""
    brought = Brought()
    if archive.has("index.json"):
        index = documents.check_index(documents.parse(read(archive, "index.json"), "index"))
        for descriptor in chosen(index):
            key = json.dumps([descriptor[part] for part in ("digest", "size", "mediaType")])
            if key not in brought.manifests:
                brought.manifests[key] = _bring(archive, descriptor, place)
            yield brought.manifests[key], _names_in(descriptor)
    elif archive.has("manifest.json"):
        for image in _docker_images(read(archive, "manifest.json")):
            yield _bring_docker(archive, image, place, brought)
    else:
        why = "it has neither an index.json (OCI) nor a manifest.json (docker save)"
        remedy = "For the tar of a root file system use 'minirt image import'."
        raise InvalidRequest("This is no archive of images", why, remedy)


def _names_in(descriptor: Descriptor) -> list[str]:
    annotations = descriptor.get("annotations") or {}
    for key in (layout.FULL_NAME, layout.REF_NAME):
        text = annotations.get(key)
        if isinstance(text, str):
            try:
                return [str(names.parse(text))]
            except InvalidRequest:
                continue  # The standard lets it be anything, for instance a version.
    return []


def _bring(archive: Archive, descriptor: Descriptor, place: Path) -> Descriptor:
    """Copy a manifest and all that it names; return the manifest's descriptor."""
    for _ in range(_DEEPEST):
        raw = _read_checked(archive, descriptor)
        document = documents.parse(raw, "manifest")
        if descriptor["mediaType"] not in documents.INDEX_TYPES:
            break
        inner = chosen(documents.check_index(document))
        if not inner:
            raise InvalidRequest("The archive holds no image", "an index in it is empty")
        descriptor = inner[0]
    else:
        raise damaged("its indexes lead nowhere")
    manifest = documents.check_manifest(document, descriptor["mediaType"])
    documents.check_config(
        documents.parse(_read_checked(archive, manifest["config"]), "configuration"),
        len(manifest["layers"]),
    )
    for part in [descriptor, manifest["config"], *manifest["layers"]]:
        _copy_checked(archive, part, place)
    return descriptor


def _read_checked(archive: Archive, descriptor: Descriptor) -> bytes:
    raw = read(archive, _path(descriptor))
    digest = f"sha256:{sha256(raw).hexdigest()}"
    _compare(descriptor, digest, len(raw))
    return raw


def _copy_checked(archive: Archive, descriptor: Descriptor, place: Path) -> None:
    if layout.blob(descriptor["digest"], place).exists():
        return  # two images, or two places of one, share it
    source = _Cut(archive.open(_path(descriptor)), descriptor["size"])
    put = put_blob(source, "", place)
    _compare(descriptor, put["digest"], put["size"])


def _path(descriptor: Descriptor) -> str:
    return f"blobs/sha256/{layout.blob(descriptor['digest']).name}"


def _compare(descriptor: Descriptor, digest: str, size: int) -> None:
    if (digest, size) != (descriptor["digest"], descriptor["size"]):
        raise damaged(f"what it calls {descriptor['digest']} is something else")


class _Cut:
    """A file that ends a byte after it should have: enough to see that it is too long."""

    def __init__(self, source: Any, size: int) -> None:
        self.source, self.left = source, size + 1

    def read(self, size: int, /) -> bytes:
        data: bytes = self.source.read(min(size, self.left))
        self.left -= len(data)
        return data


def _docker_images(raw: bytes) -> list[dict[str, Any]]:
    try:
        images = parse_json(raw)
    except ValueError as error:
        raise damaged(f"its manifest.json is no JSON: {error}") from error
    if not isinstance(images, list) or not all(isinstance(one, dict) for one in images):
        raise damaged("its manifest.json is no list of images")
    return images


def _bring_docker(
    archive: Archive, image: dict[str, Any], place: Path, brought: Brought
) -> tuple[Descriptor, list[str]]:
    """Make an OCI manifest of what ``docker save`` wrote for one image; return its names, too."""
    config, layers, tags = image.get("Config"), image.get("Layers") or [], image.get("RepoTags")
    paths = [config, *layers] if isinstance(layers, list) else [None]
    tags = [] if tags is None else tags
    if not isinstance(tags, list) or not all(isinstance(one, str) for one in [*paths, *tags]):
        raise damaged("its manifest.json does not name files")
    found = [str(names.parse(tag)) for tag in tags]
    if len(layers) > documents.MOST_LAYERS:
        raise damaged(f"it has {len(layers)} layers, and overlayfs takes {documents.MOST_LAYERS}")
    key = json.dumps(paths)
    if key not in brought.manifests:
        brought.manifests[key] = _docker_manifest(archive, str(config), layers, place, brought)
    return brought.manifests[key], found


def _docker_manifest(
    archive: Archive, config: str, layers: list[str], place: Path, brought: Brought
) -> Descriptor:
    raw = read(archive, config)
    documents.check_config(documents.parse(raw, "configuration"), len(layers))
    for path in layers:
        if path not in brought.layers:
            brought.layers[path] = put_layer(archive.open(path), place)
    manifest = {
        "schemaVersion": 2,
        "mediaType": layout.MANIFEST_TYPE,
        "config": put_document(raw, layout.CONFIG_TYPE, place),
        "layers": [brought.layers[path] for path in layers],
    }
    return put_document(manifest, layout.MANIFEST_TYPE, place)


def _unpack(
    descriptor: Descriptor, place: Path, unpacked: Unpacked, *, allow_devices: bool
) -> tuple[str, int]:
    """Unpack an image's layers; return its id, and how many device nodes were left out.

    What is in ``unpacked`` has been read and compared already. A small archive can name the same
    layer five hundred times, in ten thousand manifests.
    """
    manifest = layout.read_document(descriptor["digest"], place)
    config = layout.read_document(manifest["config"]["digest"], place)
    diff_ids = (config.get("rootfs") or {}).get("diff_ids") or []
    left_out = 0
    for layer, diff_id in zip(manifest["layers"], diff_ids, strict=True):
        pair = layer["digest"], diff_id
        if pair not in unpacked:
            blob = layout.blob(layer["digest"], place)
            _, unpacked[pair] = unpack_blob(
                blob, place, diff_id=diff_id, allow_devices=allow_devices
            )
        left_out += unpacked[pair].left_out
    return manifest["config"]["digest"], left_out
