"""``minirt exec``: one more process in a container that runs."""

from __future__ import annotations

import hashlib
import os
import shlex
import signal
import subprocess
from pathlib import Path

import pytest

from integration.conftest import Minirt
from integration.sandbox import PATIENCE, minirt_words, shell, started, wait_until
from integration.typist import at_terminal

pytestmark = pytest.mark.core

LARGE = 3_000_000  # bytes


@pytest.fixture
def one(minirt: Minirt, image: str) -> str:
    """Return the name of a container that runs."""
    words = ("--net", "none", "-e", "WHO=first", "-w", "/tmp", image, "sleep", "1000")
    minirt("run", "-d", "--name", "one", *words)
    return "one"


def test_it_is_in_the_containers_world(minirt: Minirt, one: str) -> None:
    script = "hostname; cat /proc/1/comm; pwd; echo $WHO; id -u; cat /proc/self/cgroup"
    lines = minirt("exec", one, "sh", "-c", script).stdout.splitlines()
    short = minirt("ps", "-q").stdout.strip()
    assert lines[:5] == [short, "sleep", "/tmp", "first", "0"]
    host = minirt("exec", one, "cat", "/proc/1/cgroup").stdout.splitlines()
    assert set(lines[5:]) == set(host)


@pytest.mark.parametrize(
    ("command", "code"),
    [("exit 0", 0), ("exit 42", 42), ("kill -TERM $$", 143), ("kill -KILL $$", 137)],
)
def test_the_exit_code_is_that_of_the_command(
    minirt: Minirt, one: str, command: str, code: int
) -> None:
    assert minirt("exec", one, "sh", "-c", command, code=code).stderr == ""


def test_what_cannot_run_is_named(minirt: Minirt, one: str) -> None:
    assert "no-such" in minirt("exec", one, "no-such", code=127).stderr
    assert "/etc" in minirt("exec", one, "/etc", code=126).stderr
    assert "nobody-here" in minirt("exec", "-u", "nobody-here", one, "id", code=126).stderr
    assert "/no/such" in minirt("exec", "-w", "/no/such", one, "id", code=126).stderr
    assert "No such container" in minirt("exec", "nothing", "id", code=1).stderr


def test_options_of_its_own(minirt: Minirt, one: str) -> None:
    words = ("-e", "A=1", "-e", "WHO=second", "-w", "/etc", "-u", "www")
    script = "echo $A $WHO $PWD $(id -u) $(id -g) $HOME"
    seen = minirt("exec", *words, one, "sh", "-c", script).stdout.split()
    assert seen == ["1", "second", "/etc", "33", "33", "/home/www"]


def test_privileges_are_the_containers_unless_told(minirt: Minirt, one: str) -> None:
    words = ("grep", "-E", "CapEff|CapBnd|CapInh|CapAmb|Seccomp:", "/proc/self/status")
    plain = minirt("exec", one, *words).stdout.split()
    none = "0" * 16
    granted = "00000000a80425fb"
    assert plain[1::2] == [none, granted, granted, none, "2"]
    able = minirt("exec", "--privileged", one, *words).stdout.split()
    assert int(able[3], 16) > int(granted, 16)
    assert able[9] == "0"
    assert minirt("exec", "-u", "www", one, *words).stdout.split()[3] == none


def test_input_output_and_errors(minirt: Minirt, one: str) -> None:
    assert minirt("exec", one, "cat", input="not for you").stdout == ""
    done = minirt("exec", "-i", one, "sh", "-c", "cat; echo err >&2", input="in")
    assert (done.stdout, done.stderr) == ("in", "err\n")
    data = os.urandom(LARGE)
    words = minirt_words("exec", "-i", one, "cat")
    back = subprocess.run(
        words, input=data, capture_output=True, timeout=30 * PATIENCE, check=True
    ).stdout
    assert hashlib.sha256(back).digest() == hashlib.sha256(data).digest()


def test_much_goes_both_ways_through_files(
    one: str, tmp_path_factory: pytest.TempPathFactory
) -> None:
    """Files are not handed over but copied: two loops instead of two pipes."""
    folder = tmp_path_factory.mktemp("files")
    data = os.urandom(LARGE)
    (folder / "in").write_bytes(data)
    words = minirt_words("exec", "-i", one, "cat")
    with (folder / "in").open("rb") as source, (folder / "out").open("wb") as sink:
        subprocess.run(words, stdin=source, stdout=sink, timeout=30 * PATIENCE, check=True)
    assert (folder / "out").read_bytes() == data


def test_a_terminal_of_its_own(one: str) -> None:
    script = "tty; stty size; echo ready; exec sh"
    with at_terminal("exec", "-it", one, "sh", "-c", script) as me:
        assert me.read_until("ready").split() == ["/dev/pts/0", "30", "100"]
        me.read_until("# ")
        me.resize(50, 120)
        me.type("while ! stty size | grep 120; do :; done; exit 3\r")
        me.read_until("50 120")
        assert me.wait() == 3
        assert not me.is_raw()


def test_keys_reach_its_foreground(one: str) -> None:
    with at_terminal("exec", "-it", one, "sh", "-c", "echo re''ady; exec sleep 1000") as me:
        me.read_until("ready")
        me.type("\x03")
        assert me.wait() == 130


