"""What is left of an import, a load or a removal that is killed, or cannot tidy up."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable
from pathlib import Path

import pytest

from integration.archives import assert_no_image_is_left, folder, member, oci_files, tar, written
from integration.conftest import Minirt
from minirt.images import layout, store
from minirt.images.load import load
from minirt.kernel import libc

LAYER = tar(folder("./"), member("f", b"x"))


def killed(work: Callable[[], object], method: str, is_the_moment: Callable[[Path], bool]) -> None:
    """Do the work in a child that is killed when it calls a method of Path at that moment."""
    pid = os.fork()
    if pid == 0:
        original = getattr(Path, method)

        def fatal(path: Path, *words: object, **options: object) -> object:
            if is_the_moment(path):
                os.kill(os.getpid(), signal.SIGKILL)
            return original(path, *words, **options)

        setattr(Path, method, fatal)
        try:
            work()
        finally:
            os._exit(0)
    assert os.waitpid(pid, 0)[1] == signal.SIGKILL, "it did not come to that"


def is_layer(path: Path) -> bool:
    """Say whether a path is that of an unpacked layer, under its final name."""
    return path.parent.name == "layers" and len(path.name) == 64


def is_facts(path: Path) -> bool:
    """Say whether a path is that of the facts of a layer in the store."""
    return path.parent == layout.home() / "layers" and path.suffix == ".json"


def layers() -> list[str]:
    """Return the names in the store's folder of layers."""
    return sorted(path.name for path in (layout.home() / "layers").iterdir())


def test_a_load_that_is_killed_between_a_layers_facts_and_its_folder_can_be_repeated(
    minirt: Minirt, tmp_path: Path
) -> None:
    archive = written(tmp_path / "image.tar", oci_files([LAYER]))
    killed(lambda: load(archive), "rename", is_layer)
    assert [name for name in layers() if name.endswith(".json")] == layers() != []
    plain = tmp_path / "layer.tar"
    plain.write_bytes(LAYER)
    minirt("image", "import", plain, "same")  # which has the same layer
    minirt("image", "load", "-i", archive)
    assert len(store.find("made:1").layers) == 1
    assert_all_goes(minirt)


def test_a_removal_that_is_killed_does_not_keep_the_image_from_coming_back(
    minirt: Minirt, tmp_path: Path
) -> None:
    archive = written(tmp_path / "image.tar", oci_files([LAYER]))
    minirt("image", "load", "-i", archive)
    image_id = store.find("made:1").id
    killed(lambda: store.forget(image_id, ["made:1"]), "unlink", is_facts)
    assert [name for name in layers() if name.endswith(".json")] == layers() != []
    minirt("image", "load", "-i", archive)
    assert len(store.find("made:1").layers) == 1
    assert_all_goes(minirt)


def test_what_a_killed_removal_leaves_goes_with_the_next(minirt: Minirt, tmp_path: Path) -> None:
    for name, content in (("one", b"1"), ("two", b"2")):
        files = oci_files([tar(folder("./"), member("f", content))], f"{name}:1")
        minirt("image", "load", "-i", written(tmp_path / f"{name}.tar", files))
    image_id = store.find("one:1").id
    killed(lambda: store.forget(image_id, ["one:1"]), "unlink", is_facts)
    assert len(layers()) == 3
    assert_all_goes(minirt)


def assert_all_goes(minirt: Minirt) -> None:
    """Remove all images; nothing of them may be left."""
    for image in store.all():
        minirt("image", "rm", "-f", image.id)
    assert_no_image_is_left()


@pytest.mark.in_process
def test_a_scratch_folder_that_could_not_be_removed_is_removed_by_the_next_import(
    minirt: Minirt, tmp_path: Path
) -> None:
    with layout.scratch() as place:
        busy = place / "busy"
        busy.mkdir()
        libc.mount("tmpfs", str(busy), "tmpfs", 0, "")
    assert busy.exists()
    libc.umount2(str(busy), 0)
    (tmp_path / "layer.tar").write_bytes(LAYER)
    minirt("image", "import", tmp_path / "layer.tar", "one")
    assert list((layout.home() / "scratch").iterdir()) == []
