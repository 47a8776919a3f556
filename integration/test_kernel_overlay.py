"""Overlays as older kernels take them: all layers in one string (mount(2))."""

from __future__ import annotations

import errno
import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from integration.sandbox import shell
from minirt.kernel import libc, overlay


@pytest.fixture
def place(tmp_path: Path) -> Iterator[Path]:
    """Return where to mount, beside an upper and a work folder."""
    for name in ("upper", "work", "merged"):
        (tmp_path / name).mkdir()
    yield tmp_path / "merged"
    shell("umount", tmp_path / "merged", code=None)


def layers(top: Path, names: list[str]) -> list[Path]:
    """Make layers that each have a file of the same name; the first is the topmost."""
    made = [top / "layers" / name for name in names]
    for one in made:
        one.mkdir(parents=True)
        (one / "file").write_text(one.name)
    return made


def names_in(folder: Path) -> set[str]:
    return {one.name for one in folder.iterdir()}


def mount(lower: list[Path], place: Path) -> None:
    top = place.parent
    overlay.mount_in_one_string(lower, top / "upper", top / "work", place)


@pytest.mark.parametrize(("count", "length"), [(2, 3), (500, 3), (500, 200)])
def test_layers_with_names_of_any_length_fit_into_one_string(
    place: Path, tmp_path: Path, count: int, length: int
) -> None:
    lower = layers(tmp_path, [f"{number:0{length}}" for number in range(count)])
    for one in lower:
        (one / one.name).touch()
    before = Path.cwd(), names_in(Path("/proc/self/fd"))
    mount(lower, place)
    assert (place / "file").read_text() == "0" * length
    assert names_in(place) == {"file"} | {one.name for one in lower}
    assert (Path.cwd(), names_in(Path("/proc/self/fd"))) == before


@pytest.mark.parametrize("name", ["a:b", "a,b", "a\\b", "a b"])
def test_what_separates_layers_and_options_may_be_in_a_name(
    place: Path, tmp_path: Path, name: str
) -> None:
    mount(layers(tmp_path, [name, "other"]), place)
    assert (place / "file").read_text() == name


def test_in_the_string_of_a_careless_caller_a_name_is_two_layers_or_a_shorter_one(
    place: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The control for the test above, and for the one below of what is cut off."""
    layers(tmp_path, ["a:b", "a", "b"])
    monkeypatch.chdir(tmp_path / "layers")
    libc.mount("overlay", str(place), "overlay", 0, f"lowerdir={tmp_path}/layers/a:b")
    assert (place / "file").read_text() == "a"
    libc.umount2(str(place), 0)
    long = f"lowerdir={tmp_path}/upper:{tmp_path}/layers{'/.' * 2000}"[:4095].removesuffix("/")
    libc.mount("overlay", str(place), "overlay", 0, f"{long}/./././a")
    assert names_in(place) == {"a:b", "a", "b"}


def test_attributes_in_a_layer_hide_what_lies_below(place: Path, tmp_path: Path) -> None:
    """Why images may not bring such attributes: the control for test_images_attacks."""
    above, below = layers(tmp_path, ["above", "below"])
    for layer in (above, below):
        (layer / "d").mkdir()
    (below / "d" / "hidden").touch()
    os.setxattr(above / "d", "trusted.overlay.opaque", b"y")
    mount([above, below], place)
    assert not (place / "d" / "hidden").exists()


def test_what_would_be_cut_off_is_refused(place: Path, tmp_path: Path) -> None:
    """The kernel cuts at one page, says nothing, and mounts whatever has the shorter name."""
    deep = tmp_path.joinpath(*["x" * 200] * 12)
    for name in ("upper", "work"):
        (deep / name).mkdir(parents=True)
    with pytest.raises(OSError, match="too long") as caught:
        overlay.mount_in_one_string(layers(tmp_path, ["one"]), deep / "upper", deep / "work", place)
    assert caught.value.errno == errno.E2BIG


def test_more_layers_than_the_kernel_can_stack_are_refused(place: Path, tmp_path: Path) -> None:
    lower = layers(tmp_path, ["one"]) * 501
    with pytest.raises(OSError, match="more than 500 layers"):
        overlay.mount(lower, tmp_path / "upper", tmp_path / "work", place)