def test_signals_are_passed_on(one: str) -> None:
    script = "trap 'echo caught; exit 7' TERM; echo ready; while :; do sleep 0.1; done"
    with started(*minirt_words("exec", one, "sh", "-c", script)) as child:
        assert child.stdout and child.stdout.readline() == "ready\n"
        child.send_signal(signal.SIGTERM)
        assert child.wait(10) == 7
        assert child.stdout.read() == "caught\n"


def test_d_leaves_it_running(minirt: Minirt, one: str) -> None:
    assert minirt("exec", "-d", one, "sh", "-c", "sleep 0.2; echo $WHO > /tmp/out").stdout == ""
    wait_until(lambda: minirt("exec", one, "cat", "/tmp/out", code=None).stdout == "first\n")


def test_it_has_three_descriptors_and_none_of_ours(one: str) -> None:
    line = " ".join(minirt_words("exec", "OPTIONS", one, "ls", "/proc/self/fd"))
    for options in ("", "-i"):
        words = "exec 9</etc/passwd 10>/dev/null; " + line.replace("OPTIONS", options)
        assert shell("bash", "-c", words).stdout.split() == ["0", "1", "2", "3"]
    with at_terminal("exec", "-t", one, "sh", "-c", "ls /proc/self/fd; echo done") as me:
        assert me.read_until("done").split() == ["0", "1", "2", "3"]


def test_it_ends_with_its_container(minirt: Minirt, one: str) -> None:
    with started(*minirt_words("exec", one, "sh", "-c", "echo ready; sleep 1000")) as child:
        assert child.stdout and child.stdout.readline() == "ready\n"
        minirt("kill", one)
        assert child.wait(10) == 137
    said = minirt("exec", one, "true", code=1).stderr
    assert "not running" in said
    assert "minirt start one" in said


def test_a_killed_exec_command_leaves_the_container_alone(minirt: Minirt, one: str) -> None:
    with started(*minirt_words("exec", "-i", one, "sh", "-c", "echo ready; cat")) as child:
        assert child.stdout and child.stdout.readline() == "ready\n"
        child.kill()
    assert minirt("exec", one, "echo", "alive").stdout == "alive\n"


LEFT = "(sleep 2; echo late; sleep 1; echo later; touch /alive; exec sleep 1000) & echo early"


@pytest.mark.parametrize("sink", ["pipe", "one pipe", "file"])
def test_it_ends_though_it_has_left_something_running_and_that_goes_on(
    minirt: Minirt, one: str, tmp_path: Path, sink: str
) -> None:
    """As with podman and Docker; whoever reads its output waits for the command alone."""
    words = " ".join(map(shlex.quote, minirt_words("exec", one, "sh", "-c", f"{LEFT}; exit 3")))
    output = tmp_path / "output"
    ends = {"pipe": "| cat >", "one pipe": "2>&1 | cat >", "file": ">"}[sink]
    done = shell("bash", "-c", f"set -o pipefail; {words} {ends} {output}", code=3)
    assert (output.read_text(), done.stderr) == ("early\n", "")
    minirt("exec", one, "test", "-e", "/alive", code=1)
    # Its next writes have a reader: without one it would die by SIGPIPE.
    wait_until(lambda: minirt("exec", one, "test", "-e", "/alive", code=None).returncode == 0)
    assert output.read_text() == "early\n"


def test_nothing_is_lost_where_the_reader_is_slow(one: str, tmp_path: Path) -> None:
    script = "dd if=/dev/zero bs=65536 count=16 2>/dev/null; echo end"
    words = " ".join(map(shlex.quote, minirt_words("exec", one, "sh", "-c", script)))
    counted = shell("bash", "-c", f"{words} | (sleep 1; wc -c)").stdout
    assert int(counted) == 16 * 65536 + len("end\n")


def test_a_reader_that_leaves_ends_the_command(one: str) -> None:
    words = " ".join(map(shlex.quote, minirt_words("exec", one, "yes")))
    done = shell("bash", "-c", f"set -o pipefail; {words} | head -1", code=141)
    assert done.stdout == "y\n"


def test_output_and_errors_in_one_pipe_keep_their_order(one: str) -> None:
    script = "for i in 1 2 3 4 5 6 7 8 9; do echo o$i; echo e$i >&2; done"
    words = " ".join(map(shlex.quote, minirt_words("exec", one, "sh", "-c", script)))
    lines = shell("bash", "-c", f"{words} 2>&1 | cat").stdout.split()
    assert lines == [f"{kind}{number}" for number in range(1, 10) for kind in "oe"]


@pytest.mark.parametrize("pieces", [7, 9], ids=["it has ended", "it waits to write"])
def test_a_signal_ends_it_though_nobody_reads(minirt: Minirt, one: str, pieces: int) -> None:
    """Two pipes of 256 KiB hold seven pieces of 64, and not nine."""
    script = f"touch /begun; dd if=/dev/zero bs=65536 count={pieces} 2>/dev/null; touch /done"
    with started(*minirt_words("exec", one, "sh", "-c", script)) as child:
        awaited = "/done" if pieces == 7 else "/begun"
        is_there = ("exec", one, "test", "-e", awaited)
        wait_until(lambda: minirt(*is_there, code=None).returncode == 0, awaited)
        child.send_signal(signal.SIGTERM)
        assert child.wait(timeout=20) in (0, 143)
