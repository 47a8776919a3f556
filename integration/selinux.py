"""SELinux in a guest whose kernel was told to use it, with a policy of the tests' own.

A policy is for the whole machine and can't be unloaded: it is loaded only where the machine is
thrown away after the tests (integration/vm/test.sh says so), and has no other.
"""

from __future__ import annotations

import ctypes
import os
import shutil
from pathlib import Path

import pytest

from integration.sandbox import REPOSITORY, shell
from minirt.kernel import libc

FILESYSTEM = Path("/sys/fs/selinux")
CURRENT = Path("/proc/self/attr/current")
HOST = "system_u:system_r:host_t:s0"
CONTAINER = "system_u:system_r:container_t:s0:c1,c2"
SHARED = "system_u:object_r:shared_t:s0:c1,c2"
FORBIDDEN = "system_u:system_r:forbidden_t:s0"
UNKNOWN = "system_u:system_r:unknown_t:s0"
FILES = "system_u:object_r:host_t:s0"
SECRET = "system_u:object_r:secret_t:s0"


def current() -> str:
    """Return this process's label; of a kernel that has no policy yet it is "kernel"."""
    return CURRENT.read_text().strip(" \n\0")


def of_file(path: Path) -> str:
    """Return the label of a file, as "ls -Z" does."""
    return os.getxattr(path, "security.selinux", follow_symlinks=False).decode().strip("\0")


def session_keyrings() -> set[int]:
    """Return the serial numbers of all session keyrings that have no name (keyrings(7))."""
    lines = Path("/proc/keys").read_text().splitlines()
    return {int(line.split()[0], 16) for line in lines if "keyring   _ses" in line}


def of_key(serial: int) -> str:
    """Return the label of a key, keyctl_get_security(3)."""
    label = ctypes.create_string_buffer(256)
    libc.syscall("keyctl", 17, serial, label, len(label))
    return label.value.decode()


def has_kernel() -> bool:
    """Say whether the kernel was started with SELinux."""
    return (FILESYSTEM / "load").exists()


def enforce(tmp_path: Path) -> None:
    """Load the policy and let it be obeyed, or skip the test where that can't be."""
    if not has_kernel():
        pytest.skip("SELinux is not in force on this machine")
    if current() == "kernel":
        if not os.environ.get("MINIRT_TEST_GUEST"):
            pytest.skip("a policy is loaded only into a guest that is thrown away")
        if not shutil.which("secilc"):
            pytest.skip("apt install secilc")
        compiled = tmp_path / "policy"
        words = ("--policyvers", 33, "--output", compiled, "--filecontext", "/dev/null")
        shell("secilc", *words, REPOSITORY / "integration/selinux.cil")  # 33: since Linux 5.7
        (FILESYSTEM / "load").write_bytes(compiled.read_bytes())
        (FILESYSTEM / "enforce").write_text("1")
    if current() != HOST:
        pytest.skip("this machine has a policy of its own")
