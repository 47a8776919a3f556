"""The fork server: the same commands, with the same results, started faster."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from integration.naming import resolver_pid
from integration.sandbox import PATIENCE, started, wait_until
from integration.serving import listening, run, served, server, words
from integration.traces import Ground
from integration.warm import commands_of

__all__ = ["server"]  # fixtures
pytestmark = pytest.mark.in_process  # Its tests start and stop servers themselves.


def test_commands_are_children_of_the_server(server: int, image: str) -> None:
    with served(server, image) as (typed, child):
        assert commands_of(server) == [child]
        assert run("rm", "-f", "one").returncode == 0
        assert typed.wait(10 * PATIENCE) == 137


@pytest.mark.parametrize("code", [0, 7, 255])
def test_the_exit_code_comes_back(server: int, image: str, code: int) -> None:
    done = run("run", "--rm", "--net", "none", image, "sh", "-c", f"echo out; exit {code}")
    assert (done.stdout, done.returncode) == ("out\n", code)


def test_errors_come_back(server: int) -> None:
    done = run("run", "nosuch", "true")
    assert done.returncode == 125
    assert "nosuch" in done.stderr
    assert run("frobnicate").returncode == 1


def test_a_command_is_where_its_client_is(server: int, image: str, tmp_path: Path) -> None:
    (tmp_path / "vars").write_text("FROM_FILE=yes\n")
    done = run(
        *("run", "--rm", "--net", "none", "--env-file", "vars", "-e", "MINE", image, "env"),
        cwd=tmp_path,
        env={**os.environ, "MINE": "from the client"},
    )
    assert "FROM_FILE=yes" in done.stdout
    assert "MINE=from the client" in done.stdout


def test_times_are_those_of_the_clients_zone(server: int, image: str) -> None:
    run("run", "-d", "--name", "one", "--net", "none", image, "sleep", "99")
    shown = []
    for zone in ("", "UTC0", "IST-5:30"):
        environment = {key: value for key, value in os.environ.items() if key != "TZ"}
        environment |= {"TZ": zone} if zone else {}
        hours, minutes = run("top", "one", env=environment).stdout.split()[12].split(":")
        shown.append(60 * int(hours) + int(minutes))
    assert run("rm", "-f", "one").returncode == 0
    offset = -time.timezone // 60  # of the machine: what counts where the client has no TZ
    assert [(one - shown[1]) % 1440 for one in shown] == [offset % 1440, 0, 330]


# Niceness and policy (proc_pid_stat(5)), and the processors that it may have.
TRAITS = "set -- $(cat /proc/self/stat); shift 18; n=$1; shift 22; "
TRAITS += "echo $n $1 $(grep Cpus_allowed_list /proc/self/status | cut -f2)"


def batch_on(processor: int) -> tuple[str, ...]:
    return ("taskset", "-c", str(processor), "chrt", "--batch", "0")


@pytest.mark.parametrize("options", [(), ("--userns", "private"), ("--pid", "host")])
def test_a_container_has_the_limits_of_who_typed_it(
    server: int, image: str, options: tuple[str, ...]
) -> None:
    typed = words(
        "run",
        "--rm",
        "--net",
        "none",
        *options,
        image,
        "sh",
        "-c",
        f"ulimit -n; {TRAITS}",
    )
    one = max(os.sched_getaffinity(0))
    done = subprocess.run(
        ["prlimit", "--nofile=201:254", "nice", "-n", "7", *batch_on(one), *typed],
        capture_output=True,
        text=True,
        check=True,
    )
    niceness = min(os.nice(0) + 7, 19)  # The tests themselves may run below nice(1).
    assert done.stdout == f"201\n{niceness} {os.SCHED_BATCH} {one}\n"


def test_a_container_has_nothing_of_who_has_started_the_server(
    ground: Ground, monkeypatch: pytest.MonkeyPatch, image: str
) -> None:
    monkeypatch.delenv("MINIRT_NO_SERVER")
    usual = max(0, int(Path("/proc/self/oom_score_adj").read_text()))
    script = f'echo {usual + 9} > /proc/self/oom_score_adj; exec nice -n 5 setarch -R "$@"'
    typed = [*batch_on(0), "sh", "-c", script, "sh", *words("ps")]
    subprocess.run(typed, check=True)
    wait_until(lambda: listening(ground), "the server")
    script = f"cat /proc/self/personality /proc/self/oom_score_adj; {TRAITS}"
    done = run("run", "--rm", "--net", "none", image, "sh", "-c", script)
    personality, score, traits = done.stdout.splitlines()
    assert int(personality, 16) == 0
    assert int(score) <= usual
    all_processors = Path("/proc/self/status").read_text().partition("Cpus_allowed_list:\t")[2]
    assert traits == f"{os.nice(0)} {os.SCHED_OTHER} {all_processors.splitlines()[0]}"
    assert run("server", "stop").returncode == 0


def test_files_belong_to_the_group_of_who_typed_it(server: int, image: str, tmp_path: Path) -> None:
    for group in (7, 0):
        file = tmp_path / f"id-{group}"
        typed = words("run", "--rm", "--net", "none", "--cidfile", file, image, "true")
        subprocess.run(["setpriv", f"--regid={group}", "--clear-groups", *typed], check=True)
        assert file.stat().st_gid == group


def test_descriptors_that_are_named_come_along(server: int, image: str) -> None:
    reader, writer = os.pipe()
    os.write(writer, b"PIPED=yes\n")
    os.close(writer)
    file = f"/dev/fd/{reader}"
    done = run("run", "--rm", "--net", "none", "--env-file", file, image, "env", pass_fds=[reader])
    os.close(reader)
    assert "PIPED=yes" in done.stdout


@pytest.mark.parametrize("number", range(3, 16))
def test_whatever_number_it_has(server: int, image: str, tmp_path: Path, number: int) -> None:
    """The child has the low numbers itself, for the line to its client, for instance."""
    (tmp_path / "vars").write_text("FROM_FILE=yes\n")
    wait_until(lambda: commands_of(server), "a child that waits")
    command = words("run", "--rm", "--net", "none", "--env-file", f"/dev/fd/{number}", image, "env")
    shown = ["bash", "-c", f'exec "$@" {number}< "$0"', str(tmp_path / "vars"), *command]
    done = subprocess.run(shown, capture_output=True, text=True, check=False)
    assert (done.stderr, done.returncode) == ("", 0)
    assert "FROM_FILE=yes" in done.stdout


def test_input_goes_through(server: int, image: str) -> None:
    text = "line\n" * 50_000
    done = run("run", "--rm", "-i", "--net", "none", image, "cat", input=text)
    assert done.stdout == text


def test_signals_are_passed_on(server: int, image: str) -> None:
    script = "trap 'echo caught; exit 5' TERM; echo ready; while :; do sleep 0.1; done"
    with started(*words("run", "--rm", "--net", "none", image, "sh", "-c", script)) as typed:
        assert typed.stdout and typed.stdout.readline() == "ready\n"
        typed.send_signal(signal.SIGTERM)
        assert typed.stdout.read() == "caught\n"
        assert typed.wait(10 * PATIENCE) == 5


STAYS = """
import os, time
from minirt.server import client
line = client.dial()
client.wait(line, client.hand_over(line, []))
os.close(1)
time.sleep(100)
"""


def test_who_reads_what_is_printed_hears_its_end_at_once(server: int) -> None:
    """A command stays until its client has left, but "$(minirt …)" waits for the pipe's end."""
    wait_until(lambda: commands_of(server), "a child that waits")
    (child,) = commands_of(server)
    with started(sys.executable, "-c", STAYS, "version", "-f", "here") as typed:
        assert typed.stdout
        assert typed.stdout.read() == "here\n"
        assert len(list(Path(f"/proc/{child}/fd").iterdir())) == 1, "the line to its client"
    wait_until(lambda: child not in commands_of(server), "its end")


