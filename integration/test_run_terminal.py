"""``minirt run -t``: a person at a real terminal."""

from __future__ import annotations

import os
import signal

import pytest

from integration.conftest import Minirt
from integration.sandbox import wait_until
from integration.serving import writes_to
from integration.traces import Ground
from integration.typist import DETACH, at_terminal
from integration.warm import commands_of, servers

QUIET = ("run", "--rm", "--net", "none")


def test_it_is_a_terminal_of_the_containers_own_and_of_our_size(image: str) -> None:
    with at_terminal(
        *QUIET, "-it", image, "sh", "-c", "tty; stty size; echo $TERM; echo done"
    ) as me:
        lines = me.read_until("done").split()
        assert lines == ["/dev/pts/0", "30", "100", "xterm"]
        assert me.wait() == 0
        assert not me.is_raw()


def test_a_size_that_is_told_when_all_is_over_harms_nobody(image: str) -> None:
    """It is told at the start, and a short command may have ended by then."""
    for _ in range(20):
        with at_terminal(*QUIET, "-it", image, "echo", "done") as me:
            me.read_until("done")
            assert me.wait() == 0


def test_a_new_size_reaches_the_container(image: str) -> None:
    script = "trap 'stty size' WINCH; echo ready; while :; do read x; done"
    with at_terminal(*QUIET, "-it", image, "sh", "-c", script) as me:
        me.read_until("ready")
        me.resize(44, 132)
        me.read_until("44 132")
        me.type("\x03")
        assert me.wait() == 130


def test_keys_are_the_containers_while_it_runs(image: str) -> None:
    with at_terminal(*QUIET, "-it", image, "sh") as me:
        me.read_until("# ")
        assert me.is_raw()
        me.type("sh -c 'echo run''ning; exec sleep 1000'\r")
        me.read_until("running")
        me.type("\x03")  # interrupts what runs in the foreground, inside
        me.read_until("# ")
        me.type("echo $((6 * 7))\r")
        me.read_until("42")
        me.type("exit 9\r")
        assert me.wait() == 9
        assert not me.is_raw()


def test_ctrl_p_ctrl_q_leaves_and_attach_comes_back(minirt: Minirt, image: str) -> None:
    with at_terminal("run", "--name", "one", "--net", "none", "-it", image, "sh") as me:
        me.read_until("# ")
        me.type("marker=here" + DETACH)
        assert me.wait() == 0
        assert not me.is_raw()
    assert minirt("ps", "--format", "{{.Names}}").stdout == "one\n"
    with at_terminal("attach", "one") as me:
        me.type("; echo $marker\r")
        me.read_until("here\r\n")
        me.type("\x04")
        assert me.wait() == 0
        assert not me.is_raw()


def test_one_may_leave_with_other_keys(minirt: Minirt, image: str) -> None:
    with at_terminal("run", "--name", "one", "--net", "none", "--detach-keys", "ctrl-x,z",
                     "-it", image, "sh") as me:  # fmt: skip
        me.read_until("# ")
        me.type("echo a\x10\x11b\x18\x18z")
        assert me.wait() == 0
        assert not me.is_raw()
    assert minirt("inspect", "-f", "{{.State.Status}}", "one").stdout == "running\n"
    minirt("rm", "-f", "one")
    refused = minirt("run", "--detach-keys", "ctrl-", image, "true", code=125).stderr
    assert "Unknown character: 'ctrl-'" in refused


def test_a_lonely_ctrl_p_is_passed_on(image: str) -> None:
    with at_terminal(*QUIET, "-it", image, "sh", "-c", "stty raw; echo ready; cat -v") as me:
        me.read_until("ready")
        me.type("\x10")
        me.type("x")
        me.read_until("^Px")
        me.child.kill()


def test_the_terminal_is_given_back_when_run_is_told_to_end(minirt: Minirt, image: str) -> None:
    with at_terminal("run", "--name", "one", "--net", "none", "-it", image, "sh") as me:
        me.read_until("# ")
        me.child.send_signal(signal.SIGTERM)
        me.wait()
        assert not me.is_raw()
    minirt("rm", "-f", "one")


def test_a_command_that_is_killed_leaves_no_raw_terminal(
    minirt: Minirt, image: str, ground: Ground
) -> None:
    """The client, whose terminal it is, knows how that was."""
    for _ in range(5):
        with at_terminal("run", "--name", "one", "--net", "none", "-it", image, "sh") as me:
            me.read_until("# ")
            assert me.is_raw()
            (server,) = servers(ground.run)
            serving = [pid for pid in commands_of(server) if writes_to(pid, me.slave)]
            if serving:
                os.kill(serving[0], signal.SIGKILL)
                assert me.wait() == -signal.SIGKILL
                assert not me.is_raw()
        minirt("rm", "-f", "one")
        if serving:
            return
    pytest.fail("no client was served in time")


def test_t_without_i_shows_and_does_not_read(image: str) -> None:
    with at_terminal(
        *QUIET, "-t", image, "sh", "-c", "trap 'exit 4' INT; tty; sleep 1000 & wait"
    ) as me:
        me.read_until("/dev/pts/0")
        assert not me.is_raw()
        me.type("\x03")  # our terminal turns it into SIGINT for run, which passes it on
        assert me.wait() == 4


def test_its_descriptors_are_the_terminal_alone(image: str) -> None:
    script = "for fd in /proc/self/fd/*; do readlink $fd; done; ls /proc/1/fd; echo done"
    with at_terminal(*QUIET, "-it", image, "sh", "-c", script) as me:
        lines = me.read_until("done").split()
        assert lines[:3] == ["/dev/pts/0"] * 3
        assert set(lines[3:]) <= {"0", "1", "2", "10", "/dev/pts/0", "/dev/tty"} | {
            one for one in lines if one.startswith("/proc/")
        }


def test_d_with_a_terminal_lives_without_a_person(minirt: Minirt, image: str) -> None:
    minirt("run", "-dit", "--name", "one", "--net", "none", image, "sh")
    with at_terminal("attach", "one") as me:
        me.type("stty size; echo it works\r")
        me.read_until("30 100")
        me.read_until("it works\r\n")
        me.type(DETACH)
        assert me.wait() == 0
    assert "it works" in minirt("logs", "one").stdout


@pytest.mark.parametrize("input", [None, "pwd\n"])
def test_a_terminal_is_not_fed_from_what_is_none(
    minirt: Minirt, image: str, input: str | None
) -> None:
    """It has no end of file that a shell would end by."""
    minirt("run", "-d", "-it", "--name", "one", "--net", "none", image, "sh")
    others = ("--name", "two", "--net", "none", "-it", image, "sh")
    for words, code, remedy in (
        (("run", *others), 1, "Leave out -t."),
        (("exec", "-it", "one", "sh"), 1, "Leave out -t."),
        (("attach", "one"), 1, "Leave its input alone, with --no-stdin."),
    ):
        told = minirt(*words, code=code, input=input).stderr
        assert told == f"minirt: The input device is not a TTY. {remedy}\n"
    assert minirt("ps", "-aq").stdout.count("\n") == 1
    assert minirt("exec", "-t", "one", "tty").stdout == "/dev/pts/1\n"
    minirt("kill", "one")
    wait_until(lambda: minirt("ps", "-q").stdout == "", "its end")
    assert "not a TTY" in minirt("start", "-ai", "one", code=1, input=input).stderr
    assert minirt("ps", "-q").stdout == ""
