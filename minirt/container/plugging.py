"""Plugs that change while a container is there: ``network connect`` and ``disconnect``.

A container that does not run only has its record changed. One that runs is wired by the
command process, as at its start; what is to be held then goes to its monitor in one message.
"""

from __future__ import annotations

import errno
from contextlib import ExitStack
from dataclasses import replace

from minirt.container import etc_files, lifecycle, networking, record
from minirt.container.plug import introduce, take, wire
from minirt.container.plug_change import Change
from minirt.container.plug_rules import check_connect, check_disconnect
from minirt.container.record import Endpoint, EndpointRequest, Record
from minirt.errors import Conflict
from minirt.kernel import namespaces, netlink
from minirt.kernel.namespaces import Netns
from minirt.network import endpoint, leases, nat, ports, store
from minirt.network.spec import Network


def connect(one: Record, network: Network, request: EndpointRequest) -> None:
    """Plug a container into a network. Raises Conflict, InvalidRequest, Exhausted."""
    check_connect(one, network, request)
    changed = replace(one, endpoints=[*one.endpoints, request])
    made = record.load_endpoints(one.id)
    if lifecycle.is_alive(one.id):
        init = _init(one)
        with namespaces.network_of(init[0]) as netns, ExitStack() as held:
            change = Change(changed, held)
            _wire(changed, network, request, made, init, netns, change)
            change.serve_names(_networks(changed, made), netns)
            change.send()
        record.save_endpoints(one.id, made)
    record.save(changed)


def disconnect(one: Record, network: Network) -> None:
    """Unplug a container. Raises Conflict if it has no plug there."""
    check_disconnect(one, network)
    rest = [request for request in one.endpoints if request.network_id != network.id]
    changed = replace(one, endpoints=rest)
    made = record.load_endpoints(one.id)
    gone = made.pop(network.name, None)
    if gone is not None and lifecycle.is_alive(one.id):
        init = _init(one)
        with namespaces.network_of(init[0]) as netns, ExitStack() as held:
            change = Change(changed, held)
            _unwire(changed, network, gone, made, netns, change)
            change.serve_names(_networks(changed, made), netns)
            change.send()
        record.save_endpoints(one.id, made)
    record.save(changed)


def _init(one: Record) -> tuple[int, int]:
    init = lifecycle.init_of(one)
    if init is None:
        raise Conflict(f"Cannot change the networks of {one.name}", "it is starting or ending")
    return init


def _networks(one: Record, made: dict[str, Endpoint]) -> list[Network]:
    """Return the networks that a container is plugged into, in its order."""
    return [store.find(asked.network_id) for asked in one.endpoints if asked.network in made]


def _wire(
    one: Record,
    network: Network,
    request: EndpointRequest,
    made: dict[str, Endpoint],
    init: tuple[int, int],
    netns: Netns,
    change: Change,
) -> None:
    """Lay the wire, as at a start; the interface gets the next number, as with Docker."""
    number = 1 + max((_number(existing) for existing in made.values()), default=-1)
    has_way_out = any(existing.is_way_out for existing in made.values())
    with ExitStack() as taken:
        plug = take(one, request, network, number, {}, taken, way_out=not has_way_out)
        taken.pop_all()
    change.take_leases(plug.leases)
    made[network.name] = wire(one, plug, netns, init, [])
    if plug.is_way_out:
        _publish(one, network, made[network.name], change)
    introduce(plug, netns)
    addresses = [str(address.ip) for address in plug.addresses]
    etc_files.change_addresses(record.directory(one.id), one.config, add=addresses)


def _unwire(
    one: Record,
    network: Network,
    gone: Endpoint,
    made: dict[str, Endpoint],
    netns: Netns,
    change: Change,
) -> None:
    """Remove the wire, then the lease: nobody takes the address while its wire is there."""
    addresses = gone.addresses()
    if gone.is_way_out and change.bindings:
        nat.unpublish(change.bindings, *addresses)
        change.published_to = []
    endpoint.unplug(addresses[0])
    change.dropped = network.name
    lines = [str(address.ip) for address in addresses]
    etc_files.change_addresses(record.directory(one.id), one.config, remove=lines)
    if gone.is_way_out:
        _find_way_out(one, made, netns, change)


def _find_way_out(one: Record, made: dict[str, Endpoint], netns: Netns, change: Change) -> None:
    """Lead the default route, and the published ports, through the next plug that can."""
    for network in _networks(one, made):
        if network.internal:
            continue
        with netlink.connect(netns) as inside:
            for address in made[network.name].addresses():
                try:
                    inside.add_default_route(network.block(address.version).gateway)
                except OSError as error:
                    if error.errno not in (errno.ENETDOWN, errno.ENETUNREACH):
                        raise  # Somebody has set the interface down: that's for him to mend.
        made[network.name] = replace(made[network.name], is_way_out=True)
        _publish(one, network, made[network.name], change)
        return


def _publish(one: Record, network: Network, plug: Endpoint, change: Change) -> None:
    """Lead the host ports to this plug; the lease tells so."""
    if not change.bindings:
        change.take_ports(networking.reserve_ports(one, network))
    if not change.bindings:
        return
    nat.publish(change.bindings, *plug.addresses())
    change.published_to = [str(address) for address in plug.addresses()]
    documents = [ports.to_json(binding) for binding in change.bindings]
    for address in plug.addresses():
        path = leases.directory(network) / str(address.ip)
        facts = leases.read(path)
        if facts is not None:
            leases.rewrite(path, replace(facts, ports=documents))


def _number(existing: Endpoint) -> int:
    """Return the number at the end of an interface's name."""
    digits = existing.interface[len(existing.interface.rstrip("0123456789")) :]
    return int(digits) if digits else 0
