"""A start is broken off at lines of the code that builds a container: nothing of it stays."""

from __future__ import annotations

import signal
from pathlib import Path

import pytest

from integration import deadly, traces
from integration.conftest import Minirt
from integration.lines import Signaller
from integration.sandbox import wait_until
from integration.traces import Ground
from minirt import cli
from minirt.container import birth, building, creation, start

RUN = ("run", "--rm", "--name", "one", "--net", "net1", "-p", "8080:80")
FILES = {Path(str(one.__file__)) for one in (start, building, birth, creation)}
MOST = 300  # lines: more than there are


def broken_off(out: Path, number: int, by: signal.Signals, *words: str) -> tuple[str, int]:
    """Send a signal at that line; return where that was, "" if nowhere, and the exit code."""
    note = out.with_suffix(".note")
    note.unlink(missing_ok=True)

    def about_to(function: str, line: int) -> None:
        note.write_text(f"{function} {line}")

    def watched(line: list[str]) -> int:
        moment = creation.begin.__code__
        return Signaller(number, by, FILES, moment, about_to).during(lambda: cli.run(line))

    death = deadly.run(out, *words, program=watched)
    assert "Traceback" not in death.said, death.said
    return note.read_text() if note.exists() else "", death.code


@pytest.mark.slow
@pytest.mark.parametrize(("by", "every"), [(signal.SIGKILL, 2), (signal.SIGTERM, 3)])
def test_a_start_that_is_broken_off_leaves_nothing(
    minirt: Minirt, image: str, ground: Ground, tmp_path: Path, by: signal.Signals, every: int
) -> None:
    out = tmp_path / "out"
    minirt("network", "create", "net1")
    minirt(*RUN, image, "true")
    before = traces.now(ground)
    functions = set()
    for number in range(1, MOST, every):
        where, code = broken_off(out, number, by, *RUN, image, "sleep", "0.2")
        if not where:
            break
        functions.add(where.split()[0])
        assert code == 128 + by, where
        # If its monitor holds it already it lives on, for as long as it sleeps.
        wait_until(lambda: not minirt("ps", "-q").stdout, f"its end at {where}")
        again = deadly.run(out, *RUN, image, "true")
        assert again.code == 0, f"at {where}: {again.said}"
        assert not traces.left_by(ground, before), where
    wanted = {"begin", "bear_early", "finish", "_start", "build", "bear", "hand_over", "wire"}
    assert wanted <= functions
