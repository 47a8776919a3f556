"""Put back what others have damaged of a network, while its containers go on."""

from __future__ import annotations

from minirt.kernel import netlink
from minirt.network import bridge, endpoint, filters
from minirt.network.spec import Network


def mend(network: Network) -> None:
    """Mend the bridge, its addresses and switches, the wires, the packet filter, the ports.

    What is whole stays as it is.
    """
    bridge.ensure(network)
    with netlink.connect() as links:
        link = links.find(network.bridge)
        if link is not None:
            endpoint.plug_in_again(links, network, link)
    filters.restore()
