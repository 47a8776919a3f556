"""Networks without a bridge: each container is a machine of the LAN at an interface of the host.

A macvlan link (ip-link(8)) is one more MAC address of its parent, and what it sends leaves there
as it is. So nothing of a bridge is needed: no filter, no masquerading, no published ports. The
kernel keeps such links apart from their parent's own addresses: the host and the containers
don't reach each other.
"""

from __future__ import annotations

import errno
import time

from minirt.errors import Conflict, NotFound, kernel_refused
from minirt.kernel import namespaces, netlink
from minirt.kernel.namespaces import Namespace, Netns
from minirt.kernel.netlink import Connection, Link, Peer
from minirt.network.identity import mac_of
from minirt.network.lacks import needs
from minirt.network.spec import MACVLAN, MACVLAN_MODE, MACVLAN_MODES, PARENT, Network

_TRIES, _PAUSE = 1000, 0.005  # seconds; so often a MAC address is asked for


def probe(network: Network) -> None:
    """Make such a link in a namespace that is thrown away, so that a kill leaves nothing.

    A refusal is heard before the first container: raises NotFound, Conflict, KernelRefused.
    """
    with namespaces.network_of("self") as own, namespaces.inside(own):
        namespaces.unshare(Namespace.NET)
        with namespaces.network_of("self") as scratch, namespaces.inside(own):
            lay(network, Peer("eth0", mac_of(network.gateway4), scratch))


def lay(network: Network, peer: Peer) -> None:
    """Make a link of the network inside a namespace.

    Raises NotFound (the parent is gone), Conflict (it can't be one), KernelRefused.
    """
    parent_name = network.options[PARENT]
    what = f"Cannot use {parent_name} for the network {network.name}"
    mode = network.options.get(MACVLAN_MODE, MACVLAN_MODES[0])
    with netlink.connect() as links:
        parent = links.find(parent_name)
        if parent is None:
            name, _, tag = parent_name.partition(".")
            vlan = f"ip link add link {name} name {parent_name} type vlan id {tag}"
            raise NotFound(what, "there is no such interface", f"Make it: {vlan}." if tag else "")
        try:
            with needs("macvlan links", MACVLAN):
                links.add_macvlan(parent, peer, mode, network.mtu)
        except FileExistsError:
            why = f"the container has an interface {peer.name} already"
            raise Conflict(what, why) from None
        except OSError as error:
            if error.errno not in (errno.EBUSY, errno.EINVAL):
                raise kernel_refused(what, error) from error
            why = "it is a port of a bridge, belongs to another link, or is no Ethernet"
            raise Conflict(what, why) from None


def set_up(network: Network, inside: Connection, link: Link) -> None:
    """Set the link up, as soon as nobody else has its MAC address. Raises Conflict.

    The link of who had the address before goes with a dead namespace: when the kernel sweeps it.
    """
    what = f"Cannot set up an interface in the network {network.name}"
    for _ in range(_TRIES):
        try:
            return inside.set_up(link)
        except OSError as error:
            if error.errno != errno.EADDRINUSE:
                raise
        time.sleep(_PAUSE)
    raise Conflict(what, "another link of its parent has the MAC address")


def unplug(netns: Netns, interface: str) -> None:
    """Take the link away; none: nothing."""
    with netlink.connect(netns) as inside:
        link = inside.find(interface)
        if link is not None:
            inside.delete(link)
