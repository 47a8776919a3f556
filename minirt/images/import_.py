"""Makes an image of one layer from the tar of a root file system."""

from __future__ import annotations

import os
from collections.abc import Iterable
from datetime import UTC, datetime
from typing import Any, BinaryIO

from minirt.images import layout, names, platforms, store
from minirt.images.blobs import put_document, put_layer
from minirt.images.changes import apply
from minirt.images.layers import unpack_blob
from minirt.images.stack import Facts


def import_tar(
    source: BinaryIO,
    name: str,
    *,
    changes: Iterable[str] = (),
    message: str = "",
    platform: str = "",
    allow_devices: bool = False,
) -> tuple[str, Facts]:
    """Make the image ``name`` from a tar, compressed or not; return its id.

    ``changes`` are instructions of a Dockerfile for its configuration, ``platform`` is what its
    programs are for ("linux/arm64"): without it this machine. Raises InvalidRequest,
    Conflict, KernelRefused; the store is then as it was.
    """
    wanted = str(names.parse(name)) if name else ""
    machine = platforms.parse(platform)
    execution: dict[str, Any] = {}
    for change in changes:
        execution = apply(execution, change)
    with layout.scratch() as place:
        layer = put_layer(source, place)
        digest = layer["digest"]
        diff_id, facts = unpack_blob(layout.blob(digest, place), place, allow_devices=allow_devices)
        config = put_document(
            _config(execution, diff_id, message, machine), layout.CONFIG_TYPE, place
        )
        manifest = {
            "schemaVersion": 2,
            "mediaType": layout.MANIFEST_TYPE,
            "config": config,
            "layers": [layer],
        }
        store.add(place, [(put_document(manifest, layout.MANIFEST_TYPE, place), wanted)])
    return config["digest"], facts


def _config(
    execution: dict[str, Any], diff_id: str, message: str, machine: dict[str, str]
) -> dict[str, Any]:
    now = _now()
    history = {"created": now, "created_by": "minirt image import", "comment": message}
    return {
        "created": now,
        **machine,
        "config": execution,
        "rootfs": {"type": "layers", "diff_ids": [diff_id]},
        "history": [{key: value for key, value in history.items() if value}],
    }


def _now() -> str:
    """Return the time in RFC 3339, or that of SOURCE_DATE_EPOCH for a reproducible image."""
    fixed = os.environ.get("SOURCE_DATE_EPOCH", "")
    now = datetime.fromtimestamp(int(fixed), UTC) if fixed.isdigit() else datetime.now(UTC)
    return now.strftime("%Y-%m-%dT%H:%M:%S.%fZ")
