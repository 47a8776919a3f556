"""Everything there is in a network namespace, and the ways that the kernel would choose there.

What :class:`Connection` asks is for doing; this is for showing: all links with all that a
person wants to see of them, and the kernel's own answer to "ip route get".
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager, nullcontext, suppress
from dataclasses import dataclass
from ipaddress import ip_address
from typing import Any

from minirt.kernel import namespaces
from minirt.kernel.namespaces import Netns
from minirt.kernel.netlink import messages
from minirt.kernel.netlink.channel import Channel
from minirt.kernel.netlink.records import Address, Interface, Route, Way


@dataclass(frozen=True, slots=True)
class Device:
    """A link with all that is to be seen of it."""

    name: str
    index: int
    kind: str = ""  # "bridge", "veth", …; empty: hardware
    mac: str = ""
    mtu: int = 0  # bytes
    up: bool = False
    carrier: bool = False  # something is at the other end of the wire
    master: int = 0  # the index of the bridge whose port it is
    peer: int = 0  # the index of a veth's other end, in whatever namespace that is
    hairpin: bool = False  # a bridge's port: what came in here may go out here
    isolated: bool = False  # a bridge's port: nothing goes to other such ports
    addresses: tuple[Interface, ...] = ()


class Survey:
    """A socket for the questions of one namespace."""

    def __init__(self, channel: Channel) -> None:
        self._channel = channel

    def devices(self, most: int | None = None) -> list[Device]:
        """List the links with their addresses, by index; at most so many links and addresses."""
        from minirt.kernel.netlink import pyroute

        addresses: dict[int, list[Interface]] = {}
        for one in self._channel.dump(messages.address(None), messages.GETADDR, most=most):
            index, address = messages.read_address(one)
            addresses.setdefault(index, []).append(address)
        found = self._channel.dump(messages.link_query(), messages.GETLINK, most=most)
        devices = [_device(pyroute.read_link(one), addresses) for one in found]
        return sorted(devices, key=lambda one: one.index)

    def default_routes(self, most: int | None = None) -> list[Route]:
        """List the IPv4 default routes of the main table, at most so many."""
        query, is_default = messages.routes_query(4), messages.is_default_route
        try:
            found = self._channel.dump(query, messages.GETROUTE, most=most, keep=is_default)
        except FileNotFoundError:
            return []  # A table without routes is not there at all.
        return [messages.read_route(one) for one in found]

    def neighbour(self, address: Address, link: int) -> str:
        """Return the MAC address to which packets for a neighbour are sent now; "" for none."""
        query = messages.neighbour_query(address, link)
        with suppress(OSError):  # ENOENT: it is not in the table.
            return messages.read_neighbour(self._channel.get(query, messages.GETNEIGH))
        return ""

    def way(self, to: Address, *, source: Address | None = None, link: int = 0) -> Way:
        """Ask where a packet goes: one from here, or from ``source`` coming in by ``link``.

        Raises OSError: ENETUNREACH where no route leads, EHOSTUNREACH where packets are not
        forwarded, EINVAL for a source that must not come from there (rp_filter, martians).
        """
        query = messages.way_query(to, source, link)
        return messages.read_way(self._channel.get(query, messages.GETROUTE))


@contextmanager
def look(netns: Netns | None = None) -> Iterator[Survey]:
    """Look around in this network namespace, or in another one."""
    with nullcontext() if netns is None else namespaces.inside(netns):
        channel = Channel()
    try:
        yield Survey(channel)
    finally:
        channel.close()


def of_version(addresses: tuple[Interface, ...], version: int) -> list[Interface]:
    """Return the addresses of one family that are good beyond their own link."""
    found = [one for one in addresses if one.version == version]
    return [one for one in found if not ip_address(one.ip).is_link_local]


def _device(message: Any, addresses: dict[int, list[Interface]]) -> Device:
    info = message.get_attr("IFLA_LINKINFO")
    port = info.get_attr("IFLA_INFO_SLAVE_DATA") if info else None
    kind = (info.get_attr("IFLA_INFO_KIND") or "") if info else ""
    return Device(
        name=message.get_attr("IFLA_IFNAME"),
        index=message["index"],
        kind=kind,
        mac=message.get_attr("IFLA_ADDRESS") or "",
        mtu=message.get_attr("IFLA_MTU") or 0,
        up=bool(message["flags"] & messages.UP),
        carrier=bool(message["flags"] & messages.RUNNING),
        master=message.get_attr("IFLA_MASTER") or 0,
        peer=(message.get_attr("IFLA_LINK") or 0) if kind == "veth" else 0,
        hairpin=_bit(port, "IFLA_BRPORT_MODE"),
        isolated=_bit(port, "IFLA_BRPORT_ISOLATED"),
        addresses=tuple(addresses.get(message["index"], ())),
    )


def _bit(port: Any, name: str) -> bool:
    return bool(port.get_attr(name)) if hasattr(port, "get_attr") else False
