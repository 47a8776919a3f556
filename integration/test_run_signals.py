"""Signals at ``minirt run`` and the container that it shows."""

from __future__ import annotations

import signal

import pytest

from integration.conftest import Minirt
from integration.sandbox import minirt_words, started

pytestmark = pytest.mark.core

WORDS = ("run", "--name", "one", "--net", "none")


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGUSR1])
def test_run_passes_signals_on(image: str, number: signal.Signals) -> None:
    name = number.name.removeprefix("SIG")
    script = f"trap 'echo caught; exit 9' {name}; echo ready; while :; do sleep 0.1; done"
    with started(*minirt_words(*WORDS, "--rm", image, "sh", "-c", script)) as run:
        assert run.stdout and run.stdout.readline() == "ready\n"
        run.send_signal(number)
        assert run.wait(10) == 9
        assert run.stdout.read() == "caught\n"


def test_a_signal_that_run_was_told_to_ignore_is_not_passed_on(image: str) -> None:
    """As nohup(1) wants it."""
    script = "trap 'echo hup' HUP; trap 'exit 8' TERM; echo ready; while :; do sleep 0.1; done"
    words = minirt_words(*WORDS, "--rm", image, "sh", "-c", script)
    with started("sh", "-c", 'trap "" HUP; exec "$@"', "sh", *words) as run:
        assert run.stdout and run.stdout.readline() == "ready\n"
        run.send_signal(signal.SIGHUP)
        run.send_signal(signal.SIGTERM)
        assert run.wait(10) == 8
        assert run.stdout.read() == ""


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGQUIT])
def test_a_signal_that_a_shell_lets_its_background_ignore_is_passed_on(
    minirt: Minirt, image: str, number: signal.Signals
) -> None:
    name = number.name.removeprefix("SIG")
    script = f"trap 'echo caught; exit 9' {name}; echo ready; while :; do sleep 0.1; done"
    words = minirt_words(*WORDS, "--rm", image, "sh", "-c", script)
    with started("sh", "-c", f'trap "" {name}; exec "$@"', "sh", *words) as run:
        assert run.stdout and run.stdout.readline() == "ready\n"
        run.send_signal(number)
        assert run.wait(10) == 9
        assert run.stdout.read() == "caught\n"


def test_init_passes_signals_on_and_reaps(minirt: Minirt, image: str) -> None:
    script = "(sleep 0.01 &); sleep 0.1; for p in /proc/[0-9]*; do cat $p/stat; done"
    seen = minirt("run", "--rm", "--init", "--net", "none", image, "sh", "-c", script).stdout
    assert seen.splitlines()[0].split()[:2] != ["1", "(sh)"]
    assert " Z " not in seen
    with started(
        *minirt_words(*WORDS, "--rm", "--init", image, "sh", "-c", "echo up; exec sleep 1000")
    ) as run:
        assert run.stdout and run.stdout.readline() == "up\n"
        run.send_signal(signal.SIGTERM)
        assert run.wait(10) == 143
