"""A supervisor answers system calls (config-linux.md, "The Container Process State")."""

from __future__ import annotations

import errno
from pathlib import Path

import pytest

from integration import oci
from integration.oci import Oci
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
        ({"syscalls": [{"names": ["sendmsg"], "action": "SCMP_ACT_NOTIFY"}]}, "sendmsg and close"),
        ({"syscalls": [MKDIR, {"names": ["close"], "action": "SCMP_ACT_ERRNO"}]}, "and close"),
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


def test_a_path_that_nobody_needs_is_not_connected_to(one: Oci) -> None:
    """As with runc: without a rule that notifies there is nothing to supervise."""
    one.linux["seccomp"]["syscalls"] = []
    one.start("a", "true")
    one.await_end("a")
    one("delete", "a")
