"""A shell's jobs: Ctrl-Z, ``fg``, ``&``, Ctrl-C, timeout(1), with a server as without one."""

from __future__ import annotations

import contextlib
import shlex
import subprocess
from collections.abc import Iterator

import psutil
import pytest

from integration.conftest import Minirt
from integration.sandbox import minirt_words, wait_until
from integration.traces import Ground
from integration.typist import Typist, typing
from integration.warm import commands_of, servers

pytestmark = pytest.mark.core


@contextlib.contextmanager
def at_a_shell() -> Iterator[tuple[Typist, psutil.Process]]:
    with typing("bash", "--norc", "--noprofile", "-i") as person:
        yield person, psutil.Process(person.child.pid)
        person.type("exit\n")
        person.wait()


def typed(*words: str) -> str:
    return shlex.join(minirt_words("run", "--rm", "--net", "none", *words))


def is_stopped(process: psutil.Process) -> bool:
    return bool(process.status() == psutil.STATUS_STOPPED)


def test_ctrl_z_stops_the_command_and_not_the_container(
    minirt: Minirt, image: str, ground: Ground
) -> None:
    script = "trap 'exit 7' INT; echo u''p; while :; do sleep 0.1; done"
    with at_a_shell() as (person, shell):
        person.type(f"{typed('--name', 'one', image, 'sh', '-c', script)}\n")
        person.read_until("up\r\n")
        commands = shell.children()
        for server in servers(ground.run):
            commands += map(psutil.Process, commands_of(server)[-1:])
        person.type("\x1a")
        person.read_until("Stopped")
        wait_until(lambda: all(map(is_stopped, commands)), "all that is the command stops")
        assert "Up" in minirt("ps", "--filter", "name=one").stdout
        person.type("fg\n")
        wait_until(lambda: not any(map(is_stopped, commands)), "all of it goes on")
        person.type("\x03")
        wait_until(lambda: not shell.children(), "Ctrl-C reaches the container")
        person.type("echo co''de=$?\n")
        person.read_until("code=7\r\n")


def test_what_reads_its_terminal_from_the_background_is_stopped(image: str) -> None:
    with at_a_shell() as (person, shell):

        def is_stopped_by_a_key() -> bool:
            person.type("\n")
            return any(map(is_stopped, shell.children()))

        person.type(f"{typed('-i', image, 'cat')} &\n")
        wait_until(is_stopped_by_a_key, "SIGTTIN")
        person.type("fg\n")
        wait_until(lambda: not any(map(is_stopped, shell.children())), "SIGCONT")
        person.type("hello\n")
        person.read_until("hello\r\nhello\r\n")  # what the terminal shows, and what cat says
        person.type("\x04")
        wait_until(lambda: not shell.children(), "the end of its input")
        person.type("echo co''de=$?\n")
        person.read_until("code=0\r\n")


def test_timeout_ends_it_and_its_container(minirt: Minirt, image: str) -> None:
    words = minirt_words("run", "--rm", "--init", "--net", "none", image, "sleep", "1000")
    done = subprocess.run(["timeout", "2", *words], check=False, stdin=subprocess.DEVNULL)
    assert done.returncode == 124
    assert minirt("ps", "-aq").stdout == ""
