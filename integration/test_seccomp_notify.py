"""A supervisor answers system calls (config-linux.md, "The Container Process State")."""

from __future__ import annotations

import errno
import socket
from pathlib import Path

import pytest

from integration import oci
from integration.oci import RUNTIMES, Oci, each_runtime
from integration.sandbox import wait_until
from integration.supervisor import Supervisor
from integration.traces import Ground

MKDIR = {"names": ["mkdir", "mkdirat"], "action": "SCMP_ACT_NOTIFY"}


@pytest.fixture
def path(ground: Ground) -> Path:
    ground.root.mkdir(exist_ok=True)
    return ground.root / "agent"


@pytest.fixture
def one(ground: Ground, rootfs: Path, path: Path) -> Oci:
    made = oci.make(ground.root / "oci", rootfs)
    made.linux["seccomp"] = {
        "defaultAction": "SCMP_ACT_ALLOW",
        "flags": ["SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV", "SECCOMP_FILTER_FLAG_LOG"],
        "listenerPath": str(path),
        "listenerMetadata": "some text",
        "syscalls": [MKDIR],
    }
    return made


@pytest.mark.parametrize("harmless", [False, True])
def test_a_supervisor_refuses_one_call_and_lets_the_next_one_pass(
    one: Oci, path: Path, harmless: bool
) -> None:
    one.process["noNewPrivileges"] = harmless
    one.config["annotations"] = {"key": "value"}
    with Supervisor(path, lambda number: errno.EDQUOT if number == 1 else 0) as agent:
        one.create("a", "sh", "-c", "mkdir /a; mkdir /b; sleep 100")
        pid = one.state("a")["pid"]
        one("start", "a")
        wait_until((one.rootfs / "b").exists)
        done = one("exec", "a", "sh", "-c", "mkdir /c && ls -d /b /c")
        assert done.stdout == "/b\n/c\n"
        assert "quota exceeded" in one.said()
        assert not (one.rootfs / "a").exists()
        assert (one.rootfs / "c").exists()
        one("delete", "--force", "a")
    first, second = agent.documents
    assert first == {
        "ociVersion": first["ociVersion"],
        "fds": ["seccompFd"],
        "pid": pid,
        "metadata": "some text",
        "state": {
            "ociVersion": first["ociVersion"],
            "id": "a",
            "status": "creating",
            "pid": pid,
            "bundle": str(one.bundle),
            "annotations": {"key": "value"},
        },
    }
    assert second["state"] == {**first["state"], "status": "running"}
    assert second["pid"] not in (pid, 0)


def test_what_is_open_in_the_container_is_not_the_supervisors(one: Oci, path: Path) -> None:
    with Supervisor(path, lambda _number: 0):
        one.start("a", "ls", "-l", "/proc/self/fd")
        one.await_end("a")
        one("delete", "a")
    assert "seccomp" not in one.said()
    assert "socket" not in one.said()


def test_without_a_supervisor_nothing_is_made(one: Oci, path: Path) -> None:
    one.write("true")
    refused = one("create", "--bundle", one.bundle, "a", code=1)
    assert f"Nobody supervises system calls at {path}" in refused.stderr
    assert one.is_clean()


def test_when_it_leaves_its_calls_fail(one: Oci, path: Path) -> None:
    """The control for all above: without it the kernel says ENOSYS."""
    with Supervisor(path, lambda _number: 0) as agent:
        one.create("a", "sh", "-c", "until [ -e /go ]; do sleep 0.02; done; mkdir /a")
        one("start", "a")
        wait_until(lambda: agent.documents)  # A listener that nobody has taken yet is nobody's.
    (one.rootfs / "go").touch()
    one.await_end("a")
    assert "not implemented" in one.said()
    one("delete", "a")


@pytest.mark.parametrize(
    ("changes", "why"),
    [
        ({"listenerPath": ""}, "listenerPath"),
        ({"listenerPath": "relative"}, "listenerPath"),
        ({"defaultAction": "SCMP_ACT_NOTIFY"}, "defaultAction"),
        ({"flags": ["SECCOMP_FILTER_FLAG_NONSENSE"]}, "flags"),
    ],
)
def test_what_can_not_be_supervised_is_refused(
    one: Oci, changes: dict[str, object], why: str
) -> None:
    one.linux["seccomp"] |= changes
    one.write("true")
    assert why in one("create", "--bundle", one.bundle, "a", code=1).stderr
    assert one.is_clean()