def test_a_killed_client_takes_its_command_along_but_not_the_container(
    server: int, image: str
) -> None:
    with served(server, image) as (typed, child):
        typed.kill()
        wait_until(lambda: child not in commands_of(server), "the end of the command")
        assert "one" in run("ps").stdout
    run("rm", "-f", "one")


def test_what_it_starts_is_found_by_name(server: int, image: str) -> None:
    """A resolver that is just starting, too; and when it is stopped, that is seen."""
    assert run("network", "create", "net1").returncode == 0
    done = run("run", "-d", "--name", "one", "--net", "net1", image, "sleep", "1000")
    assert done.returncode == 0, done.stderr
    pid = resolver_pid("net1")
    assert f"process {pid}\n" in run("dns", "trace", "one", "--from", "one").stdout
    os.kill(pid, signal.SIGSTOP)
    try:
        said = run("dns", "trace", "one", "--from", "one").stdout
    finally:
        os.kill(pid, signal.SIGCONT)
    assert f"process {pid}, which is STOPPED" in said
    assert run("rm", "-f", "one").returncode == 0


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGSEGV])
def test_a_client_dies_as_its_command_did(server: int, image: str, number: signal.Signals) -> None:
    with served(server, image) as (typed, child):
        os.kill(child, number)
        assert typed.wait(10 * PATIENCE) == -number
    assert child not in commands_of(server)
    assert run("exec", "one", "true").returncode == 0
    run("rm", "-f", "one")
