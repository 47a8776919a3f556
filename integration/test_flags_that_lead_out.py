"""Flags that give the host away, and the user namespace that keeps it.

What docs/isolation.md says of these flags is tried here. The kernel allows it to the host's root,
and so every runtime without user namespaces does. Each attack is also tried where it must fail.
"""

from __future__ import annotations

import errno
import socket
import subprocess
from pathlib import Path

import pytest

from integration.conftest import Minirt
from integration.sandbox import compiled, shell, started

PRIVATE = ("--userns", "private")
USER = 54321  # nobody else in the sandbox is that


@pytest.fixture(scope="session")
def reacher(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return compiled(Path(__file__).with_name("reacher.c"), tmp_path_factory.mktemp("reacher"))


@pytest.mark.parametrize(
    ("flags", "code"),
    [
        ((), errno.EPERM),
        (("--cap-add", "NET_ADMIN", *PRIVATE), errno.EACCES),
        (("--cap-add", "NET_ADMIN"), 0),
    ],
    ids=["default", "NET_ADMIN-private", "NET_ADMIN"],
)
def test_net_admin_deletes_a_link_of_the_host(
    minirt: Minirt, image: str, reacher: Path, flags: tuple[str, ...], code: int
) -> None:
    """The host's root has the capability in all network namespaces, and the wire leads to one."""
    minirt("network", "create", "net1")
    shell("ip", "link", "add", "decoy", "type", "bridge")
    index = socket.if_nametoindex("decoy")
    words = ("--net", "net1", *flags, "-v", f"{reacher}:/reacher:ro", image)
    minirt("run", "--rm", *words, "/reacher", "link", index, code=code)
    assert ("decoy" in dict(socket.if_nameindex()).values()) == (code != 0)


@pytest.mark.parametrize(
    ("flags", "code"),
    [
        (PRIVATE, errno.ENOENT),
        (("--pid", "host", *PRIVATE), errno.EACCES),
        ((), errno.ENOENT),
        (("--pid", "host"), 0),
    ],
    ids=["private", "pid-host-private", "default", "pid-host"],
)
def test_pid_host_writes_to_the_hosts_files(
    minirt: Minirt, image: str, reacher: Path, tmp_path: Path, flags: tuple[str, ...], code: int
) -> None:
    """A process may look at those of the same user, and root may become every user."""
    file = tmp_path / "of-the-host"
    words = ("setpriv", f"--reuid={USER}", f"--regid={USER}", "--clear-groups", "cat")
    with started(*words, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as victim:
        assert victim.stdin and victim.stdout
        victim.stdin.write("runs\n")
        victim.stdin.flush()
        assert victim.stdout.readline() == "runs\n"
        attack = ("/reacher", "root", victim.pid, USER, str(file).lstrip("/"))
        run = ("--net", "none", *flags, "-v", f"{reacher}:/reacher:ro", image)
        minirt("run", "--rm", *run, *attack, code=code)
    assert file.exists() == (code == 0)