# What a runtime calls between seccomp(2) and execve(2), what the kernel calls for it, and more.
BUSY = (
    *("sendmsg", "sendto", "close", "read", "write", "openat", "fcntl", "execve", "execveat"),
    *("wait4", "waitid", "prctl", "capset", "setgroups", "setresuid", "setresgid", "futex"),
    *("mmap", "munmap", "brk", "rt_sigaction", "rt_sigreturn", "exit_group"),
)


@each_runtime()
@pytest.mark.parametrize("harmless", [False, True])
@pytest.mark.parametrize("names", [("sendmsg",), ("close",), ("write",), ("execve",), BUSY])
def test_each_call_of_the_runtime_itself_can_be_supervised(
    one: Oci, path: Path, harmless: bool, names: tuple[str, ...], runtime: str
) -> None:
    """But of write with runc, whose init writes the number of the descriptor to its parent."""
    if runtime == "runc" and "write" in names:
        pytest.skip("runc refuses it")
    one.program = RUNTIMES[runtime]
    one.config["ociVersion"] = "1.0.2"  # Debian 12's crun knows no later one
    one.process["noNewPrivileges"] = harmless
    one.linux["seccomp"].update(
        flags=[], syscalls=[{"names": list(names), "action": "SCMP_ACT_NOTIFY"}]
    )
    one.write("sh", "-c", "echo ran /proc/[0-9]*; grep Seccomp: /proc/self/status")
    with Supervisor(path, lambda _number: 0) as agent:
        done = one("run", "--bundle", one.bundle, "a", input="")
    assert done.stdout == "ran /proc/1\nSeccomp:\t2\n", "nothing is left of who sent it"
    assert len(agent.documents) == 1
    assert agent.calls or names == ("sendmsg",)


@pytest.mark.parametrize("name", ["sendmsg", "close", "wait4"])
@pytest.mark.parametrize("harmless", [False, True])
def test_a_call_of_the_runtime_itself_can_be_forbidden(
    one: Oci, path: Path, name: str, harmless: bool
) -> None:
    one.process["noNewPrivileges"] = harmless
    forbidden = {"names": [name], "action": "SCMP_ACT_ERRNO"}
    one.linux["seccomp"]["syscalls"] = [MKDIR, forbidden]
    one.write("mkdir", "/made")
    with Supervisor(path, lambda _number: 0) as agent:
        one("run", "--bundle", one.bundle, "a", input="")
    assert (one.rootfs / "made").exists()
    assert len(agent.documents) == len(agent.calls) == 1


def test_exec_is_supervised_from_its_first_call_on(one: Oci, path: Path) -> None:
    one.linux["seccomp"]["syscalls"] = [{"names": list(BUSY), "action": "SCMP_ACT_NOTIFY"}]
    with Supervisor(path, lambda _number: 0) as agent:
        one.start("a")
        assert one("exec", "a", "echo", "inside").stdout == "inside\n"
        one("delete", "--force", "a")
    assert len(agent.documents) == 2


@pytest.mark.parametrize("names", [("mkdir",), ("mkdir", "sendmsg", "close")])
@pytest.mark.parametrize("harmless", [False, True])
def test_a_supervisor_that_hangs_up_is_an_error_of_the_start(
    one: Oci, path: Path, names: tuple[str, ...], harmless: bool
) -> None:
    """And nobody waits for its answers."""
    one.process["noNewPrivileges"] = harmless
    one.linux["seccomp"]["syscalls"] = [{"names": list(names), "action": "SCMP_ACT_NOTIFY"}]
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as listening:
        listening.bind(str(path))
        listening.listen()
        one.create("a", "true")
        listening.accept()[0].close()
        assert one("start", "a", code=1).stderr
        one("delete", "--force", "a")


def test_a_path_that_nobody_needs_is_not_connected_to(one: Oci) -> None:
    """As with runc: without a rule that notifies there is nothing to supervise."""
    one.linux["seccomp"]["syscalls"] = []
    one.start("a", "true")
    one.await_end("a")
    one("delete", "a")
