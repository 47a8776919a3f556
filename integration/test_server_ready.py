"""What the fork server has ready for the next command: a child that waits, and a monitor."""

from __future__ import annotations

import array
import fcntl
import json
import os
import signal
import socket
import subprocess
import termios
from contextlib import suppress
from pathlib import Path

import pytest

from integration.sandbox import PATIENCE, wait_until, wait_until_gone
from integration.serving import parent_of, run, served, server, words
from integration.traces import Ground
from integration.warm import commands_of, monitors_of
from minirt import state
from minirt.kernel import sockets
from minirt.server import client

__all__ = ["server"]  # fixtures
pytestmark = pytest.mark.in_process  # Its tests start and stop servers themselves.


def test_a_child_that_waited_runs_the_next_command(server: int, image: str) -> None:
    with served(server, image) as (_, child):
        run("rm", "-f", "one")
    wait_until(lambda: child not in commands_of(server), "the end of the one that waited")
    wait_until(lambda: len(commands_of(server)) == 1, "the next one")
    assert commands_of(server) != [child]


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGSTOP])
def test_a_child_that_waited_in_vain_is_not_missed(server: int, number: signal.Signals) -> None:
    """Killed, another one takes its place; stopped, its client runs the command itself."""
    wait_until(lambda: commands_of(server), "a child that waits")
    (ready,) = commands_of(server)
    os.kill(ready, number)
    assert run("version", "-f", "here").stdout == "here\n"
    assert run("version", "-f", "again").stdout == "again\n"
    assert ready not in commands_of(server)


def test_the_spare_monitor_is_for_the_first_who_wants_one(server: int, image: str) -> None:
    wait_until(lambda: monitors_of(server), "a monitor that waits")
    (spare,) = monitors_of(server)
    assert run("version").returncode == 0
    assert run("exec", "nobody", "true").returncode == 1
    assert monitors_of(server) == [spare]
    assert run("run", "-d", "--name", "one", "--net", "none", image, "sleep", "9").returncode == 0
    (kept,) = json.loads(run("inspect", "one").stdout)
    assert parent_of(Path(f"/proc/{kept['State']['Pid']}/status").read_text()) == spare
    wait_until(lambda: len(monitors_of(server)) == 2, "the next one")
    assert run("rm", "-f", "one").returncode == 0
    wait_until(lambda: spare not in monitors_of(server), "its end")


def test_a_spare_monitor_that_was_killed_is_not_missed(server: int, image: str) -> None:
    wait_until(lambda: monitors_of(server), "a monitor that waits")
    (spare,) = monitors_of(server)
    os.kill(spare, signal.SIGKILL)
    wait_until_gone(spare)
    done = run("run", "--rm", "--net", "none", image, "echo", "here")
    assert (done.stdout, done.returncode) == ("here\n", 0)
    wait_until(lambda: monitors_of(server), "the next one")


def test_a_spare_monitor_ends_with_the_server(server: int) -> None:
    wait_until(lambda: monitors_of(server), "a monitor that waits")
    (spare,) = monitors_of(server)
    os.kill(server, signal.SIGKILL)
    wait_until_gone(server)
    wait_until(lambda: not Path(f"/proc/{spare}").exists(), "its end")


def test_a_client_that_went_on_alone_is_not_waited_for(server: int) -> None:
    """Its line to the server is not among the descriptors that its words name."""
    wait_until(lambda: commands_of(server), "a child that waits")
    (slow,) = commands_of(server)
    os.kill(slow, signal.SIGSTOP)
    assert run("version", "-f", "/proc/self/fd/3").stdout == "/proc/self/fd/3\n"
    with suppress(ProcessLookupError):  # The server has heard the end of the client.
        os.kill(slow, signal.SIGCONT)
    wait_until(lambda: slow not in commands_of(server), "its end")


def test_a_child_that_was_killed_before_the_word_is_told_as_any(
    ground: Ground, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its client's words are there unread, so the line does not end but is reset (unix(7))."""
    monkeypatch.delenv("MINIRT_NO_SERVER")
    with sockets.listen_at(
        state.made(ground.run / "server"), client.name(), socket.SOCK_STREAM, 1
    ) as listener:
        typed = subprocess.Popen(words("version"), stderr=subprocess.PIPE)
        line, _ = listener.accept()
        pidfd = os.pidfd_open(os.getpid())
        socket.send_fds(line, [client.ACCEPTED], [pidfd])
        said = 8 + int.from_bytes(line.recv(8, socket.MSG_PEEK)) + len(client.GO)
        wait_until(lambda: unread(line) == said, "the word")
        line.close()
        assert typed.communicate(timeout=20 * PATIENCE)[1] == b""
    os.close(pidfd)
    assert typed.returncode == -signal.SIGKILL


def unread(line: socket.socket) -> int:
    """Return how many bytes have come (unix(7), SIOCINQ)."""
    count = array.array("i", [0])
    fcntl.ioctl(line, termios.FIONREAD, count)
    return count[0]
