"""A network is made: a spec that fits to all that is there, then its bridge."""

from __future__ import annotations

import time
from collections.abc import Callable
from contextlib import suppress
from ipaddress import IPv4Network, IPv6Network
from pathlib import Path
from typing import Any, TypeVar

from minirt.errors import Conflict, InvalidRequest, KernelRefused, kernel_refused
from minirt.kernel import netlink, sysctl
from minirt.network import bridge, macvlan, plan, pools, remove, spec, store, subnets, ula
from minirt.network.block import Block, Subnet
from minirt.network.plan import Plan
from minirt.network.spec import Network
from minirt.state import check_name, new_id, private

_S = TypeVar("_S", IPv4Network, IPv6Network)


def create(wanted: Plan) -> Network:
    """Make a network. Of two that want the same name or addresses, one gets an error.

    Raises InvalidRequest, Conflict, Exhausted, KernelRefused; then nothing is left of it.
    """
    if wanted.name in store.PREDEFINED:
        what = f"operation is not permitted on predefined {wanted.name} network"
        raise InvalidRequest(what, "", "Choose another name.")
    check_name(wanted.name, "network")
    plan.check(wanted)
    fixed = subnets.fixed(wanted)
    if wanted.ipv6 or 6 in fixed:
        _check_ipv6()
    if store.load(spec.DEFAULT) is None:
        default()  # It has the first pool, also when it is not in use yet.
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
        present = store.load(spec.DEFAULT)
        if present is not None:
            return present
        options = {spec.BRIDGE_NAME: spec.DEFAULT_BRIDGE}
        network = _decide(Plan(spec.DEFAULT, options=options), {})
        store.add(network)
    return network


def _decide(wanted: Plan, fixed: dict[int, Block]) -> Network:
    others = store.every()
    with netlink.connect() as links:
        blocks = _blocks(wanted, fixed, others, links)
        network_id = new_id()
        link = wanted.options.get(spec.BRIDGE_NAME) or f"br-{network_id[:12]}"
        if wanted.driver == spec.MACVLAN:
            link = ""
        adopted = bool(link) and _is_there(link, links) and link != spec.DEFAULT_BRIDGE
    _check_overlap(blocks, others)
    same = next((one for one in others if link and one.bridge == link), None)
    if same is not None:
        why = f"conflicts with network {same.name}: networks have same bridge name"
        raise Conflict(f"cannot create network {wanted.name} ({link})", why)
    fields: dict[str, Any] = {}
    for block in blocks:
        fields |= spec.fields_of(block)
    return Network(
        id=network_id,
        name=wanted.name,
        created=_now(),
        driver=wanted.driver,
        bridge=link,
        adopted=adopted,
        internal=wanted.internal,
        attachable=wanted.attachable,
        options=wanted.options,
        labels=wanted.labels,
        dns=list(wanted.dns),
        **fields,
    )


def _blocks(
    wanted: Plan, fixed: dict[int, Block], others: list[Network], links: netlink.Connection
) -> list[Block]:
    """Return the network's blocks: IPv4 always, IPv6 if it was asked for by flag or subnet."""
    blocks = [fixed.get(4) or subnets.automatic(_choose(others, links))]
    if 6 in fixed:
        blocks.append(fixed[6])
    elif wanted.ipv6:
        blocks.append(subnets.automatic(_choose6(others, links)))
    return blocks


def _check_overlap(blocks: list[Block], others: list[Network]) -> None:
    for block in blocks:
        for one in others:
            for other in one.blocks:
                if block.version == other.version and block.subnet.overlaps(other.subnet):
                    why = f"{block.subnet} and {other.subnet} of {one.name} share addresses"
                    raise Conflict("Pool overlaps with other one on this address space", why)


def _check_ipv6() -> None:
    if sysctl.read("net/ipv6/conf/all/forwarding") is None:
        why = "there is no /proc/sys/net/ipv6: it was built, or started, without"
        remedy = "Leave IPv6 out, or start Linux without ipv6.disable=1."
        raise KernelRefused("This kernel has no IPv6", why, remedy)


def _taken(others: list[Network], links: netlink.Connection) -> list[Subnet]:
    """Return the subnets of networks, routes and interfaces."""
    found: list[Subnet] = [block.subnet for one in others for block in one.blocks]
    found += [route.to for route in links.routes() if route.to.prefixlen]
    return found + [address.network for address in links.addresses()]


def _choose(others: list[Network], links: netlink.Connection) -> IPv4Network:
    """Choose a pool that no network, no route and no interface has; remember it."""
    taken = [one for one in _taken(others, links) if isinstance(one, IPv4Network)]
    memory = store.run_directory(".last-pool")
    pool = pools.choose(taken, _remembered(memory, IPv4Network))
    _remember(memory, pool)
    return pool


def _choose6(others: list[Network], links: netlink.Connection) -> IPv6Network:
    """Choose one of the host's own subnets, likewise."""
    taken = [one for one in _taken(others, links) if isinstance(one, IPv6Network)]
    memory = store.run_directory(".last-pool6")
    subnet = ula.choose(ula.own(), taken, _remembered(memory, IPv6Network))
    _remember(memory, subnet)
    return subnet


def _remember(memory: Path, subnet: Subnet) -> None:
    with open(memory, "w", encoding="ascii", opener=private) as file:
        file.write(f"{subnet}\n")


def _remembered(memory: Path, kind: Callable[[str], _S]) -> _S | None:
    with suppress(FileNotFoundError, ValueError):
        return kind(memory.read_text(encoding="ascii").strip())
    return None


def _is_there(name: str, links: netlink.Connection) -> bool:
    link = links.find(name)
    if link is not None and link.kind != "bridge":
        why = f"existing interface {name} is not a bridge"
        raise Conflict(f"cannot make a bridge of the name {name}", why)
    return link is not None


def _realize(network: Network) -> None:
    """Make the bridge, or try whether there can be what is there instead; else take all back."""
    try:
        if network.has_bridge:
            bridge.ensure(network)
        else:
            macvlan.probe(network)
    except BaseException as error:
        store.spec_path(network.name).unlink()
        with suppress(OSError, KernelRefused):
            bridge.remove(network)
        if isinstance(error, OSError):
            what = f"Cannot make the {network.driver} {network.bridge} for {network.name}"
            raise kernel_refused(what, error) from error
        raise


def _now() -> str:
    """Return the time in Docker's form: RFC 3339, with nanoseconds, in UTC."""
    now = time.time_ns()
    seconds = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(now // 10**9))
    return f"{seconds}.{now % 10**9:09d}Z"
