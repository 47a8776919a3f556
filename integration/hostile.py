"""Images from archives that nobody should trust."""

from __future__ import annotations

from pathlib import Path

from integration.archives import Member, assert_no_image_is_left, folder, tar
from integration.conftest import Minirt
from minirt.images import store

ROOT = folder("./")


def imported(minirt: Minirt, tmp_path: Path, members: list[Member], *words: str) -> Path:
    """Import an archive; return the layer that it has become."""
    archive = tmp_path / "hostile.tar"
    archive.write_bytes(tar(*members))
    minirt("image", "import", archive, "hostile", *words)
    (layer,) = store.find("hostile").layers
    return layer


def refused(minirt: Minirt, tmp_path: Path, members: list[Member], *words: str) -> str:
    """Import an archive in vain; return what is said."""
    archive = tmp_path / "hostile.tar"
    archive.write_bytes(tar(*members))
    failed = minirt("image", "import", archive, "hostile", *words, code=1)
    assert failed.stderr.count("\n") == 1
    assert_no_image_is_left()
    return failed.stderr
