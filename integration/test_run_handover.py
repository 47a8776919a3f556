"""A signal at any line between the start of a container and the passing on of signals to it.

Either ``run`` ends, and so does its container; or the container gets the signal.
"""

from __future__ import annotations

import signal
from pathlib import Path

import pytest

from integration import deadly, traces
from integration.lines import Signaller
from integration.sandbox import wait_until
from integration.traces import Ground
from minirt import cli
from minirt.commands import run
from minirt.container import attach, lifecycle, start

SCRIPT = "trap 'exit 9' TERM; touch /told/up; while :; do sleep 0.01; done"
MOST = 200  # lines: many more than there are


def run_with_signal(number: int, folder: Path, *words: str) -> tuple[str, int]:
    """Send SIGTERM at that line; return in which function that was, and the exit code.

    The signal comes when the command has its trap: process 1 gets none without one.
    """
    folder.mkdir()
    note = folder.parent / "note"

    def about_to(function: str, line: int) -> None:
        wait_until((folder / "up").exists, "the command's start")
        note.write_text(f"{function} {line}")

    def watched(line: list[str]) -> int:
        files = {Path(run.__file__), Path(attach.__file__)}
        moment = start.run.__code__
        return Signaller(number, signal.SIGTERM, files, moment, about_to).during(
            lambda: cli.run(line)
        )

    death = deadly.run(folder.parent / "out", *words, program=watched)
    assert "Traceback" not in death.said, death.said
    return note.read_text(), death.code


@pytest.mark.slow
def test_run_ends_with_its_container_or_passes_the_signal_on(
    ground: Ground, image: str, tmp_path: Path
) -> None:
    before = traces.now(ground)
    seen = []
    for number in range(1, MOST):
        folder = tmp_path / str(number)
        words = ("run", "--rm", "--net", "none", "-v", f"{folder}:/told", image, "sh", "-c", SCRIPT)
        where, code = run_with_signal(number, folder, *words)
        assert not lifecycle.all_records(), f"at {where}: {code}, and the container lives on"
        seen.append((where.split()[0], code))
        if seen[-1][0] == "until_its_end":
            break
    assert {code for _, code in seen} == {9, 128 + signal.SIGTERM}
    assert {"command", "converse", "caught"} <= {function for function, _ in seen}
    assert not traces.left_by(ground, before)
