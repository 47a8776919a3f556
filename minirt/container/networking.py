"""A container's plugs and ports: taken before it starts, connected when it exists."""

from __future__ import annotations

from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from pathlib import Path

from minirt.container import lifecycle, record
from minirt.container.holdings import Holdings
from minirt.container.plug import Plug, take, wire
from minirt.container.record import Endpoint, Record
from minirt.errors import Conflict
from minirt.kernel import netlink
from minirt.kernel.namespaces import Netns
from minirt.network import nat, ports, store
from minirt.network.ports import Binding, PortRequest
from minirt.network.spec import HOST_BINDING, Network

OWN = ("mount", "uts", "ipc", "pid", "cgroup", "network")  # kinds of namespace by default


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
        wiring.plugs.append(
            take(one, request, network, number, last, held, way_out=not has_way_out)
        )
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


def _has_own_network(one: Record) -> bool:
    """Say whether its network namespace is neither the host's nor another container's."""
    mode = one.host.network_mode
    return mode != "host" and not mode.startswith("container:")


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
        if _has_own_network(one):
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


def let_go(wiring: Wiring) -> None:
    """Free what a container had that did not start; the caller has its leases for itself."""
    if wiring.bindings:
        nat.unpublish(wiring.bindings, *wiring.plugs[0].addresses)
    for lease in (lease for plug in wiring.plugs for lease in plug.leases):
        lease.path.unlink(missing_ok=True)
