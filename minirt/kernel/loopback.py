"""The loopback interface of a new network namespace, which is born without an address.

Bringing it up gives it 127.0.0.1/8 (netdevice(7); net/ipv4/devinet.c, inetdev_event). Two
ioctls do, without opening netlink.
"""

from __future__ import annotations

import fcntl
import socket
import struct

from minirt.kernel.namespaces import Netns, inside
from minirt.kernel.steps import step

# include/uapi/linux/sockios.h, if.h
_SIOCGIFFLAGS, _SIOCSIFFLAGS, _IFF_UP = 0x8913, 0x8914, 1
_IFREQ = struct.Struct("16sH22x")  # struct ifreq: the name, the flags, a union's rest


def set_up(netns: Netns) -> None:
    """Bring it up in ``netns``; no step if it is."""
    with inside(netns):
        set_up_here("nsenter", f"--net={netns.path}")


def set_up_here(*prefix: str) -> None:
    """Bring it up in the network namespace of this process; no step if it is.

    ``prefix`` is put before the command of the step.
    """
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as any_socket:
        answer = fcntl.ioctl(any_socket, _SIOCGIFFLAGS, _IFREQ.pack(b"lo", 0))
        flags = _IFREQ.unpack(answer)[1]
        if flags & _IFF_UP:
            return
        with step("wake the loopback", *prefix, "ip", "link", "set", "lo", "up"):
            fcntl.ioctl(any_socket, _SIOCSIFFLAGS, _IFREQ.pack(b"lo", flags | _IFF_UP))
