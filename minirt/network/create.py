"""A network is made: a spec that fits to all that is there, then its bridge."""

from __future__ import annotations

import time
from contextlib import suppress
from ipaddress import IPv4Network
from pathlib import Path

from minirt.errors import Conflict, InvalidRequest, KernelRefused, kernel_refused
from minirt.kernel import netlink
from minirt.network import bridge, plan, pools, remove, spec, store
from minirt.network.plan import Addresses, Plan
from minirt.network.spec import Network
from minirt.state import check_name, new_id


def create(wanted: Plan) -> Network:
    """Make a network. Of two that want the same name or addresses, one gets an error.

    Raises InvalidRequest, Conflict, Exhausted, KernelRefused; then nothing is left of it.
    """
    if wanted.name in store.PREDEFINED:
        what = f"operation is not permitted on predefined {wanted.name} network"
        raise InvalidRequest(what, "", "Choose another name.")
    check_name(wanted.name, "network")
    plan.check(wanted)
    fixed = plan.addresses(wanted)
    store.find(spec.DEFAULT)  # It has the first pool, also when it is not in use yet.
    with store.changing():
        remove.finish()
        if store.spec_path(wanted.name).exists():
            raise store.name_taken(wanted.name)
        network = _decide(wanted, fixed)
        store.add(network)
        _realize(network)
    return network


def default() -> Network:
    """Return the network ``bridge``, its spec made if need be; its bridge is for later."""
    with store.changing():
        if store.spec_path(spec.DEFAULT).exists():
            return store.find(spec.DEFAULT)
        options = {spec.BRIDGE_NAME: spec.DEFAULT_BRIDGE}
        network = _decide(Plan(spec.DEFAULT, options=options), None)
        store.add(network)
    return network


def _decide(wanted: Plan, fixed: Addresses | None) -> Network:
    others = store.every()
    subnets = [one.subnet4 for one in others]
    with netlink.connect() as links:
        given = fixed or plan.automatic(_choose(subnets, links))
        network_id = new_id()
        link = wanted.options.get(spec.BRIDGE_NAME) or f"br-{network_id[:12]}"
        adopted = _is_there(link, links) and link != spec.DEFAULT_BRIDGE
    overlap = next((one for one in others if one.subnet4.overlaps(given.subnet)), None)
    if overlap is not None:
        why = f"{given.subnet} and {overlap.subnet4} of {overlap.name} share addresses"
        raise Conflict("Pool overlaps with other one on this address space", why)
    same = next((one for one in others if one.bridge == link), None)
    if same is not None:
        why = f"conflicts with network {same.name}: networks have same bridge name"
        raise Conflict(f"cannot create network {wanted.name} ({link})", why)
    return Network(
        id=network_id,
        name=wanted.name,
        created=_now(),
        bridge=link,
        adopted=adopted,
        subnet4=given.subnet,
        gateway4=given.gateway,
        range4=given.range,
        aux=given.aux,
        chosen=fixed is not None,
        internal=wanted.internal,
        options=wanted.options,
        labels=wanted.labels,
    )


def _choose(subnets: list[IPv4Network], links: netlink.Connection) -> IPv4Network:
    """Choose a pool that no network, no route and no interface has; remember it."""
    taken = list(subnets)
    for route in links.routes():
        if isinstance(route.to, IPv4Network) and route.to.prefixlen:
            taken.append(route.to)
    for address in links.addresses():
        if isinstance(address.network, IPv4Network):
            taken.append(address.network)
    memory = store.run_directory(".last-pool")
    pool = pools.choose(taken, _remembered(memory))
    memory.write_text(f"{pool}\n", encoding="ascii")
    return pool


def _remembered(memory: Path) -> IPv4Network | None:
    with suppress(FileNotFoundError, ValueError):
        return IPv4Network(memory.read_text(encoding="ascii").strip())
    return None


def _is_there(name: str, links: netlink.Connection) -> bool:
    link = links.find(name)
    if link is not None and link.kind != "bridge":
        why = f"existing interface {name} is not a bridge"
        raise Conflict(f"cannot make a bridge of the name {name}", why)
    return link is not None


def _realize(network: Network) -> None:
    """Make the bridge, or take everything back."""
    try:
        bridge.ensure(network)
    except BaseException as error:
        store.spec_path(network.name).unlink()
        with suppress(OSError, KernelRefused):
            bridge.remove(network)
        if isinstance(error, OSError):
            what = f"Cannot make the bridge {network.bridge} of the network {network.name}"
            raise kernel_refused(what, error) from error
        raise


def _now() -> str:
    """Return the time in Docker's form: RFC 3339, with nanoseconds, in UTC."""
    now = time.time_ns()
    seconds = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(now // 10**9))
    return f"{seconds}.{now % 10**9:09d}Z"
