"""Commands about a container that ends at that very moment.

The tests stop the monitor, or stay connected to it, to make that moment as long as they need.
"""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from integration.conftest import Minirt
from integration.containers import state_of
from integration.sandbox import minirt_words, started, wait_until
from integration.traces import Ground
from minirt.container import protocol

SLEEP = ("sleep", "1000")
SENTENCES = ("it has just ended", "the container has ended", "is not running")
MISSING = ("No such container", "No such object")


def commands(folder: Path) -> list[tuple[str, ...]]:
    """Return commands about the container "web" that need no answer of its monitor."""
    return [
        ("exec", "web", "true"),
        ("exec", "-i", "web", "cat"),
        ("network", "connect", "two", "web"),
        ("network", "disconnect", "one", "web"),
        ("cp", "web:/etc/passwd", str(folder)),
        ("top", "web"),
        ("pause", "web"),
        ("update", "--pids-limit", "50", "web"),
        ("run", "--pid", "container:web", "busybox", "true"),
        ("inspect", "web"),
        ("logs", "web"),
        ("port", "web"),
        ("diff", "web"),
        ("stats", "--no-stream", "web"),
        ("rename", "web", "other"),
    ]


@contextmanager
def removed_but_locked(minirt: Minirt, ground: Ground, image: str, *words: str) -> Iterator[None]:
    """Keep the monitor of a ``--rm`` container where it has removed all but its lock."""
    minirt("run", "-d", "--rm", "--name", "web", *words, image, *SLEEP)
    pids = state_of(minirt, "web")
    identity = minirt("inspect", "-f", "{{.Id}}", "web").stdout.strip()
    with protocol.connect(ground.run / "containers" / identity) as line:
        protocol.tell(line, {"do": "attach", "stdin": False, "output": False})
        protocol.hear_json(line)
        os.kill(pids["pid"], signal.SIGKILL)
        assert protocol.hear(line)[:2] == (protocol.EXIT, b"137")
        os.kill(pids["monitor"], signal.SIGSTOP)
        try:
            yield
        finally:
            os.kill(pids["monitor"], signal.SIGCONT)


@contextmanager
def dead_but_locked(minirt: Minirt, image: str, *words: str) -> Iterator[None]:
    """Keep a monitor stopped whose container has died."""
    minirt("run", "-d", "--name", "web", *words, image, *SLEEP)
    pids = state_of(minirt, "web")
    os.kill(pids["monitor"], signal.SIGSTOP)
    os.kill(pids["pid"], signal.SIGKILL)
    try:
        wait_until(lambda: is_zombie(pids["pid"]), "the end of init")
        yield
    finally:
        os.kill(pids["monitor"], signal.SIGCONT)


def is_zombie(pid: int) -> bool:
    """Say whether a process is dead and not yet collected (proc_pid_stat(5))."""
    return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z"


def test_removal_by_force_of_containers_with_rm_succeeds(minirt: Minirt, image: str) -> None:
    for _ in range(12):
        minirt("run", "-d", "--rm", "--name", "web", "--net", "none", image, *SLEEP)
        done = minirt("rm", "-f", "web")
        assert (done.stdout, done.stderr) == ("web\n", "")
        assert minirt("ps", "-aq").stdout == ""


def test_a_command_says_that_the_container_has_just_ended(
    minirt: Minirt, image: str, tmp_path: Path
) -> None:
    minirt("network", "create", "one")
    minirt("network", "create", "two")
    with dead_but_locked(minirt, image, "--net", "one"):
        for words in commands(tmp_path):
            done = minirt(*words, code=None)
            assert done.returncode in (0, 1, 125), words
            assert not done.returncode or any(one in done.stderr for one in SENTENCES), done


def test_a_command_does_not_find_what_the_monitor_has_removed(
    minirt: Minirt, ground: Ground, image: str, tmp_path: Path
) -> None:
    minirt("network", "create", "one")
    minirt("network", "create", "two")
    with removed_but_locked(minirt, ground, image, "--net", "one"):
        assert len(minirt("ps", "-as").stdout.splitlines()) == 1
        assert minirt("rm", "-f", "web").returncode == 0
        for words in [*commands(tmp_path), ("start", "web"), ("wait", "web")]:
            done = minirt(*words, code=None)
            assert done.returncode in (1, 125), words
            assert any(one in done.stderr for one in MISSING), done


def test_wait_knows_the_exit_code_of_a_container_with_rm_that_ends_before_it_is_heard(
    minirt: Minirt, image: str
) -> None:
    minirt("run", "-d", "--rm", "--name", "web", "--net", "none", image, *SLEEP)
    pids = state_of(minirt, "web")
    os.kill(pids["monitor"], signal.SIGSTOP)
    os.kill(pids["pid"], signal.SIGKILL)
    with started(*minirt_words("wait", "web")) as waiting:
        wait_until(lambda: clients_of_monitor() == 1, "the connection")
        os.kill(pids["monitor"], signal.SIGCONT)
        assert waiting.communicate(timeout=20)[0] == "137\n"


def clients_of_monitor() -> int:
    """Count the connections to a monitor that it has not accepted yet (proc_net(5), state 02)."""
    rows = [line.split() for line in Path("/proc/net/unix").read_text().splitlines()]
    return sum(row[5] in ("02", "03") and row[-1].endswith("monitor.sock") for row in rows)
