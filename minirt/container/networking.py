"""A container's plugs and ports: taken before it starts, connected when it exists."""

from __future__ import annotations

from contextlib import ExitStack
from dataclasses import dataclass, field, replace

from minirt.container import joining, plug_options, plug_rules, record
from minirt.container.holdings import Holdings
from minirt.container.joining import Joined
from minirt.container.plug import Plug, introduce, take, wire
from minirt.container.record import Endpoint, Record
from minirt.kernel import descriptors, netlink
from minirt.kernel.namespaces import Netns
from minirt.network import finding, nat, port_syntax, ports
from minirt.network.port_binding import Binding
from minirt.network.port_syntax import PortRequest
from minirt.network.spec import Network


@dataclass(slots=True)
class Wiring:
    """What a container will be connected with."""

    plugs: list[Plug] = field(default_factory=list)
    bindings: list[Binding] = field(default_factory=list)
    joined: Joined | None = None  # instead of all that


def prepare(one: Record, held: ExitStack) -> Wiring:
    """Take the leases and host ports of a container; ``held`` frees them if it does not start.

    Raises NotFound, Conflict, Exhausted, InvalidRequest.
    """
    wiring = Wiring(joined=joining.join(one))
    if wiring.joined is not None:
        held.callback(descriptors.close, wiring.joined.descriptors())
    last = record.load_endpoints(one.id)
    asked = [(each, finding.known(each.network_id, each.network)) for each in one.endpoints]
    chosen = plug_rules.way_out(asked)
    for number, (request, network) in enumerate(asked):
        taken = {plug.interface for plug in wiring.plugs} | plug_options.names(
            one.endpoints[number + 1 :]
        )
        name = plug_options.interface(request, network.interface_prefix, number, taken)
        plug = take(one, request, network, name, last, held, way_out=network is chosen)
        wiring.plugs.append(plug)
    # Ports belong to the way out, as with Docker; a container without one has none.
    wiring.plugs.sort(key=lambda plug: not plug.is_way_out)
    if wiring.plugs and wiring.plugs[0].is_way_out:
        wiring.bindings = reserve_ports(one, wiring.plugs[0].network)
        held.callback(ports.close, wiring.bindings)
    return wiring


def reserve_ports(one: Record, network: Network) -> list[Binding]:
    """Take the host ports of a container whose way out is ``network``; a bridge, else none."""
    if not network.has_bridge:
        return []
    requests = [PortRequest(**fields) for fields in one.host.ports]
    if one.host.publish_all:
        requests += port_syntax.parse(one.config.exposed_ports)
    address = network.host_binding
    if address not in ("", "0.0.0.0"):
        requests = [
            asked if asked.host_ip else replace(asked, host_ip=address) for asked in requests
        ]
    return ports.reserve(requests)


def hold(wiring: Wiring, container_id: str, lock: int) -> Holdings:
    """Return what the monitor shall hold."""
    held = {
        plug.network.name: [(lease.path, lease.fd) for lease in plug.leases]
        for plug in wiring.plugs
    }
    main = wiring.plugs[0].addresses if wiring.bindings else ()
    joined = wiring.joined
    return Holdings(container_id, lock, held, wiring.bindings, published_to=main, joined=joined)


def connect(one: Record, wiring: Wiring, netns: Netns, pid: int, born: int) -> None:
    """Plug everything in: the network namespace of init exists, and its command waits."""
    if not wiring.plugs:
        if joining.has_own_network(one):
            with netlink.connect(netns) as inside:
                inside.set_up(netlink.LOOPBACK)
        return
    made: dict[str, Endpoint] = {}
    for number, plug in enumerate(wiring.plugs):
        bindings = wiring.bindings if number == 0 else []
        made[plug.network.name] = wire(one, plug, netns, (pid, born), bindings)
    if wiring.bindings:
        nat.publish(wiring.bindings, *wiring.plugs[0].addresses)
    record.save_endpoints(one.id, made)
    for plug in wiring.plugs:
        introduce(plug, netns)


def unpublish(wiring: Wiring) -> None:
    """Take back what the packet filter was told of the ports of a container that did not start."""
    if wiring.bindings:
        nat.unpublish(wiring.bindings, *wiring.plugs[0].addresses)
