"""The fork server from its start to its end, and who may use it."""

from __future__ import annotations

import json
import os
import resource
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from integration.sandbox import PATIENCE, REPOSITORY, started, wait_until
from integration.serving import listening, run, server, words
from integration.traces import Ground
from integration.warm import servers
from integration.wires import PEER, ask
from minirt.kernel import processes
from minirt.kernel.sockets import name_in
from minirt.server import client

__all__ = ["server"]  # fixtures
pytestmark = pytest.mark.in_process  # Its tests start and stop servers themselves.


def test_who_starts_a_server_leaves_it_nothing_that_others_wait_for(
    ground: Ground, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A lock of flock(1), or a pipe of the shell's, would be held for as long as it lives."""
    monkeypatch.delenv("MINIRT_NO_SERVER")
    reader, writer = os.pipe()
    assert run("ps", pass_fds=[writer]).returncode == 0
    os.close(writer)
    os.set_blocking(reader, False)
    assert os.read(reader, 1) == b"", "not even for a moment"
    os.close(reader)
    wait_until(lambda: listening(ground), "the server")
    assert run("server", "stop").returncode == 0


def test_what_its_first_caller_ignores_it_does_not(
    ground: Ground, monkeypatch: pytest.MonkeyPatch, image: str
) -> None:
    """With a server of nohup(1)'s nobody's command would have ended with its terminal."""
    monkeypatch.delenv("MINIRT_NO_SERVER")
    ignoring = ("sh", "-c", "trap '' HUP QUIT USR1 CHLD; exec \"$@\"", "sh")
    subprocess.run([*ignoring, *words("ps")], check=True)
    wait_until(lambda: listening(ground), "the server")
    script = "trap 'exit 7' HUP; echo ready; while :; do sleep 0.1; done"
    typed = words("run", "--rm", "--net", "none", image, "sh", "-c", script)
    with started(*typed) as command:
        assert command.stdout and command.stdout.readline() == "ready\n"
        command.send_signal(signal.SIGHUP)
        assert command.wait(10 * PATIENCE) == 7
    assert run("server", "stop").returncode == 0


def test_it_has_room_for_a_descriptor_of_each_container(
    ground: Ground, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whoever starts it may have 1,024 open, as a login shell does."""
    monkeypatch.delenv("MINIRT_NO_SERVER")
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    subprocess.run(["prlimit", f"--nofile=64:{most}", *words("ps")], check=True)
    wait_until(lambda: listening(ground), "the server")
    (server,) = servers(ground.run)
    assert resource.prlimit(server, resource.RLIMIT_NOFILE) == (most, most)
    assert run("server", "stop").returncode == 0


@contextmanager
def port_of_the_dead(image: str, ground: Ground) -> Iterator[None]:
    """Kill the monitor of a container with a published port; serve at that port on the host."""
    published = ("-d", "--name", "web", "-p", "8080:80", image)
    assert run("run", *published, "httpd", "-f", "-p", "80").returncode == 0
    monitor = json.loads(next((ground.run / "containers").glob("*/state.json")).read_text())
    os.kill(monitor["monitor"], signal.SIGKILL)
    wait_until(lambda: run("ps", "-q").stdout == "", "the end of the container")
    with started(*PEER, "serve", 8080) as here:
        assert here.stdout and here.stdout.readline() == "up\n"
        yield


def test_a_port_of_a_killed_monitor_is_the_hosts_again(
    server: int, image: str, ground: Ground
) -> None:
    with port_of_the_dead(image, ground):
        wait_until(lambda: ask("127.0.0.1", 8080) == "127.0.0.1", "the server of the host")


def test_a_server_that_starts_gives_back_the_ports_of_killed_monitors(
    image: str, ground: Ground, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MINIRT_NO_SERVER", "1")
    with port_of_the_dead(image, ground):
        assert ask("127.0.0.1", 8080) == "timeout"  # The control: nobody has seen the death.
        monkeypatch.delenv("MINIRT_NO_SERVER")
        assert run("ps").returncode == 0
        wait_until(lambda: ask("127.0.0.1", 8080) == "127.0.0.1", "the server of the host")
        run("server", "stop")


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
    # A child that was just being forked may hold its socket and lock for a moment longer.
    wait_until(lambda: run("ps").returncode == 0 and servers(ground.run), "the next server")


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
    # One that does not listen yet is not used: its client would start one more.
    wait_until(lambda: len(listening(ground)) == 2, "a server of its own")
    again = subprocess.run([*less, *command], capture_output=True, text=True, check=False)
    assert "CAP_SYS_ADMIN" in again.stderr


def test_who_gets_no_new_privileges_has_a_server_of_its_own(
    server: int, image: str, ground: Ground
) -> None:
    """Nobody rids himself of that, nor of a filter of system calls, nor his children: prctl(2)."""
    subprocess.run(["setpriv", "--no-new-privs", *words("ps")], check=True)
    wait_until(lambda: len(listening(ground)) == 2, "a server of its own")
    shown = ("run", "--rm", "--net", "none", image, "grep", "NoNewPrivs", "/proc/self/status")
    assert run(*shown).stdout == "NoNewPrivs:\t0\n"
    done = subprocess.run(
        ["setpriv", "--no-new-privs", *words(*shown)], capture_output=True, text=True, check=True
    )
    assert done.stdout == "NoNewPrivs:\t1\n"


def test_another_minirt_does_not_use_it(server: int, ground: Ground, tmp_path: Path) -> None:
    """One that is installed elsewhere, and newer perhaps, has code of its own."""
    for folder in ("minirt", "integration"):
        shutil.copytree(REPOSITORY / folder, tmp_path / folder)
    (tmp_path / "minirt/__init__.py").write_text('__version__ = "9.9"\n')
    typed = [
        str(word).replace(f"{REPOSITORY}/integration", f"{tmp_path}/integration")
        for word in words("--version")
    ]
    done = subprocess.run(typed, capture_output=True, text=True, check=True)
    assert done.stdout == "minirt, version 9.9\n"
    wait_until(lambda: len(listening(ground)) == 2, "a server of its own")


def test_many_commands_at_once_each_get_their_own_answer(server: int) -> None:
    numbers = range(40)
    clients = [subprocess.Popen(words("version", "-f", f"{n}"), stdout=-1) for n in numbers]
    assert [client.communicate()[0] for client in clients] == [b"%d\n" % n for n in numbers]
    assert {client.returncode for client in clients} == {0}


def test_status_and_stop(server: int, ground: Ground) -> None:
    assert run("server", "status").stdout == f"running, process {server}\n"
    assert run("server", "stop").stdout == "stopped 1\n"
    assert run("server", "status").returncode == 1


@contextmanager
def copied_server(ground: Ground, folder: Path) -> Iterator[subprocess.Popen[str]]:
    """Run the server of a copy of minirt, which may be changed."""
    shutil.copytree(REPOSITORY / "minirt", folder / "minirt")
    serve = f"import sys; sys.path.insert(0, {str(folder)!r}); from minirt.server import serve"
    place = (ground.run / "server", client.name())
    command = f"{serve}; serve.main({str(place[0])!r}, {place[1]!r})"
    with started(sys.executable, "-c", command) as server:
        wait_until((place[0] / place[1]).exists, "a server")
        yield server


@pytest.mark.parametrize("change", ["touched", "removed", "written"])
def test_it_makes_room_for_another_minirt(
    ground: Ground, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, change: str
) -> None:
    monkeypatch.delenv("MINIRT_NO_SERVER")
    with copied_server(ground, tmp_path) as server:
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


def test_it_makes_room_though_who_calls_has_gone(ground: Ground, tmp_path: Path) -> None:
    """On a machine that stalls, a client goes on alone before the server has looked."""
    place = ground.run / "server" / client.name()
    with copied_server(ground, tmp_path) as server:
        server.send_signal(signal.SIGSTOP)
        with socket.socket(socket.AF_UNIX) as line, name_in(place.parent, place.name) as name:
            line.connect(name)
        (tmp_path / "minirt/container/times.py").touch()
        server.send_signal(signal.SIGCONT)
        assert server.wait(10) == 0
    assert not place.exists()


def test_it_leaves_when_idle(ground: Ground, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("MINIRT_NO_SERVER")
    monkeypatch.setenv("MINIRT_SERVER_IDLE", "0.5")
    run("ps")
    wait_until(lambda: servers(ground.run), "a server")
    wait_until(lambda: not servers(ground.run), "its end")


def test_it_stays_while_a_container_lives(
    ground: Ground, monkeypatch: pytest.MonkeyPatch, image: str
) -> None:
    """A monitor that it has forked shares its memory, and has the more of its own without it."""
    monkeypatch.delenv("MINIRT_NO_SERVER")
    monkeypatch.setenv("MINIRT_SERVER_IDLE", "0.5")
    assert run("run", "-d", "--name", "one", "--net", "none", image, "sleep", "100").returncode == 0
    wait_until(lambda: listening(ground), "a server")
    (there,) = servers(ground.run)
    time.sleep(2)
    assert servers(ground.run) == [there]
    run("rm", "-f", "one")
    wait_until(lambda: not servers(ground.run), "its end")
