"""AppArmor and SELinux: the label that a process gets at its next execve(2) (proc_pid_attr(5)).

A process writes it into a file of its own in /proc. What is mounted at /proc may be a stranger's,
and so lead the write elsewhere (CVE-2025-52881): a file system made for this one write can't be.
"""

from __future__ import annotations

import os
from pathlib import Path

from minirt.kernel import beneath, mounts
from minirt.kernel.steps import Shell, step

_APPARMOR = Path("/sys/module/apparmor/parameters/enabled")
_SELINUX = Path("/sys/fs/selinux/enforce")
_NO_POLICY = "kernel"  # the label of all, until a policy is loaded
_TO_KEYS = Shell("> /proc/self/attr/keycreate")


def has_apparmor() -> bool:
    """Say whether AppArmor is in force on this machine."""
    try:
        return _APPARMOR.read_text().startswith("Y")
    except OSError:
        return False


def has_selinux() -> bool:
    """Say whether SELinux is in force on this machine: the kernel has it, and a policy.

    Without a policy it takes every label, and gives none.
    """
    if not _SELINUX.exists():
        return False
    label = Path("/proc/thread-self/attr/current").read_text()
    return label.rstrip("\n\0") != _NO_POLICY


def confine_by_apparmor(profile: str) -> None:
    """Let the profile hold from the next execve(2) on. Raises OSError: ENOENT if it is unknown."""
    with step("choose the AppArmor profile", "aa-exec", "--profile", profile):
        _write("apparmor/exec", f"exec {profile}")


def confine_by_selinux(label: str) -> None:
    """Let the label hold from the next execve(2) on. Raises OSError: EINVAL if it is unknown."""
    with step("choose the SELinux label", "runcon", label):
        _write("exec", label)


def label_keys(label: str) -> None:
    """Give keys that this process makes a label, until its next execve(2). Raises OSError."""
    with step("choose the SELinux label of keys", "printf", "%s", label, _TO_KEYS):
        _write("keycreate", label)


def label_folder(place: int, label: str) -> None:
    """Give the folder of a descriptor, which may be a mere place, a label, as chcon(1) does."""
    fd = os.open(".", os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC, dir_fd=place)
    try:
        os.setxattr(fd, "security.selinux", label.encode())
    finally:
        os.close(fd)


def _write(name: str, value: str) -> None:
    own = mounts.new("proc")
    try:
        path = f"{os.getpid()}/attr/{name}"
        fd = beneath.open_beneath(own, path, os.O_WRONLY | os.O_CLOEXEC, resolve=beneath.STRAIGHT)
    finally:
        os.close(own)
    try:
        os.write(fd, value.encode())
    finally:
        os.close(fd)
