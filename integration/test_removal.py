"""``rm`` of several containers: their folders go beside each other, and all before it ends."""

from __future__ import annotations

import pytest

from integration.conftest import Minirt
from integration.sandbox import shell
from integration.traces import Ground

pytestmark = pytest.mark.core

NONE = ("--net", "none")


def test_of_several_nothing_is_left_when_they_are_removed(
    minirt: Minirt, image: str, ground: Ground
) -> None:
    names = [f"one{number}" for number in range(5)]
    for name in names:
        minirt("run", "-d", "--name", name, image, "sh", "-c", "touch /a /b; exec sleep 99")
    assert minirt("rm", "-f", *names).stdout.split() == names
    for folder in ("containers", "trash", "names"):
        assert list((ground.root / folder).iterdir()) == []


def test_what_cannot_be_deleted_is_said_also_of_several(
    minirt: Minirt, image: str, ground: Ground
) -> None:
    minirt("create", *NONE, "--name", "one", image, "true")
    container = minirt("create", *NONE, "--name", "two", image, "true").stdout.strip()
    (place := ground.root / "containers" / container / "used").mkdir()
    shell("mount", "-t", "tmpfs", "tmpfs", place)
    done = minirt("rm", "two", "one", code=1)
    assert "busy" in done.stderr and "Traceback" not in done.stderr
    assert minirt("ps", "-aq").stdout == ""
    (left,) = (ground.root / "trash").iterdir()
    shell("umount", left / "used")
