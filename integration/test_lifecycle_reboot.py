"""After a reboot: an empty run folder, no network device, no process; all records are there."""

from __future__ import annotations

import contextlib
import os
import shutil
from collections.abc import Iterator

import pytest

from integration.conftest import Minirt
from integration.sandbox import shell
from integration.traces import Ground
from minirt.kernel import libc, namespaces
from minirt.kernel.namespaces import Namespace

pytestmark = pytest.mark.in_process  # No server lives longer than its machine.


@contextlib.contextmanager
def another_boot() -> Iterator[None]:
    """Be in a network without devices during the body, as after a boot."""
    own = os.open("/proc/self/ns/net", os.O_RDONLY | os.O_CLOEXEC)
    namespaces.unshare(Namespace.NET)
    try:
        shell("ip", "link", "set", "lo", "up")
        yield
    finally:
        libc.setns(own, Namespace.NET)
        os.close(own)


def cut_power(minirt: Minirt, ground: Ground) -> None:
    """Take away all that a power cut takes: what survives on the disk is not told of it."""
    kept = {name: ground.root / f"{name}.kept" for name in ("containers", "names")}
    for name, copy in kept.items():
        shutil.copytree(ground.root / name, copy, symlinks=True)
    minirt("kill", *(one.name for one in (ground.root / "containers").iterdir()))
    for name, copy in kept.items():
        shutil.rmtree(ground.root / name)
        copy.rename(ground.root / name)
    shutil.rmtree(ground.run)


def test_containers_start_again_and_networks_come_back(
    minirt: Minirt, image: str, ground: Ground
) -> None:
    minirt("network", "create", "--subnet", "10.77.0.0/24", "net1")
    words = ("run", "-d", "--net", "net1", "-p", "8080:80", "--name", "web", image)
    minirt(*words, "sh", "-c", "echo kept > /www/index.html; exec httpd -f -p 80 -h /www")
    minirt("run", "-d", "--name", "plain", image, "sleep", "1000")
    cut_power(minirt, ground)
    with another_boot():
        assert minirt("ps", "-q").stdout == ""
        shown = minirt("ps", "-a", "--format", "{{.Names}} {{.Status}}").stdout
        assert shown.count("Exited (137)") == 2
        assert "net1" in minirt("network", "ls").stdout
        minirt("start", "web", "plain")
        assert "10.77.0.1/24" in shell("ip", "-4", "address").stdout
        asking = ("run", "--rm", "--net", "net1", image, "wget", "-qO-", "http://web/")
        assert minirt(*asking).stdout == "kept\n"
        assert shell("curl", "-s", "http://127.0.0.1:8080/").stdout == "kept\n"
        minirt("rm", "-f", "web", "plain")


def test_what_a_reboot_cut_short_is_swept(minirt: Minirt, image: str, ground: Ground) -> None:
    """A --rm container that the power cut ended is not there any more, and its name is free."""
    minirt("run", "-d", "--rm", "--name", "one", "-v", "/data", image, "sleep", "1000")
    cut_power(minirt, ground)
    with another_boot():
        assert minirt("ps", "-aq").stdout == ""
        minirt("run", "-d", "--name", "one", image, "sleep", "1000")
        assert len(list((ground.root / "containers").iterdir())) == 1
        minirt("rm", "-f", "one")
