"""Which devices a group may use, and limits that can't be had."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest

from integration.groups import ended, group
from minirt.errors import InvalidRequest
from minirt.kernel import device_filter, steps
from minirt.kernel.cgroups import Cgroup
from minirt.kernel.device_filter import Rule
from minirt.runtime import resources
from minirt.runtime.document import Place

__all__ = ["group"]  # fixtures

MIB = 1 << 20

# ---- devices -----------------------------------------------------------------------------------

DEVICES: list[dict[str, Any]] = [
    {"allow": False, "access": "rwm"},
    {"allow": True, "type": "c", "access": "m"},
    {"allow": True, "type": "c", "major": 1, "minor": 3, "access": "rwm"},
    {"allow": True, "type": "c", "major": 1, "minor": 5, "access": "r"},
    {"allow": True, "type": "c", "major": 1, "minor": 8, "access": "rwm"},
    {"allow": False, "type": "c", "major": 1, "minor": 8, "access": "w"},
]


@pytest.fixture(params=["as limits are set", "by a program"])
def limited(request: pytest.FixtureRequest, group: Cgroup) -> Cgroup:
    """Limit the devices of a group as this machine does it, and by a program for version 2."""
    if request.param == "as limits are set":
        resources.apply(group, {"devices": DEVICES})
        return group
    if group.unified is None:
        pytest.skip("no cgroup version 2")
    device_filter.attach(group.unified, [Rule(allow=True)])  # to be replaced by the next
    device_filter.attach(group.unified, resources.device_rules(Place(DEVICES)))
    return group


@pytest.mark.parametrize(
    ("path", "flags", "works"),
    [
        ("/dev/null", os.O_RDWR, True),
        ("/dev/zero", os.O_RDONLY, True),
        ("/dev/zero", os.O_RDWR, False),
        ("/dev/random", os.O_RDONLY, True),
        ("/dev/random", os.O_WRONLY, False),
        ("/dev/full", os.O_RDONLY, False),
    ],
)
def test_only_what_is_allowed_opens(limited: Cgroup, path: str, flags: int, works: bool) -> None:
    def child() -> int:
        try:
            os.close(os.open(path, flags))
        except PermissionError:
            return 1
        return 0

    assert child() == 0, "it doesn't even work outside"
    assert ended(limited, child) == (0 if works else 1)


def test_nodes_are_made_only_where_that_is_allowed(limited: Cgroup, tmp_path: Path) -> None:
    def child() -> int:
        os.mknod(tmp_path / "char", 0o20600, os.makedev(254, 0))
        try:
            os.mknod(tmp_path / "block", 0o60600, os.makedev(254, 0))
        except PermissionError:
            return 0
        return 1

    assert ended(limited, child) == 0


# ---- what can't be had ---------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("asked", "why"),
    [
        ({"cpu": {"quota": 5}}, "the kernel doesn't take '5"),
        ({"cpu": {"cpus": "4000"}}, "the kernel doesn't take '4000'"),
        ({"unified": {"memory.nonsense": "1"}}, "memory.nonsense"),
    ],
)
def test_a_limit_that_cannot_be_held_is_refused(
    group: Cgroup, asked: dict[str, Any], why: str
) -> None:
    with pytest.raises(InvalidRequest) as error:
        resources.apply(group, asked)
    assert why in str(error.value)


@pytest.mark.parametrize(
    ("asked", "controller"),
    [
        ({"memory": {"limit": MIB}}, "memory"),
        ({"pids": {"limit": 1}}, "pids"),
        ({"network": {"classID": 7}}, "net_cls"),
    ],
)
def test_a_missing_controller_is_named(
    group: Cgroup, asked: dict[str, Any], controller: str
) -> None:
    without = tuple(one for one in group.folders if controller not in one.hierarchy.controllers)
    with pytest.raises(InvalidRequest, match=f"this machine has no {controller} controller"):
        resources.apply(Cgroup("one", without), asked)


def test_each_write_is_told_with_a_command_that_does_the_same(group: Cgroup) -> None:
    told: list[steps.Step] = []
    steps.send_to(told.append)
    try:
        resources.apply(group, {"pids": {"limit": 7}})
    finally:
        steps.send_to(None)
    command = told[-1].command
    resources.apply(group, {"pids": {"limit": 9}})
    assert os.system(command) == 0
    assert group.stats().pids_limit == 7
