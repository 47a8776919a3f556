"""Blobs: files that are named by the digest of what is in them."""

from __future__ import annotations

import io
import json
from pathlib import Path
from typing import Any

from minirt.images import layout
from minirt.images.streams import CHUNK, Counted, Readable, Unpacked, compression_of
from minirt.state import private

_KEPT_AS_IT_COMES = {"": "", "gzip": "+gzip", "zstd": "+zstd"}  # what OCI has media types for
_LARGEST = 64 << 30  # bytes


def put_layer(source: Readable, place: Path) -> dict[str, Any]:
    """Keep a layer's archive as it is, if OCI knows its compression; return its descriptor."""
    head = source.read(512)
    compression = compression_of(head)
    joined = _Joined(head, source)
    content: Readable = joined
    if compression not in _KEPT_AS_IT_COMES:
        content, compression = Unpacked(joined, _LARGEST), ""
    media_type = layout.LAYER_TYPE + _KEPT_AS_IT_COMES[compression]
    return put_blob(content, media_type, place)


def put_blob(source: Readable, media_type: str, place: Path) -> dict[str, Any]:
    """Write a blob under its digest; return its descriptor."""
    counted = Counted(source)
    unnamed = place / "blobs" / "sha256" / "unnamed"
    with open(unnamed, "wb", opener=private) as file:
        while data := counted.read(CHUNK):
            file.write(data)
    unnamed.replace(layout.blob(counted.digest, place))
    return {"mediaType": media_type, "digest": counted.digest, "size": counted.count}


def put_document(document: object, media_type: str, place: Path) -> dict[str, Any]:
    """Write a JSON document, or its bytes, as a blob; return its descriptor."""
    if not isinstance(document, bytes):
        document = json.dumps(document, separators=(",", ":"), sort_keys=True).encode()
    raw = document
    return put_blob(io.BytesIO(raw), media_type, place)


class _Joined:
    """A stream of which the beginning has been read already."""

    def __init__(self, head: bytes, rest: Readable) -> None:
        self.head, self.rest = head, rest

    def read(self, size: int = CHUNK) -> bytes:
        """Return at most ``size`` bytes; none at the end."""
        if self.head:
            data, self.head = self.head[:size], self.head[size:]
            return data
        return self.rest.read(size)
