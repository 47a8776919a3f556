"""The number of a dead process is the next one's: a signal must not reach whoever has it now."""

from __future__ import annotations

import ctypes
import os
import signal
import struct
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from integration import oci
from integration.conftest import Minirt
from integration.containers import state_of
from integration.sandbox import needs_tool, started, wait_until
from integration.traces import Ground
from minirt.kernel import libc, processes


def born_as(pid: int) -> bool:
    """Fork a process with this very number, set_tid of clone3(2); say whether it was free.

    Whoever sets the kernel's counter instead, and forks, may lose the number to somebody who
    forks in between.
    """
    number = ctypes.c_int(pid)
    words = (0, 0, 0, 0, signal.SIGCHLD, 0, 0, 0, ctypes.addressof(number), 1, 0)
    arguments = ctypes.create_string_buffer(struct.pack("11Q", *words), 88)
    try:
        born = libc.syscall("clone3", arguments, 88)
    except FileExistsError:
        return False
    if born == 0:
        os.execvp("sleep", ["sleep", "infinity"])
    return True


@contextmanager
def stranger_with(pid: int) -> Iterator[None]:
    """Give a dead process's number to another one, and look whether that is unharmed."""
    wait_until(lambda: born_as(pid), "the end of the old one")
    yield
    assert os.waitpid(pid, os.WNOHANG) == (0, 0), "it was killed"
    os.kill(pid, signal.SIGTERM)  # The control: who goes by the number alone hits it.
    assert processes.wait(pid) == 128 + signal.SIGTERM


@pytest.mark.parametrize("whose", ["init", "monitor"])
def test_what_a_dead_container_leaves_behind_harms_nobody(
    minirt: Minirt, image: str, whose: str
) -> None:
    minirt("run", "-d", "--name", "one", image, "sleep", "1000")
    state = state_of(minirt, "one")
    os.kill(state["monitor"], signal.SIGKILL)
    with stranger_with(state["pid" if whose == "init" else "monitor"]):
        minirt("logs", "--follow", "one")  # It ends: nobody waits for the stranger's end.
        for words in (("kill",), ("stop", "-t", "0"), ("exec",), ("rm", "--force")):
            minirt(*words, "one", *(["true"] if words == ("exec",) else []), code=None)
    assert minirt("ps", "-aq").stdout == ""


@contextmanager
def delayed_after_waitid(pid: int) -> Iterator[None]:
    """Let a process stand still once it has collected a child, until the end of the body."""
    delay = ("--trace=waitid", "--inject=waitid:delay_exit=100s", "--signal=none")
    with started("strace", *delay, "--attach", pid) as tracer:
        assert tracer.stderr and "attached" in tracer.stderr.readline()
        yield
        tracer.kill()


@needs_tool("strace")
def test_while_a_monitor_tidies_up_its_dead_inits_number_is_nobodys(
    minirt: Minirt, image: str, tmp_path: Path
) -> None:
    """The lock is held yet, and the record names a process that is somebody else's now."""
    container = minirt("create", "--name", "one", image, "sleep", "1000").stdout.strip()
    minirt("start", "one")
    state = state_of(minirt, "one")
    with delayed_after_waitid(state["monitor"]):
        os.kill(state["pid"], signal.SIGKILL)
        with stranger_with(state["pid"]):
            assert minirt("ps", "-q").stdout.strip() == container[:12]
            copy = ("cp", "one:/etc/passwd", tmp_path)
            for words in copy, ("exec", "one", "true"), ("kill", "-s", "TERM", "one"):
                assert "has just ended" in minirt(*words, code=1).stderr
    minirt("wait", "one")


def test_a_container_of_another_program_is_not_its_successor(ground: Ground, rootfs: Path) -> None:
    one = oci.make(ground.root / "oci", rootfs)
    one.start("a")
    pid = one.state("a")["pid"]
    os.kill(pid, signal.SIGKILL)
    with stranger_with(pid):
        assert one.status("a") == "stopped"
        assert "not running" in one("kill", "a", "KILL", code=1).stderr
        one("exec", "a", "true", code=None)
        one("delete", "--force", "a")
    assert one.is_clean()
