"""A container's plugs: what it holds before it starts, and how it is wired when it exists."""

from __future__ import annotations

from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from pathlib import Path

from minirt.container import lifecycle, record, rights
from minirt.container.holdings import Holdings
from minirt.container.record import Endpoint, EndpointRequest, Record
from minirt.errors import Conflict
from minirt.kernel.namespaces import Netns
from minirt.network import bridge, endpoint, leases, nat, ports, store
from minirt.network.block import Interface
from minirt.network.leases import Facts, Lease
from minirt.network.ports import Binding, PortRequest
from minirt.network.spec import HOST_BINDING, INTERFACE_PREFIX, Network
from minirt.state import new_id

# What "--sysctl" says of a container that shall have no IPv6.
_WITHOUT_IPV6 = ("net.ipv6.conf.all.disable_ipv6", "net.ipv6.conf.default.disable_ipv6")

OWN = ("mount", "uts", "ipc", "pid", "cgroup", "network")  # kinds of namespace by default


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

    @property
    def leases(self) -> list[Lease]:
        """Its leases: of IPv4, and of IPv6 if it has that."""
        return [one for one in (self.lease, self.lease6) if one is not None]

    @property
    def addresses(self) -> tuple[Interface, ...]:
        """Its addresses, IPv4 first."""
        return tuple(one.address for one in self.leases)


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


def host_of(one: Record) -> Path | None:
    """Return the folder of the container whose network, and files in /etc, this one shares."""
    kind, colon, target = one.host.network_mode.partition(":")
    return record.directory(target) if colon and kind == "container" else None


def prepare(one: Record, held: ExitStack) -> Wiring:
    """Take the leases and host ports of a container; ``held`` frees them if it does not start.

    Raises NotFound, Conflict, Exhausted, InvalidRequest.
    """
    wiring = Wiring()
    last = record.load_endpoints(one.id)
    for number, request in enumerate(one.endpoints):
        network = store.find(request.network_id)
        has_way_out = any(plug.is_way_out for plug in wiring.plugs)
        plug = take(one, request, network, number, last, held, way_out=not has_way_out)
        wiring.plugs.append(plug)
    # Ports belong to the way out, as with Docker; a container without one has none.
    wiring.plugs.sort(key=lambda plug: not plug.is_way_out)
    if wiring.plugs and wiring.plugs[0].is_way_out:
        wiring.bindings = reserve_ports(one, wiring.plugs[0].network)
        held.callback(ports.close, wiring.bindings)
    return wiring


def reserve_ports(one: Record, network: Network) -> list[Binding]:
    """Take the host ports of a container whose way out is ``network``."""
    requests = [PortRequest(**fields) for fields in one.host.ports]
    if one.host.publish_all:
        requests += ports.parse(one.config.exposed_ports)
    address = network.options.get(HOST_BINDING, "")
    if address not in ("", "0.0.0.0"):
        requests = [
            asked if asked.host_ip else replace(asked, host_ip=address) for asked in requests
        ]
    return ports.reserve(requests)


def take(
    one: Record,
    request: EndpointRequest,
    network: Network,
    number: int,
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
    prefix = network.options.get(INTERFACE_PREFIX, "eth")
    return Plug(
        network,
        lease,
        lease6,
        f"{prefix}{number}",
        request.mac or endpoint.mac_of(lease.address.ip),
        names_in(one, network, request.aliases),
        is_way_out=way_out and not network.internal,
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


def hold(wiring: Wiring, alive: tuple[Path, int]) -> Holdings:
    """Return what the monitor shall hold."""
    held = {
        plug.network.name: [(lease.path, lease.fd) for lease in plug.leases]
        for plug in wiring.plugs
    }
    main = wiring.plugs[0].addresses if wiring.bindings else ()
    return Holdings(alive, leases=held, bindings=wiring.bindings, published_to=main)


def connect(one: Record, wiring: Wiring, netns: Netns, pid: int, born: int) -> None:
    """Plug everything in: the network namespace of init exists, and its command waits."""
    if not wiring.plugs:
        return
    made: dict[str, Endpoint] = {}
    for number, plug in enumerate(wiring.plugs):
        bindings = wiring.bindings if number == 0 else []
        made[plug.network.name] = wire(one, plug, netns, (pid, born), bindings)
    if wiring.bindings:
        nat.publish(wiring.bindings, *wiring.plugs[0].addresses)
    record.save_endpoints(one.id, made)


def let_go(wiring: Wiring) -> None:
    """Free what a container had that did not start; the caller has its leases for itself."""
    if wiring.bindings:
        nat.unpublish(wiring.bindings, *wiring.plugs[0].addresses)
    for lease in (lease for plug in wiring.plugs for lease in plug.leases):
        lease.path.unlink(missing_ok=True)


def may_change_addresses(one: Record) -> bool:
    """Say whether the operator lets a container configure its network (capabilities(7))."""
    return "CAP_NET_ADMIN" in rights.granted(one.host)


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
        ports=[ports.to_json(binding) for binding in bindings],
    )
    for lease in plug.leases:
        leases.write(lease, facts)
    return made
