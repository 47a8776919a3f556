"""One plug of a container in a network: its leases, then its wire."""

from __future__ import annotations

from contextlib import ExitStack
from dataclasses import dataclass

from minirt.container import lifecycle, plug_options, rights
from minirt.container.record import Endpoint, EndpointRequest, Record
from minirt.kernel.namespaces import Netns
from minirt.network import bridge, endpoint, identity, leases, port_binding
from minirt.network.block import Interface
from minirt.network.leases import Facts, Lease
from minirt.network.port_binding import Binding
from minirt.network.spec import Network
from minirt.state import new_id

# What "--sysctl" says of a container that shall have no IPv6.
_WITHOUT_IPV6 = ("net.ipv6.conf.all.disable_ipv6", "net.ipv6.conf.default.disable_ipv6")


@dataclass(frozen=True, slots=True)
class Plug:
    """One endpoint before it is wired: its network and its lease."""

    network: Network
    lease: Lease
    lease6: Lease | None  # where the network has IPv6
    interface: str  # inside
    mac: str
    names: list[str]
    is_way_out: bool  # its gateway is the container's default route
    sysctls: dict[str, str]  # of its interface: endpoint.switch

    @property
    def leases(self) -> list[Lease]:
        """Its leases: of IPv4, and of IPv6 if it has that."""
        return [one for one in (self.lease, self.lease6) if one is not None]

    @property
    def addresses(self) -> tuple[Interface, ...]:
        """Its addresses, IPv4 first."""
        return tuple(one.address for one in self.leases)


def take(
    one: Record,
    request: EndpointRequest,
    network: Network,
    interface: str,
    last: dict[str, Endpoint],
    held: ExitStack,
    *,
    way_out: bool,
) -> Plug:
    """Take the leases of one plug; ``held`` gives them back.

    Raises Conflict, Exhausted, InvalidRequest.
    """
    before = last.get(network.name)
    lease = leases.take(network, wanted=request.address, last=before.address if before else "")
    held.callback(leases.release, lease)
    lease6 = _take6(one, request, network, before.address6 if before else "", lease)
    if lease6 is not None:
        held.callback(leases.release, lease6)
    return Plug(
        network,
        lease,
        lease6,
        interface,
        request.mac or identity.mac_of(lease.address.ip),
        names_in(one, network, request.aliases),
        is_way_out=way_out,
        sysctls=plug_options.sysctls(request.driver_opts),
    )


def _take6(
    one: Record, request: EndpointRequest, network: Network, last: str, lease: Lease
) -> Lease | None:
    """Take the IPv6 lease, if the network and the container have IPv6."""
    if any(one.host.sysctls.get(switch) == "1" for switch in _WITHOUT_IPV6):
        return None
    return leases.take6(network, wanted=request.address6, last=last, beside=lease.address.ip)


def names_in(one: Record, network: Network, aliases: list[str]) -> list[str]:
    """Return the names that stand for a container in a network: none in the default one."""
    if network.is_default:
        return []
    short = one.id[: lifecycle.SHORT]
    return list(dict.fromkeys([one.name, *aliases, short, one.config.hostname]))


def may_change_addresses(one: Record) -> bool:
    """Say whether the operator lets a container configure its network (capabilities(7))."""
    return "CAP_NET_ADMIN" in rights.granted(one.host)


def introduce(plug: Plug, netns: Netns) -> None:
    """Tell the neighbours of a plug, wired a moment ago, where its addresses are now."""
    interface, mac = plug.interface, plug.mac
    endpoint.introduce(plug.network, plug.addresses, netns, interface=interface, mac=mac)


def wire(
    one: Record, plug: Plug, netns: Netns, init: tuple[int, int], bindings: list[Binding]
) -> Endpoint:
    """Plug one endpoint in, and tell the world by its leases."""
    network = plug.network
    bridge.ensure(network)
    endpoint.plug(
        network,
        plug.lease,
        netns,
        interface=plug.interface,
        mac=plug.mac,
        lease6=plug.lease6,
        default_route=plug.is_way_out,
        trusted=may_change_addresses(one),
    )
    endpoint.switch(netns, plug.interface, plug.sysctls)
    made = Endpoint(
        network_id=network.id,
        endpoint_id=new_id(),
        interface=plug.interface,
        address=str(plug.lease.address),
        gateway="" if network.internal else str(network.gateway4),
        mac=plug.mac,
        names=plug.names,
        is_way_out=plug.is_way_out,
        address6=str(plug.lease6.address) if plug.lease6 else "",
        gateway6=str(network.gateway6) if plug.lease6 and not network.internal else "",
    )
    facts = Facts(
        container=one.id,
        name=one.name,
        pid=init[0],
        born=init[1],
        mac=plug.mac,
        endpoint=made.endpoint_id,
        trusted=may_change_addresses(one),
        names=plug.names,
        ports=[port_binding.to_json(binding) for binding in bindings],
    )
    for lease in plug.leases:
        leases.write(lease, facts)
    return made
