"""Switches of the kernel, below /proc/sys (sysctl(8), networking/ip-sysctl.rst).

Those below ``net`` belong to the network namespace of whoever opens them.
"""

from __future__ import annotations

import os
from contextlib import nullcontext

from minirt.kernel import namespaces
from minirt.kernel.namespaces import Netns
from minirt.kernel.steps import step


def read(name: str) -> str | None:
    """Return the value of a switch such as ``net/ipv4/ip_forward``; None: there is no such."""
    try:
        fd = os.open(f"/proc/sys/{name}", os.O_RDONLY)
    except FileNotFoundError:
        return None
    try:
        return os.read(fd, 4096).decode().strip()
    finally:
        os.close(fd)


def write(name: str, value: str, netns: Netns | None = None) -> None:
    """Set a switch, in one write(2): a second one would start from its beginning again.

    Raises OSError with the name of the file; EINVAL for a value that it does not take.
    """
    path = f"/proc/sys/{name}"
    enter = () if netns is None else ("nsenter", f"--net={netns.path}")
    with (
        step("set a switch of the kernel", *enter, "sysctl", "-qw", f"{name}={value}"),
        nullcontext() if netns is None else namespaces.inside(netns),
    ):
        fd = os.open(path, os.O_WRONLY)
        try:
            os.write(fd, value.encode())
        except OSError as error:
            error.filename = path
            raise
        finally:
            os.close(fd)


def ensure(name: str, value: str) -> None:
    """Set a switch unless it stands so, or the kernel lacks it (IPv6 can be left out)."""
    if read(name) not in (None, value):
        write(name, value)
