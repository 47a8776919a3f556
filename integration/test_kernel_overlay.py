"""Overlays as older kernels take them: all layers in one string (mount(2))."""

from __future__ import annotations

import errno
from collections.abc import Iterator
from pathlib import Path

import pytest

from integration.sandbox import shell
from minirt.kernel import overlay


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


def mount(lower: list[Path], place: Path) -> None:
    top = place.parent
    overlay.mount_in_one_string(lower, top / "upper", top / "work", place)


def test_many_layers_fit_into_one_string(place: Path, tmp_path: Path) -> None:
    mount(layers(tmp_path, [f"{number:03}" for number in range(400)]), place)
    assert (place / "file").read_text() == "000"


@pytest.mark.parametrize("name", ["a:b", "a,b", "a\\b", "a b"])
def test_what_separates_layers_and_options_may_be_in_a_name(
    place: Path, tmp_path: Path, name: str
) -> None:
    mount(layers(tmp_path, [name, "other"]), place)
    assert (place / "file").read_text() == name


def test_what_would_be_cut_off_is_refused(place: Path, tmp_path: Path) -> None:
    """The kernel cuts at one page, says nothing, and mounts whatever has the shorter name."""
    with pytest.raises(OSError, match="too many layers") as caught:
        mount(layers(tmp_path, ["x" * 200 + str(number) for number in range(30)]), place)
    assert caught.value.errno == errno.E2BIG


def test_more_layers_than_the_kernel_can_stack_are_refused(place: Path, tmp_path: Path) -> None:
    lower = layers(tmp_path, ["one"]) * 501
    with pytest.raises(OSError, match="more than 500 layers"):
        overlay.mount(lower, tmp_path / "upper", tmp_path / "work", place)
