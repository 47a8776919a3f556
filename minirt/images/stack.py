"""Unpacked layers, as overlayfs stacks them: all that starting a container needs of them."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

from minirt.errors import NotFound
from minirt.images import layout

OPAQUE = "trusted.overlay.opaque"  # on a folder: nothing of the layers below is seen in it


@dataclass(frozen=True, slots=True)
class Facts:
    """What was met while a layer was unpacked."""

    size: int  # bytes of its files
    left_out: int  # device nodes below /dev


def facts(diff_id: str) -> Facts:
    """Return what is known of a layer in the store. Raises FileNotFoundError."""
    return Facts(**layout.read_facts(layout.layer(diff_id)))


def stack(diff_ids: list[str]) -> tuple[Path, ...]:
    """Return the folders of an image's layers as overlayfs wants them, the topmost first.

    overlayfs refuses a folder that is named twice. Of two equal layers the lower one can go:
    whatever it has or hides, the upper one has or hides too. And what lies under a layer
    whose root is opaque is never seen. Raises NotFound.
    """
    folders: list[Path] = []
    for diff_id in reversed(diff_ids):
        folder = layout.layer(diff_id)
        if folder in folders:
            continue
        try:
            attributes = os.listxattr(folder)
        except FileNotFoundError:
            why = f"its layer {diff_id} is missing from {folder.parent}"
            raise NotFound("The image is damaged", why, "Load or import it again.") from None
        folders.append(folder)
        if OPAQUE in attributes:
            break
    return tuple(folders)
