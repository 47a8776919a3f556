"""Makes an image of one layer from the tar of a root file system."""

from __future__ import annotations

import json
import os
import platform
from collections.abc import Iterable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, BinaryIO

from minirt.images import layout, names, store
from minirt.images.changes import apply
from minirt.images.layers import unpack_blob
from minirt.images.stack import Facts
from minirt.images.streams import CHUNK, Counted, Readable, Unpacked, compression_of

_ARCHITECTURES = {"x86_64": "amd64", "aarch64": "arm64", "armv7l": "arm", "i686": "386"}
_KEPT_AS_IT_COMES = {"": "", "gzip": "+gzip", "zstd": "+zstd"}  # what OCI has media types for
_LARGEST = 64 << 30  # bytes


def import_tar(
    source: BinaryIO,
    name: str,
    *,
    changes: Iterable[str] = (),
    message: str = "",
    allow_devices: bool = False,
) -> tuple[str, Facts]:
    """Make the image ``name`` from a tar, compressed or not; return its id.

    ``changes`` are instructions of a Dockerfile for its configuration. Raises InvalidRequest,
    Conflict, KernelRefused; the store is then as it was.
    """
    wanted = str(names.parse(name)) if name else ""
    execution: dict[str, Any] = {}
    for change in changes:
        execution = apply(execution, change)
    with layout.scratch() as place:
        layer = put_layer(source, place)
        digest = layer["digest"]
        diff_id, facts = unpack_blob(layout.blob(digest, place), place, allow_devices=allow_devices)
        config = put_document(_config(execution, diff_id, message), layout.CONFIG_TYPE, place)
        manifest = {
            "schemaVersion": 2,
            "mediaType": layout.MANIFEST_TYPE,
            "config": config,
            "layers": [layer],
        }
        store.add(place, [(put_document(manifest, layout.MANIFEST_TYPE, place), wanted)])
    return config["digest"], facts


def put_layer(source: BinaryIO, place: Path) -> dict[str, Any]:
    """Keep a layer's archive as it is, if OCI knows its compression; return its descriptor."""
    head = source.read(512)
    compression = compression_of(head)
    joined = Joined(head, source)
    content: Readable = joined
    if compression not in _KEPT_AS_IT_COMES:
        content, compression = Unpacked(joined, _LARGEST), ""
    media_type = layout.LAYER_TYPE + _KEPT_AS_IT_COMES[compression]
    return put_blob(content, media_type, place)


def put_blob(source: Readable, media_type: str, place: Path) -> dict[str, Any]:
    """Write a blob under its digest; return its descriptor."""
    counted = Counted(source)
    unnamed = place / "blobs" / "sha256" / "unnamed"
    with unnamed.open("wb") as file:
        while data := counted.read(CHUNK):
            file.write(data)
    unnamed.replace(layout.blob(counted.digest, place))
    return {"mediaType": media_type, "digest": counted.digest, "size": counted.count}


def put_document(document: object, media_type: str, place: Path) -> dict[str, Any]:
    """Write a JSON document as a blob; return its descriptor."""
    import io

    raw = json.dumps(document, separators=(",", ":"), sort_keys=True).encode()
    return put_blob(io.BytesIO(raw), media_type, place)


class Joined:
    """A stream of which the beginning has been read already."""

    def __init__(self, head: bytes, rest: BinaryIO) -> None:
        self.head, self.rest = head, rest

    def read(self, size: int = CHUNK) -> bytes:
        """Return at most ``size`` bytes; none at the end."""
        if self.head:
            data, self.head = self.head[:size], self.head[size:]
            return data
        return self.rest.read(size)


def _config(execution: dict[str, Any], diff_id: str, message: str) -> dict[str, Any]:
    now = _now()
    history = {"created": now, "created_by": "minirt image import", "comment": message}
    return {
        "created": now,
        "architecture": architecture(),
        "os": "linux",
        "config": execution,
        "rootfs": {"type": "layers", "diff_ids": [diff_id]},
        "history": [{key: value for key, value in history.items() if value}],
    }


def architecture() -> str:
    """Return this machine's architecture, as Go and OCI call it."""
    return _ARCHITECTURES.get(platform.machine(), platform.machine())


def _now() -> str:
    """Return the time in RFC 3339, or that of SOURCE_DATE_EPOCH for a reproducible image."""
    fixed = os.environ.get("SOURCE_DATE_EPOCH", "")
    now = datetime.fromtimestamp(int(fixed), UTC) if fixed.isdigit() else datetime.now(UTC)
    return now.strftime("%Y-%m-%dT%H:%M:%S.%fZ")
