"""``--pid``, ``--ipc``, ``--uts``, ``--cgroupns``: whose namespaces a container has."""

from __future__ import annotations

import os
import signal
from pathlib import Path

from integration.conftest import Minirt
from integration.containers import pid_of
from integration.sandbox import wait_until

QUIET = ("run", "--rm", "--net", "none")
IDLE = ("run", "-d", "--net", "none")


def own(kind: str) -> str:
    return str(Path(f"/proc/self/ns/{kind}").readlink())


def test_the_hosts_namespaces(minirt: Minirt, image: str) -> None:
    flags = ("--pid", "host", "--ipc", "host", "--uts", "host", "--cgroupns", "host")
    script = "for kind in pid ipc uts cgroup; do readlink /proc/self/ns/$kind; done; hostname"
    hosts = [own(kind) for kind in ("pid", "ipc", "uts", "cgroup")]
    shown = minirt(*QUIET, *flags, image, "sh", "-c", script).stdout.split()
    assert shown == [*hosts, os.uname().nodename]
    shown = minirt(*QUIET, image, "sh", "-c", script).stdout.split()
    assert not set(hosts) & set(shown)
    minirt("create", "--name", "one", *flags, image, "true")
    template = "{{with .HostConfig}}{{.PidMode}} {{.IpcMode}} {{.UTSMode}} {{.CgroupnsMode}}{{end}}"
    assert minirt("inspect", "-f", template, "one").stdout == "host host host host\n"


def test_a_container_among_the_processes_of_the_host(minirt: Minirt, image: str) -> None:
    minirt(
        *IDLE, "--name", "one", "--pid", "host", image, "sh", "-c", "sleep 1000 & sleep 999; true"
    )
    wait_until(lambda: len(minirt("top", "one").stdout.splitlines()) == 4, "both are there")
    pids = [int(line.split()[1]) for line in minirt("top", "one").stdout.splitlines()[1:]]
    # Not ls(1), which asks for each again: a process of the host may have ended by then.
    seen = minirt("exec", "one", "sh", "-c", "echo /proc/[0-9]*").stdout.split()
    assert {f"/proc/{pid}" for pid in (os.getpid(), *pids)} <= set(seen)
    minirt("kill", "one")
    wait_until(
        lambda: not any(Path(f"/proc/{pid}/exe").exists() for pid in pids), "all of it is dead"
    )


def test_of_a_killed_monitor_the_next_command_kills_what_is_left(
    minirt: Minirt, image: str
) -> None:
    minirt(*IDLE, "--name", "one", "--pid", "host", image, "sleep", "1000")
    pid = pid_of(minirt, "one")
    parent = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1]
    os.kill(int(parent), signal.SIGKILL)
    wait_until(lambda: "exited" in minirt("inspect", "-f", "{{.State.Status}}", "one").stdout)
    minirt("start", "one")
    wait_until(lambda: not Path(f"/proc/{pid}/exe").exists(), "the old one is dead")
    assert pid_of(minirt, "one") != pid


def test_the_processes_of_another_container(minirt: Minirt, image: str) -> None:
    minirt(*IDLE, "--name", "one", image, "sleep", "1234")
    shown = minirt(*QUIET, "--pid", "container:one", image, "ps").stdout
    assert "sleep 1234" in shown
    assert "sleep 1234" not in minirt(*QUIET, image, "ps").stdout
    minirt(*IDLE, "--name", "two", "--pid", "container:one", image, "sleep", "1000")
    minirt("rm", "-f", "one")
    assert minirt("wait", "two").stdout == "137\n"
    refused = minirt("start", "two", code=1).stderr
    assert "No such container" in refused
    assert (
        "No such container"
        in minirt(*QUIET, "--pid", "container:x", image, "true", code=125).stderr
    )


def test_shared_memory_of_another_container(minirt: Minirt, image: str) -> None:
    minirt(*IDLE, "--name", "one", "--ipc", "shareable", image, "sleep", "1000")
    minirt("exec", "one", "sh", "-c", "echo hello > /dev/shm/note")
    join = ("--ipc", "container:one")
    script = "cat /dev/shm/note; readlink /proc/self/ns/ipc; echo there > /dev/shm/answer"
    note, kind = minirt(*QUIET, *join, image, "sh", "-c", script).stdout.split()
    assert note == "hello"
    assert kind == str(Path(f"/proc/{pid_of(minirt, 'one')}/ns/ipc").readlink())
    assert minirt("exec", "one", "cat", "/dev/shm/answer").stdout == "there\n"
    assert "cat: " in minirt(*QUIET, image, "cat", "/dev/shm/note", code=1).stderr


def test_the_name_of_another_container(minirt: Minirt, image: str) -> None:
    minirt(*IDLE, "--name", "one", "--hostname", "first", image, "sleep", "1000")
    script = "hostname; readlink /proc/self/ns/uts; hostname other 2>&1; cat /etc/hostname"
    shown = minirt(*QUIET, "--uts", "container:one", image, "sh", "-c", script).stdout.splitlines()
    assert shown[:2] == ["first", str(Path(f"/proc/{pid_of(minirt, 'one')}/ns/uts").readlink())]
    assert "not permitted" in shown[2]
    assert shown[3] == "first"
    assert minirt(*QUIET, image, "hostname").stdout != "first\n"
    words = ("--uts", "container:one", "--hostname", "x")
    assert "Conflicting options" in minirt(*QUIET, *words, image, "true", code=125).stderr


def test_memory_that_is_not_to_be_shared(minirt: Minirt, image: str) -> None:
    minirt(*IDLE, "--name", "one", image, "sleep", "1000")
    refused = minirt(*QUIET, "--ipc", "container:one", image, "true", code=125).stderr
    assert "non-shareable IPC" in refused
    script = "grep -c ' /dev/shm ' /proc/mounts"
    assert minirt(*QUIET, "--ipc", "none", image, "sh", "-c", script, code=1).stdout == "0\n"
    assert minirt(*QUIET, image, "sh", "-c", script).stdout == "1\n"
    note = Path("/dev/shm/minirt-test-note")
    note.write_text("of the host")
    try:
        words = ("cat", note)
        assert minirt(*QUIET, "--ipc", "host", image, *words).stdout == "of the host"
        minirt(*QUIET, image, *words, code=1)
    finally:
        note.unlink()


def test_a_donor_cannot_lead_the_joiner_astray(minirt: Minirt, image: str) -> None:
    """Its root unmounts /dev/shm and puts a symlink there, which would lead to the host."""
    flags = ("--ipc", "shareable", "--cap-add", "SYS_ADMIN", "--security-opt", "seccomp=unconfined")
    minirt(*IDLE, "--name", "one", *flags, image, "sleep", "1000")
    minirt("exec", "one", "sh", "-c", "umount /dev/shm && rmdir /dev/shm && ln -s /etc /dev/shm")
    refused = minirt(*QUIET, "--ipc", "container:one", image, "ls", "/dev/shm", code=125)
    assert "Cannot" in refused.stderr
