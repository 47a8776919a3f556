"""Plugs that change while a container is there: ``network connect`` and ``disconnect``.

A container that does not run only has its record changed. One that runs is wired by the
command process, as at its start; what is to be held then goes to its monitor in one message.
"""

from __future__ import annotations

from contextlib import ExitStack
from dataclasses import replace

from minirt.container import alive, etc_files, lifecycle, plug_options, record, way_out
from minirt.container.plug import introduce, take, wire
from minirt.container.plug_change import Change
from minirt.container.plug_rules import check_connect, check_disconnect
from minirt.container.record import Endpoint, EndpointRequest, Record
from minirt.errors import Conflict
from minirt.kernel import namespaces
from minirt.kernel.namespaces import Netns
from minirt.network import endpoint, finding, macvlan
from minirt.network.block import Interface
from minirt.network.spec import DEFAULT, Network


def connect(one: Record, network: Network, request: EndpointRequest) -> None:
    """Plug a container into a network. Raises Conflict, InvalidRequest, Exhausted."""
    check_connect(one, network, request)
    changed = replace(one, endpoints=[*one.endpoints, request])
    made = record.load_endpoints(one.id)
    if alive.is_held(one.id):
        init = _init(one)
        with namespaces.network_of(init[0]) as netns, ExitStack() as held:
            change = Change(changed, held)
            _wire(changed, network, request, made, init, netns, change)
            change.serve_names(_networks(changed, made), netns)
            change.send()
        record.save_endpoints(one.id, made)
    record.save(changed)


def disconnect(one: Record, network: Network) -> None:
    """Unplug a container. Raises Conflict if it has no plug there.

    From "none", as Docker puts it: so that it can be connected to others.
    """
    check_disconnect(one, network)
    if network.driver == "null":
        record.save(replace(one, host=replace(one.host, network_mode=DEFAULT)))
        return
    rest = [request for request in one.endpoints if request.network_id != network.id]
    changed = replace(one, endpoints=rest)
    made = record.load_endpoints(one.id)
    if network.name in made and alive.is_held(one.id):
        init = _init(one)
        with namespaces.network_of(init[0]) as netns, ExitStack() as held:
            change = Change(changed, held)
            way_out.move(changed, made, netns, change)
            _unwire(changed, network, made, netns)
            change.dropped = network.name
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
    return [
        finding.known(asked.network_id, asked.network)
        for asked in one.endpoints
        if asked.network in made
    ]


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
    there = {existing.interface for existing in made.values()}
    name = plug_options.interface(request, network.interface_prefix, number, there)
    with ExitStack() as taken:
        plug = take(one, request, network, name, {}, taken, way_out=False)
        taken.callback(_cut, network, plug.lease.address, netns, name)
        made[network.name] = wire(one, plug, netns, init, [])
        way_out.move(one, made, netns, change)
        taken.pop_all()
    change.take_leases(plug.leases)
    introduce(plug, netns)
    new = [str(address.ip) for address in plug.addresses]
    etc_files.change_addresses(one, _addresses(made), add=new)


def _unwire(one: Record, network: Network, made: dict[str, Endpoint], netns: Netns) -> None:
    """Remove the wire; the monitor drops the lease later, so nobody takes the address before."""
    gone = made.pop(network.name)
    addresses = gone.addresses()
    _cut(network, addresses[0], netns, gone.interface)
    lines = [str(address.ip) for address in addresses]
    etc_files.change_addresses(one, _addresses(made), remove=lines)


def _addresses(made: dict[str, Endpoint]) -> list[str]:
    return [str(address.ip) for existing in made.values() for address in existing.addresses()]


def _cut(network: Network, address: Interface, netns: Netns, interface: str) -> None:
    if network.has_bridge:
        endpoint.unplug(address)
    else:
        macvlan.unplug(netns, interface)


def _number(existing: Endpoint) -> int:
    """Return the number at the end of an interface's name."""
    digits = existing.interface[len(existing.interface.rstrip("0123456789")) :]
    return int(digits) if digits else 0
