"""``minirt attach`` and ``start -a``: coming back to a container that runs."""

from __future__ import annotations

import signal
import time

import pytest

from integration.conftest import Minirt
from integration.sandbox import minirt_words, started, wait_until
from integration.typist import DETACH, at_terminal

pytestmark = pytest.mark.core

NONE = ("--net", "none")
ECHO = "echo up; while read line; do echo got $line; done; echo end; exit 4"


@pytest.mark.in_process  # It looks at the process of the command.
def test_output_from_now_on_and_the_exit_code(minirt: Minirt, image: str) -> None:
    script = "trap 'echo caught; exit 7' TERM; echo up; while :; do sleep 0.05; done"
    minirt("run", "-d", "--name", "one", *NONE, image, "sh", "-c", script)
    wait_until(lambda: minirt("logs", "one").stdout == "up\n")
    with started(*minirt_words("attach", "one")) as attached:
        wait_until(lambda: is_connected(minirt, attached.pid))
        attached.send_signal(signal.SIGTERM)
        assert attached.wait(10) == 7
        assert attached.stdout and attached.stdout.read() == "caught\n"
    assert "not running" in minirt("attach", "one", code=1).stderr


def is_connected(minirt: Minirt, pid: int) -> bool:
    """Say whether a command has opened its way to the monitor, and catches signals."""
    with open(f"/proc/{pid}/status", encoding="utf-8") as file:
        masks = dict(line.split(":\t") for line in file if line.startswith("Sig"))
    return bool(int(masks["SigCgt"], 16) & 1 << (signal.SIGTERM - 1))


def test_input_reaches_it_and_ends_it(minirt: Minirt, image: str) -> None:
    minirt("run", "-di", "--name", "one", *NONE, image, "sh", "-c", ECHO)
    with started(*minirt_words("attach", "one"), stdin=-1) as attached:
        assert attached.stdin and attached.stdout
        attached.stdin.write("first\n")
        attached.stdin.flush()
        assert attached.stdout.readline().endswith("got first\n")
        attached.stdin.close()
        assert attached.wait(10) == 4
        assert attached.stdout.read() == "end\n"


def test_two_see_the_same_and_either_may_leave(minirt: Minirt, image: str) -> None:
    with at_terminal("run", "-it", "--name", "one", *NONE, image, "sh", "-c", ECHO) as me:
        me.read_until("up")
        with at_terminal("attach", "one") as other:
            wait_until(other.is_raw)
            me.type("one\n")
            me.read_until("got one")
            other.read_until("got one")
            other.type("two\n")
            me.read_until("got two")
            other.type(DETACH)
            assert other.wait() == 0
        me.type("three\n")
        me.read_until("got three")
        me.type("\x04")
        me.read_until("end")
        assert me.wait() == 4


@pytest.mark.in_process  # It looks at the processes of the commands.
def test_without_stdin_it_only_shows(minirt: Minirt, image: str) -> None:
    minirt("run", "-di", "--name", "one", *NONE, image, "sh", "-c", ECHO)
    words = minirt_words("attach", "--no-stdin", "one")
    with (
        started(*words, stdin=-1) as watching,
        started(*minirt_words("attach", "one"), stdin=-1) as me,
    ):
        assert watching.stdin and watching.stdout and me.stdin and me.stdout
        wait_until(lambda: is_connected(minirt, watching.pid) and is_connected(minirt, me.pid))
        watching.stdin.write("ignored\n")
        watching.stdin.close()
        me.stdin.write("heard\n")
        me.stdin.flush()
        assert watching.stdout.readline().endswith("got heard\n")
        minirt("kill", "one")
        assert (watching.wait(10), me.wait(10)) == (137, 137)


def test_start_a_i_is_like_run(minirt: Minirt, image: str) -> None:
    minirt("create", "-i", "--name", "one", *NONE, image, "sh", "-c", ECHO)
    for _ in range(2):
        done = minirt("start", "-ai", "one", input="x\n", code=4)
        assert done.stdout == "up\ngot x\nend\n"
    minirt("create", "--name", "two", *NONE, image, "sh", "-c", "echo out; echo err >&2; exit 3")
    done = minirt("start", "-a", "two", code=3)
    assert (done.stdout, done.stderr) == ("out\n", "err\n")
    assert "several" in minirt("start", "-a", "one", "two", code=1).stderr


def test_a_slow_reader_slows_the_command_and_loses_nothing(minirt: Minirt, image: str) -> None:
    script = "seq 300000; exit 2"
    words = ("run", "--name", "one", "--log-driver", "none", *NONE, image, "sh", "-c", script)
    with started(*minirt_words(*words)) as run:
        assert run.stdout
        assert run.stdout.readline() == "1\n"
        minirt("exec", "one", "true")  # Nobody reads: the command waits, the monitor does not.
        assert run.stdout.read().splitlines()[-1] == "300000", minirt("inspect", "one").stdout
        assert run.wait(10) == 2


def test_a_reader_who_comes_back_long_after_the_end_gets_it_all(minirt: Minirt, image: str) -> None:
    """The monitor waits for it with everything else closed already."""
    words = ("run", "--name", "one", "--log-driver", "none", *NONE, image, "seq", "60000")
    with started(*minirt_words(*words)) as run:
        assert run.stdout
        assert run.stdout.readline() == "1\n"
        time.sleep(1)
        assert run.stdout.read().splitlines()[-1] == "60000"
        assert run.wait(10) == 0
