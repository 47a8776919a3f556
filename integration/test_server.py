"""The fork server: the same commands, with the same results, started faster."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest

from integration.naming import resolver_pid
from integration.sandbox import PATIENCE, REPOSITORY, minirt_words, started, wait_until
from integration.traces import Ground
from integration.warm import commands_of, monitors_of, servers
from minirt.kernel import processes
from minirt.server import client

pytestmark = pytest.mark.in_process  # Its tests start and stop servers themselves.
words = minirt_words


def run(*arguments: object, **options: object) -> subprocess.CompletedProcess[str]:
    settings = {"capture_output": True, "text": True, "timeout": 30 * PATIENCE} | options
    done: subprocess.CompletedProcess[str] = subprocess.run(  # type: ignore[call-overload]
        words(*arguments), check=False, **settings
    )
    return done


@pytest.fixture
def server(ground: Ground, monkeypatch: pytest.MonkeyPatch) -> Iterator[int]:
    """Let a command start the server; stop it after the test."""
    monkeypatch.delenv("MINIRT_NO_SERVER")
    assert run("ps").returncode == 0
    wait_until(lambda: list((ground.run / "server").glob("*-*[!k]")), "a server")
    wait_until(lambda: servers(ground.run), "a server")
    yield servers(ground.run)[0]
    run("server", "stop")
    wait_until(lambda: not servers(ground.run), "the end of the server")


def parent_of(text: str) -> int:
    return int(next(line for line in text.splitlines() if line.startswith("PPid:")).split()[1])


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
    assert run("frobnicate").returncode == 125


def test_a_command_is_where_its_client_is(server: int, image: str, tmp_path: Path) -> None:
    (tmp_path / "vars").write_text("FROM_FILE=yes\n")
    done = run(
        *("run", "--rm", "--net", "none", "--env-file", "vars", "-e", "MINE", image, "env"),
        cwd=tmp_path,
        env={**os.environ, "MINE": "from the client"},
    )
    assert "FROM_FILE=yes" in done.stdout
    assert "MINE=from the client" in done.stdout


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
        "ulimit -n; cut -d' ' -f19 /proc/self/stat",
    )
    done = subprocess.run(
        ["prlimit", "--nofile=321:654", "nice", "-n", "7", *typed],
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout == "321\n7\n"


def test_descriptors_that_are_named_come_along(server: int, image: str) -> None:
    reader, writer = os.pipe()
    os.write(writer, b"PIPED=yes\n")
    os.close(writer)
    file = f"/dev/fd/{reader}"
    done = run("run", "--rm", "--net", "none", "--env-file", file, image, "env", pass_fds=[reader])
    os.close(reader)
    assert "PIPED=yes" in done.stdout


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
import os, sys, time
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
    end(spare)
    done = run("run", "--rm", "--net", "none", image, "echo", "here")
    assert (done.stdout, done.returncode) == ("here\n", 0)
    wait_until(lambda: monitors_of(server), "the next one")


def test_a_spare_monitor_ends_with_the_server(server: int) -> None:
    wait_until(lambda: monitors_of(server), "a monitor that waits")
    (spare,) = monitors_of(server)
    end(server)
    wait_until(lambda: not Path(f"/proc/{spare}").exists(), "its end")


def end(pid: int) -> None:
    """Kill a process, and wait until it is dead."""
    pidfd = os.pidfd_open(pid)
    os.kill(pid, signal.SIGKILL)
    assert processes.wait_until_dead(pidfd, 10 * PATIENCE)
    os.close(pidfd)


def test_a_client_that_went_on_alone_is_not_waited_for(server: int) -> None:
    """Its line to the server is not among the descriptors that its words name."""
    wait_until(lambda: commands_of(server), "a child that waits")
    (slow,) = commands_of(server)
    os.kill(slow, signal.SIGSTOP)
    assert run("version", "-f", "/proc/self/fd/3").stdout == "/proc/self/fd/3\n"
    with suppress(ProcessLookupError):  # The server has heard the end of the client.
        os.kill(slow, signal.SIGCONT)
    wait_until(lambda: slow not in commands_of(server), "its end")


@contextmanager
def served(server: int, image: str) -> Iterator[tuple[subprocess.Popen[str], int]]:
    """Start container "one"; return its client and the server's child that waited for it.

    On a machine that stalls for longer than a client's patience, the client runs it itself.
    """
    for _ in range(5):
        wait_until(lambda: len(commands_of(server)) == 1, "a child that waits")
        (ready,) = commands_of(server)
        command = ("sh", "-c", "echo ready; sleep 100")
        with started(*words("run", "--name", "one", image, *command)) as typed:
            assert typed.stdout and typed.stdout.readline() == "ready\n"
            if writes_to(ready, typed.stdout.fileno()):
                yield typed, ready
                return
        run("rm", "-f", "one")
    pytest.fail("no client was served in time")


def writes_to(pid: int, pipe: int) -> bool:
    """Say whether the standard output of a process, if it lives, is this pipe of ours."""
    with suppress(FileNotFoundError):
        return Path(f"/proc/{pid}/fd/1").stat().st_ino == os.fstat(pipe).st_ino
    return False


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGSEGV])
def test_a_client_dies_as_its_command_did(server: int, image: str, number: signal.Signals) -> None:
    with served(server, image) as (typed, child):
        os.kill(child, number)
        assert typed.wait(10 * PATIENCE) == -number
    assert child not in commands_of(server)
    assert run("exec", "one", "true").returncode == 0
    run("rm", "-f", "one")


def test_a_killed_server_is_not_missed(server: int, image: str, ground: Ground) -> None:
    with started(
        *words("run", "--rm", "--name", "one", image, "sh", "-c", "sleep 1; exit 9")
    ) as it:
        wait_until(lambda: "one" in run("ps").stdout, "the container")
        pidfd = processes.open_pidfd(server)
        signal.pidfd_send_signal(pidfd, signal.SIGKILL)
        assert processes.wait_until_dead(pidfd, 10)
        os.close(pidfd)
        assert run("ps", "-a").returncode == 0
        assert it.wait(20 * PATIENCE) == 9
    wait_until(lambda: servers(ground.run), "the next server")


def test_a_client_of_another_namespace_does_not_use_it(server: int, ground: Ground) -> None:
    before = servers(ground.run)
    done = subprocess.run(["unshare", "--uts", *words("ps")], capture_output=True, check=False)
    assert done.returncode == 0
    wait_until(lambda: len(servers(ground.run)) == 2, "a server of its own")
    assert set(before) < set(servers(ground.run))


def test_who_may_do_less_does_not_use_it(server: int, image: str, ground: Ground) -> None:
    """Root without a capability would get it back from a server that has it."""
    less = ("setpriv", "--bounding-set=-sys_admin", "--inh-caps=-sys_admin")
    command = words("run", "--rm", "--net", "none", image, "true")
    assert run("run", "--rm", "--net", "none", image, "true").returncode == 0
    done = subprocess.run([*less, *command], capture_output=True, text=True, check=False)
    assert done.returncode == 125
    assert "CAP_SYS_ADMIN" in done.stderr
    wait_until(lambda: len(servers(ground.run)) == 2, "a server of its own")
    again = subprocess.run([*less, *command], capture_output=True, text=True, check=False)
    assert "CAP_SYS_ADMIN" in again.stderr


def test_many_commands_at_once_each_get_their_own_answer(server: int) -> None:
    numbers = range(40)
    clients = [subprocess.Popen(words("version", "-f", f"{n}"), stdout=-1) for n in numbers]
    assert [client.communicate()[0] for client in clients] == [b"%d\n" % n for n in numbers]
    assert {client.returncode for client in clients} == {0}


def test_status_and_stop(server: int, ground: Ground) -> None:
    assert run("server", "status").stdout == f"running, process {server}\n"
    assert run("server", "stop").stdout == "stopped 1\n"
    assert run("server", "status").returncode == 1


@pytest.mark.parametrize("change", ["touched", "removed", "written"])
def test_it_makes_room_for_another_minirt(
    ground: Ground, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, change: str
) -> None:
    monkeypatch.delenv("MINIRT_NO_SERVER")
    shutil.copytree(REPOSITORY / "minirt", tmp_path / "minirt")
    serve = f"import sys; sys.path.insert(0, {str(tmp_path)!r}); from minirt.server import serve"
    place = (ground.run / "server", client.name())
    command = f"{serve}; serve.main({str(place[0])!r}, {place[1]!r})"
    with started(sys.executable, "-c", command) as server:
        wait_until((place[0] / place[1]).exists, "a server")
        assert run("version", "-f", "here").stdout == "here\n"
        assert servers(ground.run) == [server.pid]
        file = tmp_path / "minirt/container/times.py"
        match change:
            case "touched":
                file.touch()
            case "removed":
                file.unlink()
            case "written":
                with file.open("a") as written:
                    written.write("\n")
        assert run("version", "-f", "here").stdout == "here\n"
        assert server.wait(10) == 0
    run("version")
    wait_until(lambda: servers(ground.run), "the next server")
    assert run("server", "stop").returncode == 0


def test_it_leaves_when_idle(ground: Ground, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("MINIRT_NO_SERVER")
    monkeypatch.setenv("MINIRT_SERVER_IDLE", "0.5")
    run("ps")
    wait_until(lambda: servers(ground.run), "a server")
    wait_until(lambda: not servers(ground.run), "its end")
