"""What one can ask of the network of a namespace, in ip(8)'s words."""

from __future__ import annotations

import errno
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext

from minirt.kernel import namespaces
from minirt.kernel.netlink import messages
from minirt.kernel.netlink.channel import CREATE, Channel
from minirt.kernel.netlink.records import (
    ETHERNET_MTU,
    Address,
    Interface,
    Link,
    Peer,
    Route,
)
from minirt.kernel.steps import step

_SIOCGIFFLAGS, _SIOCGIFMTU, _SIOCGIFINDEX = 0x8913, 0x8921, 0x8933  # linux/sockios.h


class Connection:
    """A netlink socket and the namespace for which it speaks."""

    def __init__(self, channel: Channel, enter: tuple[str, ...] = ()) -> None:
        self._channel = channel
        self._enter = enter  # What one types before a command to reach that namespace.

    def find(self, name: str) -> Link | None:
        """Look a link up by its name."""
        try:
            return self._link(messages.link_query(name))
        except OSError as error:
            if error.errno == errno.ENODEV:
                return None
            raise

    def look(self, name: str) -> Link:
        """Look at a link that is there, without its kind: in a hundredth of the time.

        Raises OSError, ENODEV; the kernel then has looked for a module that may bring it.
        """
        flags = self._channel.look(name, _SIOCGIFFLAGS)
        return Link(
            name,
            self._channel.look(name, _SIOCGIFINDEX),
            mtu=self._channel.look(name, _SIOCGIFMTU),
            up=bool(flags & messages.UP),
            running=bool(flags & messages.RUNNING),
        )

    def link_at(self, index: int) -> Link:
        """Look a link up by its index. Raises OSError, ENODEV."""
        return self._link(messages.link_query(index=index))

    def _link(self, query: bytes) -> Link:
        return messages.read_link(self._channel.get(query, messages.GETLINK))

    def addresses(self, link: Link | None = None) -> list[Interface]:
        """List the addresses of a link, or of all links."""
        found = self._channel.dump(messages.address(link), messages.GETADDR)
        return [messages.read_address(one)[1] for one in found]

    def routes(self) -> list[Route]:
        """List the routes of the main table, of both families."""
        found: list[Route] = []
        for version in (4, 6):
            try:
                answers = self._channel.dump(messages.routes_query(version), messages.GETROUTE)
            except OSError as error:
                if error.errno not in (errno.ENOENT, errno.EAFNOSUPPORT, errno.EOPNOTSUPP):
                    raise
                continue  # A table without routes is not there at all, nor is a family left out.
            found += [messages.read_route(one) for one in answers]
        return found

    def add_bridge(self, name: str, mac: str) -> None:
        """Make a bridge and set it up. Raises FileExistsError.

        It gets a MAC address of its own: else it bears the lowest of its ports', which
        changes whenever one comes or goes. It learns no MAC from link-local frames
        (:meth:`stop_link_local_learning`).
        """
        words = ["link", "add", name, "up", "address", mac, "type", "bridge"]
        words += ["no_linklocal_learn", "1"]
        with self._step("make the bridge", *words):
            self._channel.change(messages.bridge(name, mac), messages.NEWLINK, CREATE)

    def stop_link_local_learning(self, bridge: Link) -> None:
        """Let a bridge learn no MAC from frames to 01:80:c2:00:00:0X.

        They don't come by the packet filter (net/bridge/br_input.c, br_handle_frame).
        """
        words = ["link", "set", bridge.name, "type", "bridge", "no_linklocal_learn", "1"]
        with self._step("learn nothing from link-local frames", *words):
            self._channel.change(messages.without_link_local_learning(bridge), messages.NEWLINK)

    def add_veth(self, name: str, bridge: Link, peer: Peer, mtu: int = ETHERNET_MTU) -> None:
        """Make a veth pair whose far end is born in another network namespace.

        One message makes the pair, plugs ``name`` into the bridge and sets it up. That
        takes 1-3 ms; moving the far end there later takes ten times as long, since the
        kernel waits until no reader (RCU) sees the old place. Raises FileExistsError.
        """
        large = [] if mtu == ETHERNET_MTU else ["mtu", mtu]
        words = [name, *large, "up", "master", bridge.name, "type", "veth", "peer"]
        words += ["name", peer.name, *large, "address", peer.mac, "netns", peer.netns.path]
        with self._step("lay a wire into the namespace", "link", "add", *words):
            self._channel.change(messages.veth(name, bridge, peer, mtu), messages.NEWLINK, CREATE)

    def add_macvlan(self, parent: Link, peer: Peer, mode: str, mtu: int = 0) -> None:
        """Make a macvlan link of a parent, born in another network namespace.

        ``mtu`` in bytes; 0: the parent's. Raises FileExistsError; OSError: EBUSY where the parent
        is a port of something, EINVAL where it is no Ethernet, EOPNOTSUPP without such links.
        """
        words = ["link", parent.name, "name", peer.name, "address", peer.mac]
        words += [*(["mtu", str(mtu)] if mtu else []), "netns", peer.netns.path]
        with self._step("make a link in the namespace", "link", "add", *words, "type", "macvlan",
                        "mode", mode):  # fmt: skip
            self._channel.change(
                messages.macvlan(parent, peer, mode, mtu), messages.NEWLINK, CREATE
            )

    def plug_in(self, name: str, bridge: Link) -> None:
        """Make a link a port of a bridge."""
        with self._step("plug the link in", "link", "set", name, "master", bridge.name):
            self._channel.change(
                messages.link(name, more=messages.with_master(bridge)), messages.NEWLINK
            )

    def set_port(self, name: str, *, isolated: bool) -> None:
        """Let a bridge send back what came from this port; ``isolated``: to no other port.

        Without an IPv6 address the port sends no neighbour discovery into the bridge. The bridge
        handles frames to link-local groups (01:80:c2:00:00:0X) like all others, so they pass its
        filter. By default the host itself takes most of them from the port, unfiltered.
        """
        words = [name, "addrgenmode", "none", "type", "bridge_slave", "hairpin", "on"]
        words += ["group_fwd_mask", f"{messages.LINK_LOCAL_GROUPS:#x}"]
        words += ["isolated", "on" if isolated else "off"]
        with self._step("set the bridge's port", "link", "set", *words):
            self._channel.change(messages.port(name, isolated=isolated), messages.NEWLINK)

    def delete(self, link: Link) -> None:
        """Delete a link."""
        with self._step("remove the link", "link", "del", link.name):
            self._channel.change(messages.link(index=link.index), messages.DELLINK)

    def set_up(self, link: Link) -> None:
        """Set a link up."""
        with self._step("set the link up", "link", "set", link.name, "up"):
            self._channel.change(messages.link(index=link.index, up=True), messages.NEWLINK)

    def set_down(self, index: int, name: str = "") -> None:
        """Set the link of that index down; ``name`` is for the told step.

        Raises OSError: ENODEV where it has gone meanwhile.
        """
        with self._step("set the link down", "link", "set", name or f"if{index}", "down"):
            self._channel.change(messages.link(index=index, up=False), messages.NEWLINK)

    def set_aside(self, link: Link, name: str) -> None:
        """Set a link down and give it another name; on Linux before 6.2 only what is down has one.

        Raises OSError: ENODEV where it has gone meanwhile.
        """
        self.set_down(link.index, link.name)
        with self._step("give it another name", "link", "set", link.name, "name", name):
            self._channel.change(messages.link(name, index=link.index), messages.NEWLINK)

    def set_mtu(self, link: Link, mtu: int) -> None:
        """Set the size of a link's largest packet, in bytes. Raises OSError, EINVAL."""
        with self._step("set the largest packet", "link", "set", link.name, "mtu", mtu):
            message = messages.link(index=link.index, more=messages.with_mtu(mtu))
            self._channel.change(message, messages.NEWLINK)

    def add_address(self, link: Link, address: Interface) -> None:
        """Give a link an address. Raises FileExistsError."""
        nodad = ["nodad"] if address.version == 6 else []
        with self._step("give it an address", "addr", "add", address, "dev", link.name, *nodad):
            self._channel.change(messages.address(link, address), messages.NEWADDR, CREATE)

    def remove_address(self, link: Link, address: Interface) -> None:
        """Take an address from a link. Raises OSError, EADDRNOTAVAIL."""
        with self._step("take its address", "addr", "del", address, "dev", link.name):
            self._channel.change(messages.address(link, address), messages.DELADDR)

    def add_default_route(self, gateway: Address) -> None:
        """Send what no other route takes to ``gateway``. Raises FileExistsError."""
        with self._step("show the way out", "route", "add", "default", "via", gateway):
            self._channel.change(messages.default_route(gateway), messages.NEWROUTE, CREATE)

    def remove_default_route(self, gateway: Address) -> None:
        """Forget the default route through ``gateway``. Raises OSError, ESRCH."""
        with self._step("forget the way out", "route", "del", "default", "via", gateway):
            self._channel.change(messages.default_route(gateway), messages.DELROUTE)

    def _step(self, title: str, *words: object) -> AbstractContextManager[None]:
        return step(title, *self._enter, "ip", *words)


@contextmanager
def connect(netns: namespaces.Netns | None = None) -> Iterator[Connection]:
    """Open a connection to this network namespace, or to another one.

    A socket stays in the namespace of its birth, so the visit ends with the open.
    """
    with nullcontext() if netns is None else namespaces.inside(netns):
        channel = Channel()
    enter = () if netns is None else ("nsenter", f"--net={netns.path}")
    try:
        yield Connection(channel, enter)
    finally:
        channel.close()
