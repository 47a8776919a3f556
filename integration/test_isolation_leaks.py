"""What of the host could come along into a container, or be taken from others by it."""

from __future__ import annotations

import socket
import sys
from pathlib import Path

import pytest

from integration.conftest import Minirt
from integration.inside import QUIET, Inside, inside
from integration.sandbox import minirt_words, shell

__all__ = ["inside"]  # fixtures

# ---- devices -------------------------------------------------------------------------------------

OPEN_NODE = "rm -f /d; mknod /d {kind} {numbers} && exec 3< /d && echo done"


@pytest.mark.parametrize(
    ("kind", "numbers", "opens"),
    [("c", "1 3", True), ("c", "1 11", False), ("c", "1 1", False), ("b", "254 0", False)],
)
def test_only_harmless_devices_open_whoever_made_their_node(
    inside: Inside, kind: str, numbers: str, opens: bool
) -> None:
    shown = inside(OPEN_NODE.format(kind=kind, numbers=numbers), code=None)
    assert ("done" in shown.split()) == opens
    assert opens or "Operation not permitted" in shown


def test_a_privileged_container_opens_any_device(inside: Inside) -> None:
    assert inside(OPEN_NODE.format(kind="c", numbers="1 11"), "--privileged") == "done\n"


# ---- descriptors, sockets, folders ---------------------------------------------------------------


def test_no_descriptor_of_the_operator_reaches_a_container(minirt: Minirt, image: str) -> None:
    list_all = "ls /proc/self/fd; echo -; ls /proc/1/fd"
    leaky = 'exec 7</etc/passwd 8>/dev/null 9</; exec "$@"'
    assert {"7", "8", "9"} <= set(
        shell("sh", "-c", leaky, "-", "ls", "/proc/self/fd").stdout.split()
    )
    words = minirt_words(*QUIET, image, "sh", "-c", list_all)
    one, init = shell("sh", "-c", leaky, "-", *words).stdout.split("-")
    assert set(one.split()) == {"0", "1", "2", "3"}  # 3: the folder itself
    assert set(init.split()) <= {"0", "1", "2", "3"}
    minirt("run", "-d", "--net", "none", "--name", "one", image, "sleep", "1000")
    words = minirt_words("exec", "one", "sh", "-c", list_all)
    one, init = shell("sh", "-c", leaky, "-", *words).stdout.split("-")
    assert set(one.split()) == {"0", "1", "2", "3"}
    assert set(init.split()) == {"0", "1", "2"}


@pytest.mark.parametrize("folder", ["/proc/self/fd/{}", "/proc/1/fd/{}", "/proc/self/cwd/../.."])
def test_no_working_directory_leads_out(minirt: Minirt, image: str, folder: str) -> None:
    """CVE-2024-21626: a descriptor of the host's, leaked until the very exec, as the cwd."""
    secret = Path("/tmp/only-the-host-has-this")
    secret.touch()
    control = "exec 9</; cd /proc/self/fd/9; ls -a tmp"
    assert secret.name in shell("sh", "-c", control).stdout
    for number in (3, 4, 6, 9) if "{}" in folder else (0,):
        words = (*QUIET, "-w", folder.format(number), image, "ls", "-a", ".", "..", "../../tmp")
        done = minirt(*words, code=None)
        assert secret.name not in done.stdout
        assert done.returncode != 0 or "{}" not in folder
    secret.unlink()


def test_no_abstract_socket_of_ours_is_within_reach_on_the_hosts_network(
    minirt: Minirt, image: str
) -> None:
    """CVE-2020-15257: abstract sockets follow the network namespace, not the file system."""
    minirt("run", "-d", "--net", "host", "--name", "one", image, "sleep", "1000")
    with socket.socket(socket.AF_UNIX) as control:
        control.bind("\0control")
        shown = minirt("exec", "one", "cat", "/proc/net/unix").stdout
    assert [line.split()[-1] for line in shown.splitlines() if "@" in line] == ["@control"]


def test_the_interpreter_is_never_seen_from_inside(minirt: Minirt, image: str) -> None:
    """CVE-2019-5736, CVE-2016-9962: while others enter, no process shows a file of the host's."""
    watch = (
        "while [ ! -e /stop ]; do for p in /proc/[0-9]*; do"
        " for l in exe cwd root; do readlink $p/$l; done; ls -l $p/fd | grep -o '> .*'; done;"
        " done > /seen 2>/dev/null; touch /seen-all; sleep 1000"
    )
    minirt("run", "-d", "--net", "none", "--name", "one", image, "sh", "-c", watch)
    for _ in range(10):
        minirt("exec", "one", "true")
    minirt("exec", "-d", "one", "sleep", "1000")  # the control: who stays is seen for certain
    until = (
        "until grep -qx /bin/sleep /seen; do sleep 0.1; done; touch /stop;"
        " until [ -e /seen-all ]; do sleep 0.1; done; sort -u /seen"
    )
    seen = minirt("exec", "one", "sh", "-c", until).stdout
    assert "python" not in seen
    assert str(Path(sys.executable).resolve().parent) not in seen


def test_a_fork_bomb_dies_with_its_container(minirt: Minirt, image: str) -> None:
    bomb = "f() { (setsid sleep 1000 &); f & f; }; f"
    flags = ("-d", "--net", "none", "--name", "bomb", "--pids-limit", "60")
    minirt("run", *flags, image, "sh", "-c", bomb)
    minirt("rm", "-f", "bomb")  # that nothing is left is looked at after every test
    assert minirt("ps", "-aq").stdout == ""


def test_memory_is_taken_from_the_container_that_wants_too_much(minirt: Minirt, image: str) -> None:
    hungry = ("sh", "-c", "x=a; while [ ${#x} -lt 33554432 ]; do x=$x$x; done")
    minirt("run", "--rm", "--net", "none", image, *hungry)  # The control: it has no limit.
    minirt("run", "-d", "--net", "none", "--name", "other", image, "sleep", "1000")
    flags = ("--net", "none", "--name", "hungry", "-m", "16m")
    minirt("run", *flags, image, *hungry, code=137)
    minirt("exec", "other", "true")
    shown = minirt("inspect", "-f", "{{.State.OOMKilled}} {{.State.ExitCode}}", "hungry").stdout
    assert shown.split() == ["true", "137"]
