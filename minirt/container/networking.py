"""A container's plugs: what it holds before it starts, and how it is wired when it exists."""

from __future__ import annotations

import os
from contextlib import ExitStack
from dataclasses import dataclass, field
from typing import Any

from minirt.container import lifecycle, record
from minirt.container.holdings import Holdings
from minirt.container.record import Endpoint, EndpointRequest, Record
from minirt.errors import Conflict
from minirt.kernel import locks, namespaces
from minirt.kernel.namespaces import Netns
from minirt.network import bridge, endpoint, leases, nat, ports, resolver_link, store
from minirt.network.leases import Facts, Lease
from minirt.network.ports import Binding, PortRequest
from minirt.network.spec import Network
from minirt.state import new_id

OWN = ("mount", "uts", "ipc", "pid", "cgroup", "network")  # kinds of namespace by default


@dataclass(frozen=True, slots=True)
class Plug:
    """One endpoint before it is wired: its network and its lease."""

    network: Network
    lease: Lease
    interface: str  # inside
    mac: str
    names: list[str]


@dataclass(slots=True)
class Wiring:
    """What a container will be connected with."""

    plugs: list[Plug] = field(default_factory=list)
    bindings: list[Binding] = field(default_factory=list)


def own_namespaces(one: Record) -> dict[str, str]:
    """Return the namespaces that it gets, and the path of the network namespace that it joins.

    Raises NotFound or Conflict if that belongs to a container that doesn't run.
    """
    kinds = dict.fromkeys(OWN, "")
    mode = one.host.network_mode
    if mode == "host":
        del kinds["network"]
    elif mode.startswith("container:"):
        target = lifecycle.find_running(mode.partition(":")[2])
        init = lifecycle.init_of(target)
        if init is None:
            raise Conflict(f"Cannot join the network of {target.name}", "it is just starting")
        kinds["network"] = f"/proc/{init[0]}/ns/net"
    return kinds


def prepare(one: Record, held: ExitStack) -> Wiring:
    """Take the leases and host ports of a container; ``held`` frees them if it does not start.

    Raises NotFound, Conflict, Exhausted, InvalidRequest.
    """
    wiring = Wiring()
    last = record.load_endpoints(one.id)
    for number, request in enumerate(one.endpoints):
        network = store.find(request.network_id)
        known = last.get(network.name)
        wiring.plugs.append(_take(one, request, network, known, f"eth{number}"))
        lease = wiring.plugs[-1].lease
        held.callback(locks.release, lease.path, lease.fd)
    requests = [PortRequest(**fields) for fields in one.host.ports]
    if one.host.publish_all:
        requests += ports.parse(one.config.exposed_ports)
    if requests and wiring.plugs and not wiring.plugs[0].network.internal:
        wiring.bindings = ports.reserve(requests)
        for binding in wiring.bindings:
            for fd in binding.sockets:
                held.callback(os.close, fd)
    return wiring


def _take(
    one: Record, request: EndpointRequest, network: Network, last: Endpoint | None, interface: str
) -> Plug:
    before = last.address.partition("/")[0] if last else ""
    lease = leases.take(network, wanted=request.address, last=before)
    mac = request.mac or endpoint.mac_of(lease.address)
    return Plug(network, lease, interface, mac, names_in(one, network, request.aliases))


def names_in(one: Record, network: Network, aliases: list[str]) -> list[str]:
    """Return the names that stand for a container in a network: none in the default one."""
    if network.is_default:
        return []
    short = one.id[: lifecycle.SHORT]
    return list(dict.fromkeys([one.name, *aliases, short, one.config.hostname]))


def hold(wiring: Wiring, alive: tuple[Any, int]) -> Holdings:
    """Return what the monitor shall hold."""
    held = {plug.network.name: (plug.lease.path, plug.lease.fd) for plug in wiring.plugs}
    return Holdings(alive, leases=held, bindings=wiring.bindings)


def connect(one: Record, wiring: Wiring, pid: int, born: int) -> None:
    """Plug everything in: the network namespace of ``pid`` exists, and its command waits."""
    if not wiring.plugs:
        return
    made: dict[str, Endpoint] = {}
    with namespaces.network_of(pid) as netns:
        for number, plug in enumerate(wiring.plugs):
            made[plug.network.name] = wire(one, plug, netns, (pid, born), first=number == 0)
    if wiring.bindings:
        nat.publish(wiring.bindings, wiring.plugs[0].lease.address.ip)
    record.save_endpoints(one.id, made)


def wire(one: Record, plug: Plug, netns: Netns, init: tuple[int, int], *, first: bool) -> Endpoint:
    """Plug one endpoint in, and tell the world by its lease; the first is the way out."""
    bridge.ensure(plug.network)
    way_out = first and not plug.network.internal
    endpoint.plug(
        plug.network,
        plug.lease,
        netns,
        interface=plug.interface,
        mac=plug.mac,
        default_route=way_out,
    )
    facts = Facts(
        container=one.id, name=one.name, pid=init[0], born=init[1], mac=plug.mac, names=plug.names
    )
    leases.write(plug.lease, facts)
    gateway = str(plug.network.gateway4) if not plug.network.internal else ""
    return Endpoint(
        network_id=plug.network.id,
        endpoint_id=new_id(),
        interface=plug.interface,
        address=str(plug.lease.address),
        gateway=gateway,
        mac=plug.mac,
        names=plug.names,
    )
