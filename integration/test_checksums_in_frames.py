"""What the kernel writes into a frame where it leaves the host, after the bridge has filtered it.

A packet socket may ask for a checksum anywhere in its frame (PACKET_VNET_HDR of packet(7)). An
interface without checksum offload for such a place writes it when it sends. So a container chooses
what stands there: a part of the sender's address, for instance.
"""

from __future__ import annotations

import contextlib
import ctypes
import errno
import fcntl
import socket
import struct
from collections.abc import Iterator
from ipaddress import IPv4Address
from pathlib import Path

from integration import forger
from integration.attempts import neighbour, resolve
from integration.conftest import Minirt
from integration.forger import ARP, BROADCAST, ethernet
from integration.sandbox import another_network, compiled, in_netns, shell
from minirt.network import spec
from minirt.network.identity import mac_of

HOST = IPv4Address("172.30.0.1")  # its address on the bridge, which the container claims
EVIL = IPv4Address("172.30.0.2")
LAN_MAC = "02:00:00:00:00:99"  # of that bridge
START = 20  # in the frame: within the ARP message, after the kinds and lengths of addresses
SENDER = 30  # where the second half of the sender's IPv4 address stands

SIOCETHTOOL, ETHTOOL_STXCSUM = 0x8946, 0x17  # include/uapi/linux/sockios.h, ethtool.h


def without_offload(link: str) -> None:
    """Let a link compute checksums itself, as simple network cards do (ethtool -K LINK tx off)."""
    value = ctypes.create_string_buffer(struct.pack("II", ETHTOOL_STXCSUM, 0))
    with socket.socket() as any_socket:
        request = struct.pack("16sP", link.encode(), ctypes.addressof(value))
        fcntl.ioctl(any_socket, SIOCETHTOOL, request)


def summed(data: bytes) -> int:
    """Return the sum of a checksum (RFC 1071) before its bits are inverted."""
    total = int(sum(struct.unpack(f"!{len(data) // 2}H", data)))
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    return total


def frame() -> bytes:
    """Return an ARP message from the container's own address; its checksum makes it the host's."""
    message = forger.arp(mac_of(EVIL), str(EVIL))[:-4] + HOST.packed
    made = ethernet(mac_of(EVIL), BROADCAST, ARP, message + bytes(18))
    wanted = ~int.from_bytes(HOST.packed[2:], "big") & 0xFFFF
    return made[:-2] + struct.pack("!H", (wanted - summed(made[START:])) % 0xFFFF)


@contextlib.contextmanager
def lan() -> Iterator[int]:
    """Yield a process on a machine of the LAN that a bridge of the host leads to."""
    # Without a chosen MAC a bridge has the lowest one of its ports, which come and go.
    shell("ip", "link", "add", "name", "lan", "address", LAN_MAC, "up", "type", "bridge")
    shell("ip", "address", "add", f"{HOST}/16", "dev", "lan")
    with another_network() as pid:
        peer = ("peer", "name", "eth0", "netns", pid)
        shell("ip", "link", "add", "card", "up", "master", "lan", "type", "veth", *peer)
        without_offload("card")
        in_netns(pid, "ip", "address", "add", "172.30.0.50/16", "dev", "eth0")
        in_netns(pid, "ip", "link", "set", "eth0", "up")
        yield pid
        shell("ip", "link", "delete", "card")
    shell("ip", "link", "delete", "lan")


def test_no_container_has_its_frames_changed_after_the_filter(
    minirt: Minirt, image: str, tmp_path: Path
) -> None:
    program = compiled(Path(__file__).with_name("checksum.c"), tmp_path)
    with lan() as pid:
        bridge = ("--subnet", "172.30.0.0/16", "-o", f"{spec.BRIDGE_NAME}=lan")
        minirt("network", "create", *bridge, "net1")

        def attack(*options: str) -> tuple[int, str]:
            """Return the error of setsockopt(2), and the MAC that the LAN knows afterwards."""
            words = ["--net", "net1", "--ip", EVIL, "-v", f"{program}:/checksum:ro", *options]
            words += [image, "/checksum", "eth0", START, SENDER - START, frame().hex()]
            done = minirt("run", "--rm", *words)
            return int(done.stdout), neighbour(pid, str(HOST))

        known = resolve(pid, str(HOST))
        assert known not in ("", mac_of(EVIL))
        assert attack() == (errno.ENOPROTOOPT, known)
        assert resolve(pid, str(HOST)) == known
        assert attack("--security-opt", "seccomp=unconfined") == (0, mac_of(EVIL))
        minirt("network", "rm", "net1")
