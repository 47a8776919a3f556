"""Writes images to an archive that other programs read.

It is an OCI layout in a tar, with the ``manifest.json`` of ``docker save`` beside it, as newer
Dockers write it: skopeo, podman and every Docker take it. The same images give the same bytes.
"""

from __future__ import annotations

import io
import json
import tarfile
from collections.abc import Iterable
from typing import Any, BinaryIO

from minirt.errors import InvalidRequest
from minirt.images import layout, names, store
from minirt.images.index import id_of, name_of


def save(references: Iterable[str], out: BinaryIO) -> None:
    """Write the images of those names and ids to ``out``. Raises NotFound before it writes."""
    descriptors = _descriptors([(one, store.find(one)) for one in references])
    manifests = {one["digest"]: layout.read_document(one["digest"]) for one in descriptors}
    index = {
        "schemaVersion": 2,
        "mediaType": layout.INDEX_TYPE,
        "manifests": descriptors,
    }
    blobs = set(manifests)
    for manifest in manifests.values():
        blobs |= {part["digest"] for part in [manifest["config"], *manifest["layers"]]}
    with tarfile.open(fileobj=out, mode="w|") as tar:
        _add(tar, "oci-layout", {"imageLayoutVersion": "1.0.0"})
        _add(tar, "index.json", index)
        _add(tar, "manifest.json", _for_docker(descriptors, manifests))
        for digest in sorted(blobs):
            path = layout.blob(digest)
            with path.open("rb") as file:
                header = tarfile.TarInfo(f"blobs/sha256/{path.name}")
                header.size = path.stat().st_size
                tar.addfile(header, file)


def _descriptors(wanted: list[tuple[str, store.Image]]) -> list[dict[str, Any]]:
    """Return what the archive's index lists: a named image by that name, one by its id without."""
    index = layout.read_index()
    found: dict[tuple[str, str], dict[str, Any]] = {}
    for reference, image in wanted:
        name = _name_meant(reference, image)
        mine = next(
            one for one in index if id_of(one) == image.id and (not name or name_of(one) == name)
        )
        annotations = {
            key: value
            for key, value in mine.get("annotations", {}).items()
            if name and key in (layout.REF_NAME, layout.FULL_NAME)
        }
        plain = {key: mine[key] for key in ("mediaType", "digest", "size")}
        found[image.id, name] = plain | ({"annotations": annotations} if annotations else {})
    return list(found.values())


def _name_meant(reference: str, image: store.Image) -> str:
    try:
        name = str(names.parse(reference))
    except InvalidRequest:
        return ""
    return name if name in image.names else ""


def _for_docker(
    descriptors: list[dict[str, Any]], manifests: dict[str, Any]
) -> list[dict[str, Any]]:
    images: dict[str, dict[str, Any]] = {}
    for one in descriptors:
        manifest = manifests[one["digest"]]
        image = images.setdefault(
            one["digest"],
            {
                "Config": _path(manifest["config"]["digest"]),
                "RepoTags": [],
                "Layers": [_path(layer["digest"]) for layer in manifest["layers"]],
            },
        )
        image["RepoTags"] += [name] if (name := name_of(one)) else []
    return list(images.values())


def _path(digest: str) -> str:
    return f"blobs/sha256/{layout.blob(digest).name}"


def _add(tar: tarfile.TarFile, name: str, document: object) -> None:
    raw = json.dumps(document).encode()
    header = tarfile.TarInfo(name)
    header.size = len(raw)
    tar.addfile(header, io.BytesIO(raw))
