"""Removals: of several containers at once; of one with ``--rm``, before and after the answer."""

from __future__ import annotations

import fcntl
import os
import signal
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from integration.conftest import Minirt
from integration.containers import state_of
from integration.sandbox import minirt_words, shell, wait_until
from integration.traces import Ground
from minirt.container import protocol
from minirt.kernel import cgroups

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


def test_what_is_taken_away_after_the_answer_goes_also_if_the_monitor_is_killed_there(
    minirt: Minirt, image: str, ground: Ground
) -> None:
    words = ("run", "-d", "--rm", "--name", "one", "--net", "none", image, "sleep", "1000")
    container = minirt(*words).stdout.strip()
    pids, folder = state_of(minirt, "one"), ground.run / "containers" / container
    with protocol.connect(folder) as line:
        protocol.tell(line, {"do": "attach", "stdin": False, "output": False})
        protocol.hear_json(line)
        os.kill(pids["pid"], signal.SIGKILL)
        kind, code, _ = protocol.hear(line)
        assert (kind, code) == (protocol.EXIT, b"137")
        os.kill(pids["monitor"], signal.SIGKILL)  # It waits for us to leave, a second at most.
        wait_until(lambda: not Path(f"/proc/{pids['monitor']}/ns").exists(), "its end")
    group = cgroups.find(container)
    assert folder.exists() and any(one.path.exists() for one in group.folders)
    assert minirt("ps", "-aq").stdout == ""
    minirt("run", "--rm", "--name", "one", "--net", "none", image, "true")
    assert not folder.exists() and not any(one.path.exists() for one in group.folders)


@pytest.mark.parametrize(
    ("words", "is_held"),
    [
        (("--rm",), True),
        ((), False),
        (("--rm", "-v", "/tmp:/x"), False),
        (("--rm", "-v", "data:/x"), False),
    ],
)
def test_nobody_keeps_the_operators_file_systems_longer_than_init(
    minirt: Minirt, image: str, words: tuple[str, ...], is_held: bool
) -> None:
    """A mount namespace that the monitor holds ends after the answer, and so does what is in it."""
    minirt("run", "-d", *words, "--name", "one", "--net", "none", image, "sleep", "1000")
    monitor = state_of(minirt, "one")["monitor"]
    held = [str(one.readlink()) for one in Path(f"/proc/{monitor}/fd").iterdir()]
    assert any(one.startswith("mnt:") for one in held) == is_held


@pytest.mark.in_process  # It is this process that is looked at.
@pytest.mark.parametrize(
    ("words", "is_held"), [((), True), (("-v", "/tmp:/x"), False), (("-v", "data:/x"), False)]
)
def test_who_removes_a_container_takes_its_own_file_system_down_last(
    minirt: Minirt, image: str, ground: Ground, words: tuple[str, ...], is_held: bool
) -> None:
    minirt("run", "-d", *words, "--name", "one", "--net", "none", image, "sleep", "1000")
    pids = state_of(minirt, "one")
    with removing("one") as remover:
        there = ("containers/*", "trash/*")
        wait_until(lambda: not any(any(ground.root.glob(one)) for one in there), "the removal")
        held = [str(one.readlink()) for one in Path(f"/proc/{remover}/fd").iterdir()]
        assert any(one.startswith("mnt:") for one in held) == is_held
        assert Path(f"/proc/{pids['monitor']}/ns").exists()  # It dies when it is left.
    wait_until(lambda: not Path(f"/proc/{pids['monitor']}/ns").exists(), "its end")


@contextmanager
def removing(name: str) -> Iterator[int]:
    """Remove a container, for a reader who is slow to take the answer; yield the PID."""
    reader, writer = os.pipe()
    fcntl.fcntl(writer, fcntl.F_SETPIPE_SZ, 4096)
    os.write(writer, bytes(4096))
    command = subprocess.Popen([*minirt_words(), "rm", "-f", name], stdout=writer)
    os.close(writer)
    try:
        yield command.pid
    finally:
        with open(reader, "rb") as told:
            told.read()
        assert command.wait() == 0
