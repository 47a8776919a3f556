"""sd_notify(3) through minirt-oci: the supervisor hears of the readiness, and of nothing else."""

from __future__ import annotations

import os
import socket
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from integration import oci
from integration.oci import Oci
from integration.sandbox import PATIENCE, shell, started, wait_until
from integration.traces import Ground


@pytest.fixture
def one(ground: Ground, rootfs: Path) -> Oci:
    made = oci.make(ground.root / "oci", rootfs)
    made.write("sh", "-c", "echo $NOTIFY_SOCKET; until test -e /stop; do sleep 0.01; done")
    return made


@pytest.fixture(params=["path", "abstract"])
def supervisor(
    request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[socket.socket]:
    """Listen as systemd does, and tell minirt-oci where."""
    address = str(tmp_path / "supervisor.sock")
    name = "@minirt-test" if request.param == "abstract" else address
    monkeypatch.setenv("NOTIFY_SOCKET", name)
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as listening:
        listening.bind(name.replace("@", "\0") if name[0] == "@" else name)
        listening.settimeout(10 * PATIENCE)
        yield listening


def say(pid: int, text: str) -> None:
    """Say something where the container sees its socket, and send a descriptor along."""
    place = Path(f"/proc/{pid}/root/run/notify/notify.sock")
    wait_until(lambda: place.exists() and place.stat().st_mode & 0o777 == 0o777, "an open socket")
    assert place.parent.stat().st_mode & 0o777 == 0o755
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as line:
        line.connect(str(place))
        socket.send_fds(line, [text.encode()], [0])


def heard(supervisor: socket.socket) -> str:
    message, fds, _, _ = socket.recv_fds(supervisor, 1000, 10)
    for fd in fds:
        os.close(fd)
    return message.decode()


@pytest.mark.parametrize("verb", ["start", "run --detach", "run"])
def test_only_that_it_is_ready_goes_on(one: Oci, supervisor: socket.socket, verb: str) -> None:
    if verb == "start":
        one.create("a")
        words = one.words("start", "a")
    else:
        words = one.words(*verb.split(), "--bundle", one.bundle, "a")
    null = subprocess.DEVNULL
    with started(*words, stdout=null, stderr=null) as waiting:
        wait_until(lambda: one("state", "a", code=None).returncode == 0, "the container")
        wait_until(lambda: one.status("a") == "running", "the start")
        pid = one.state("a")["pid"]
        say(pid, "STATUS=warming up\nFDSTORE=1\nMAINPID=1")
        time.sleep(0.1)
        assert waiting.poll() is None
        say(pid, "FDSTORE=1\nREADY=1\nMAINPID=1")
        assert heard(supervisor) == f"READY=1\nMAINPID={pid}\n"
        assert heard(supervisor) == "BARRIER=1"
        (one.rootfs / "stop").touch()
        assert waiting.wait(10) == 0
    one("delete", "--force", "a")
    assert one.is_clean()


def test_a_container_that_ends_before_it_is_ready_keeps_nobody_waiting(
    one: Oci, supervisor: socket.socket
) -> None:
    one.create("a", "true")
    one("start", "a")
    supervisor.setblocking(False)
    with pytest.raises(BlockingIOError):
        supervisor.recv(100)
    one("delete", "a")
    assert one.is_clean()


def test_with_ids_of_its_own_it_is_heard_too(one: Oci, supervisor: socket.socket) -> None:
    ids = [{"containerID": 0, "hostID": 1_000_000, "size": 65536}]
    one.linux["namespaces"].append({"type": "user"})
    one.linux.update(uidMappings=ids, gidMappings=ids)
    shell("chown", "--recursive", "--no-dereference", "1000000:1000000", one.rootfs)
    one.create("a", "sleep", "100")
    with started(*one.words("start", "a")) as waiting:
        pid = one.state("a")["pid"]
        say(pid, "READY=1")
        assert heard(supervisor) == f"READY=1\nMAINPID={pid}\n"
        heard(supervisor)
        assert waiting.wait(10) == 0
    one("delete", "--force", "a")


def test_a_supervisor_that_has_gone_is_no_reason_to_fail(
    one: Oci, supervisor: socket.socket
) -> None:
    one.create("a", "sleep", "100")
    supervisor.close()
    with started(*one.words("start", "a")) as waiting:
        say(one.state("a")["pid"], "READY=1")
        _, said = waiting.communicate(timeout=10)
        assert waiting.returncode == 0 and "cannot tell" in said
    one("delete", "--force", "a")


def test_without_a_supervisor_there_is_no_socket(one: Oci) -> None:
    one.start("a", "sh", "-c", "echo socket: $NOTIFY_SOCKET; ls /run/notify")
    one.await_end("a")
    assert one.said().splitlines()[0] == "socket:" and "No such file" in one.said()
    one("delete", "a")
