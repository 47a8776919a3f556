"""``run`` is killed after each of its steps, in each of its processes; then the next one comes.

Nothing may be left, and nothing may be in its way: not the name, the address, the host port,
the group, the files.
"""

from __future__ import annotations

import signal
from pathlib import Path

import pytest

from integration import deadly, traces
from integration.conftest import Minirt
from integration.sandbox import wait_until
from integration.traces import Ground

RUN = ("run", "--rm", "--name", "one", "--net", "net1", "-p", "8080:80", "-v", "/data")
PRIVATE = ("--userns", "private")
MOST = 200  # steps of one process: many more than there are


@pytest.fixture
def out(tmp_path: Path, minirt: Minirt, image: str) -> Path:
    """Return where commands print to; the world has been used once, so nothing is made anew."""
    minirt("network", "create", "--ipv6", "net1")
    minirt(*RUN, image, "true")
    return tmp_path / "out"


def unused(ground: Ground) -> list[Path]:
    """Return the volumes, all of which are anonymous, and what is about to be deleted."""
    return [*(ground.root / "volumes").iterdir(), *(ground.root / "trash").iterdir()]


def end_at_each_step(
    out: Path,
    ground: Ground,
    image: str,
    actor: str,
    by: signal.Signals,
    every: int = 1,
    options: tuple[str, ...] = (),
) -> list[tuple[str, int]]:
    """End run at each step of ``actor``; return the steps, and how run ended each time."""
    before = traces.now(ground)
    ends: list[tuple[str, int]] = []
    for number in range(1, MOST, every):
        death = deadly.run_until(out, actor, number, by, *RUN, *options, image, "true")
        if not death.step:
            assert death.code == 0, death.said
            return ends
        ends.append((death.step, death.code))
        if death.code == 1:
            print("ONE", death.said)
        assert "Traceback" not in death.said
        assert "bug" not in death.said
        where = f"after the {actor}'s step {number}, {death.step!r}"
        again = deadly.run(out, *RUN, *options, image, "true")
        assert again.code == 0, f"{where}: {again.said}"
        left = traces.left_by(ground, before)
        assert not left, f"{where}: left {left}"
        wait_until(lambda: not unused(ground), f"{where}: the end of volumes and trash")
    raise AssertionError("more steps than anybody thought")


@pytest.mark.slow
def test_the_command_killed_at_each_step(out: Path, ground: Ground, image: str) -> None:
    ends = end_at_each_step(out, ground, image, "command", signal.SIGKILL)
    assert len(ends) >= 5
    assert {code for _, code in ends} == {128 + signal.SIGKILL}


@pytest.mark.slow
def test_the_monitor_killed_at_each_step_of_its_command(
    out: Path, ground: Ground, image: str
) -> None:
    ends = end_at_each_step(out, ground, image, deadly.MONITOR, signal.SIGKILL)
    assert len([code for _, code in ends if code == 125]) >= 5
    # 0: it was not born yet.
    assert {code for _, code in ends} == {0, 125}, [one for one in ends if one[1] == 137]


@pytest.mark.slow
def test_init_killed_at_every_twentieth_step(out: Path, ground: Ground, image: str) -> None:
    ends = end_at_each_step(out, ground, image, "init", signal.SIGKILL, every=20)
    assert len(ends) >= 3
    # 99: it died between the last word and execve(2), so its end is taken for the command's.
    assert {code for _, code in ends} <= {125, 99}


@pytest.mark.slow
@pytest.mark.parametrize("actor", ["outfitter", deadly.MONITOR])
def test_with_ids_of_its_own_killed_at_each_step(
    out: Path, ground: Ground, image: str, minirt: Minirt, actor: str
) -> None:
    """The outfitter makes for init what that can't make in its user namespace."""
    minirt(*RUN, *PRIVATE, image, "true")
    ends = end_at_each_step(out, ground, image, actor, signal.SIGKILL, options=PRIVATE)
    assert len([code for _, code in ends if code == 125]) >= 5
    assert {code for _, code in ends} <= ({0, 125} if actor == deadly.MONITOR else {125})


@pytest.mark.slow
def test_run_told_to_end_at_every_second_step_leaves_nothing(
    out: Path, ground: Ground, image: str
) -> None:
    """Also no name: nobody has to remove anything by hand."""
    ends = end_at_each_step(out, ground, image, "command", signal.SIGTERM, every=2)
    assert {code for _, code in ends} == {128 + signal.SIGTERM}
