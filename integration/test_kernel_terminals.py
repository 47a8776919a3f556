"""Terminals where somebody has turned the names into traps (CVE-2025-52565)."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from integration.sandbox import shell
from minirt.kernel import beneath, libc, mounts, processes, terminals
from minirt.kernel.namespaces import Namespace

MS_BIND = 1 << 12
SLAVE = os.makedev(136, 0)  # /dev/pts/0 (Documentation/admin-guide/devices.txt)


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """Make a root file system with a /dev, and a file of the host that it may not reach."""
    (tmp_path / "root/dev/pts").mkdir(parents=True)
    (tmp_path / "secret").write_text("of the host")
    return tmp_path / "root"


def with_a_pair(root: Path, body: Callable[[int, int], None]) -> int:
    """Open a pair in a devpts there, in mounts of its own; call with the slave and /dev."""

    def main() -> int:
        libc.unshare(Namespace.MOUNT)
        mounts.hide_from_parent()
        options = "newinstance,ptmxmode=0666"
        shell("mount", "-t", "devpts", "-o", options, "devpts", root / "dev/pts")
        fd = os.open(root, beneath.FOLDER)
        _master, slave = terminals.open_pair(fd, terminals.open_descriptors())
        body(slave, os.open(root / "dev", beneath.FOLDER))
        return 0

    return processes.wait(processes.fork(main))


def bind_by_name(source: object, target: object) -> None:
    """Bind as a runtime does that believes in paths."""
    libc.mount(str(source), str(target), None, MS_BIND)


def test_the_console_is_the_slave_of_its_master_wherever_that_ones_name_leads(root: Path) -> None:
    name, console, naive = root / "dev/pts/0", root / "dev/console", root / "dev/naive"
    naive.touch()

    def body(slave: int, dev: int) -> None:
        shell("mount", "-t", "tmpfs", "trap", name.parent)
        name.symlink_to(root.parent / "secret")
        terminals.show_at(slave, dev, "console")
        assert console.stat().st_rdev == SLAVE
        bind_by_name(name, naive)  # The control: a file of the host lies there, and writable.
        assert naive.read_text() == "of the host"

    assert with_a_pair(root, body) == 0


def test_the_console_is_shown_in_dev_wherever_its_own_name_leads(root: Path) -> None:
    console, secret = root / "dev/console", root.parent / "secret"
    console.symlink_to(secret)

    def body(slave: int, dev: int) -> None:
        terminals.show_at(slave, dev, "console")
        assert secret.read_text() == "of the host"
        assert Path(f"{root}/dev{secret}").stat().st_rdev == SLAVE
        bind_by_name(f"/proc/self/fd/{slave}", console)  # The control: it lies on the host's file.
        assert secret.stat().st_rdev == SLAVE

    assert with_a_pair(root, body) == 0
