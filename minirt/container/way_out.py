"""A running container is led another way: its default route, and the ports published to it.

Which plug is the way out is decided by plug_rules.way_out; here it is moved when a plug comes or
goes. Somebody's own default route is none of ours, so it is left alone and in our way.
"""

from __future__ import annotations

import errno
from contextlib import suppress
from dataclasses import replace
from ipaddress import ip_address
from typing import Any

from minirt.container import networking, plug_rules
from minirt.container.plug_change import Change
from minirt.container.record import Endpoint, Record
from minirt.errors import Conflict
from minirt.kernel import netlink
from minirt.kernel.namespaces import Netns
from minirt.kernel.netlink import Connection
from minirt.network import finding, leases, nat, port_binding
from minirt.network.spec import Network


def move(one: Record, made: dict[str, Endpoint], netns: Netns, change: Change) -> None:
    """Lead the container through the plug that ought to be its way out, unless it is.

    ``made`` are its plugs as they are now, with one that is about to go; the two that change are
    replaced there. Raises Conflict if there is a default route that we have not made; then
    nothing has changed.
    """
    present = [
        (asked, finding.known(asked.network_id, asked.network))
        for asked in one.endpoints
        if asked.network in made
    ]
    wanted = plug_rules.way_out(present)
    old = next((name for name, plug in made.items() if plug.is_way_out), "")
    new = wanted.name if wanted is not None else ""
    if new == old:
        return
    _move_route(made, old, new, netns)
    if old:
        made[old] = replace(made[old], is_way_out=False)
    if wanted is not None:
        made[new] = replace(made[new], is_way_out=True)
        _publish(one, wanted, made[new], change)
    else:
        change.free_ports()
    if old and change.bindings:  # only now, so that at no moment the ports lead nowhere
        nat.unpublish(change.bindings, *made[old].addresses())
        _tell(finding.find(made[old].network_id), made[old], [])


def _move_route(made: dict[str, Endpoint], old: str, new: str, netns: Netns) -> None:
    """Replace the default route of each family; what can't be done is taken back."""
    with netlink.connect(netns) as inside:
        gone = [gateway for gateway in _gateways(made.get(old)) if _forget(inside, gateway)]
        shown: list[Any] = []
        try:
            for gateway in _gateways(made.get(new)):
                _show(inside, gateway)
                shown.append(gateway)
        except FileExistsError:
            for gateway in shown:
                _forget(inside, gateway)
            for gateway in gone:
                inside.add_default_route(gateway)
            what = f"Cannot lead the default route to {new}"
            why = "the container has one that is not minirt's"
            raise Conflict(what, why, "Remove that first: ip route del default.") from None


def _gateways(plug: Endpoint | None) -> list[Any]:
    return [] if plug is None else [ip_address(one) for one in (plug.gateway, plug.gateway6) if one]


def _forget(inside: Connection, gateway: Any) -> bool:
    with suppress(ProcessLookupError):  # ESRCH: somebody else has removed it
        inside.remove_default_route(gateway)
        return True
    return False


def _show(inside: Connection, gateway: Any) -> None:
    try:
        inside.add_default_route(gateway)
    except OSError as error:
        if error.errno not in (errno.ENETDOWN, errno.ENETUNREACH):
            raise  # Somebody has set the interface down: that's for him to mend.


def _publish(one: Record, network: Network, plug: Endpoint, change: Change) -> None:
    """Lead the host ports to this plug; the lease tells so. Only bridges have any."""
    if not network.has_bridge:
        change.free_ports()
        return
    if not change.bindings:
        change.take_ports(networking.reserve_ports(one, network))
    if not change.bindings:
        return
    nat.publish(change.bindings, *plug.addresses())
    change.published_to = [str(address) for address in plug.addresses()]
    _tell(network, plug, [port_binding.to_json(binding) for binding in change.bindings])


def _tell(network: Network, plug: Endpoint, documents: list[dict[str, Any]]) -> None:
    """Write into the leases of a plug which ports lead to it."""
    for address in plug.addresses():
        path = leases.directory(network) / str(address.ip)
        facts = leases.read(path)
        if facts is not None:
            leases.rewrite(path, replace(facts, ports=documents))
