"""minirt-oci is killed after each of its steps; then ``delete --force`` leaves nothing.

Its steps are those of the command itself, of init, and of the guide that exec sends ahead.
"""

from __future__ import annotations

import signal
from pathlib import Path

import pytest

from integration import deadly, oci, traces
from integration.oci import Oci
from integration.sandbox import wait_until
from integration.traces import Ground
from minirt.oci import main

MOST = 200  # steps of one process: many more than there are
pytestmark = pytest.mark.slow


@pytest.fixture
def one(ground: Ground, rootfs: Path) -> Oci:
    made = oci.make(ground.root / "oci", rootfs)
    made.config["hooks"] = {"createRuntime": [{"path": "/bin/true"}]}
    made.create("a", "sleep", "100")  # What is made once for all has been made.
    made("delete", "a")
    return made


def end_at(one: Oci, actor: str, number: int, *words: str) -> deadly.Death:
    called = ["--root", str(one.root), *words]
    return deadly.run_until(
        one.top / "out", actor, number, signal.SIGKILL, *called, program=main.run
    )


def delete_and_look(one: Oci, ground: Ground, before: dict[str, set[str]], where: str) -> None:
    one("delete", "--force", "a")
    left = traces.left_by(ground, before)
    assert not left, f"{where}: left {left}"
    assert one.is_clean(), where


@pytest.mark.parametrize(
    ("actor", "every", "fewest"), [("command", 1, 5), ("init", 12, 3)], ids=["command", "init"]
)
def test_create_killed_at_each_step(
    one: Oci, ground: Ground, actor: str, every: int, fewest: int
) -> None:
    before, deaths = traces.now(ground), []
    for number in range(1, MOST, every):
        death = end_at(one, actor, number, "create", "--bundle", str(one.bundle), "a")
        assert "Traceback" not in death.said, death.said
        where = f"after the {actor}'s step {number}, {death.step!r}"
        delete_and_look(one, ground, before, where)
        if not death.step:
            assert death.code == 0, death.said
            break
        deaths.append(death.step)
    assert len(deaths) >= fewest, deaths


def test_start_killed_at_each_step(one: Oci, ground: Ground) -> None:
    before, deaths = traces.now(ground), []
    for number in range(1, MOST):
        one.create("a", "sleep", "100")
        death = end_at(one, "command", number, "start", "a")
        delete_and_look(one, ground, before, f"after step {number}, {death.step!r}")
        if not death.step:
            break
        deaths.append(death.step)
    assert deaths


@pytest.mark.parametrize("actor", ["command", "exec"])
def test_exec_killed_at_each_step(one: Oci, ground: Ground, actor: str) -> None:
    """The container lives on, and takes the next one in."""
    before = traces.now(ground)
    one.start("a")
    deaths = []
    for number in range(1, MOST):
        death = end_at(one, actor, number, "exec", "--detach", "a", "sleep", "33")
        assert "Traceback" not in death.said, death.said
        assert one("exec", "a", "echo", "hello").stdout == "hello\n"
        if not death.step:
            break
        deaths.append(death.step)
    assert deaths or actor == "command"  # who calls does nothing himself
    delete_and_look(one, ground, before, f"after {deaths}")


def test_delete_killed_at_each_step(one: Oci, ground: Ground) -> None:
    before, deaths = traces.now(ground), []
    for number in range(1, MOST):
        one.start("a")
        death = end_at(one, "command", number, "delete", "--force", "a")
        delete_and_look(one, ground, before, f"after step {number}, {death.step!r}")
        if not death.step:
            break
        deaths.append(death.step)
    assert len(deaths) >= 2, deaths


def test_a_creator_that_is_told_to_end_undoes_its_work(one: Oci, ground: Ground) -> None:
    before, number = traces.now(ground), 0
    words = ("--root", str(one.root), "create", "--bundle", str(one.bundle), "a")
    out, ending = one.top / "out", signal.SIGTERM
    while number < MOST:
        number += 1
        death = deadly.run_until(out, "command", number, ending, *words, program=main.run)
        if not death.step:
            break
        if death.code == 128 + ending:
            wait_until(one.is_clean)
        delete_and_look(one, ground, before, f"told to end after {death.step!r}")
    assert number > 3
    one("delete", "--force", "a")
