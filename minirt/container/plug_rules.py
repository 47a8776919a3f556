"""Which plugs a container may get and lose, and which of them is its way out."""

from __future__ import annotations

from collections.abc import Iterable

from minirt.container.record import EndpointRequest, Record
from minirt.errors import Conflict, InvalidRequest
from minirt.network.spec import Network

_HOST = "container cannot be disconnected from host network or connected to host network"
_SHARED = "it shares the network of another container, and can't be connected to any other"
_NONE = "container cannot be connected to multiple networks with one of them in none mode"


def check_connect(one: Record, network: Network, request: EndpointRequest) -> None:
    """Refuse what can't be. Raises Conflict, InvalidRequest."""
    what = f"Cannot connect {one.name} to {network.name}"
    mode = one.host.network_mode
    if mode == "host" or network.driver == "host":
        raise Conflict(what, _HOST)
    if mode.startswith("container:"):
        raise Conflict(what, _SHARED)
    if network.driver == "null" or mode == "none":
        remedy = f"First: minirt network disconnect none {one.name}" if mode == "none" else ""
        raise Conflict(what, _NONE, remedy)
    if any(existing.network_id == network.id for existing in one.endpoints):
        why = f"endpoint with name {one.name} already exists in network {network.name}"
        raise Conflict(what, why)
    no_choice = request.address and not network.chosen
    if no_choice or (request.address6 and not network.chosen6):
        why = "user specified IP address is supported only on networks with user configured subnets"
        raise InvalidRequest(what, why, "Make the network with --subnet.")
    if request.aliases and network.is_default:
        why = "network-scoped aliases are only supported for user-defined networks"
        raise InvalidRequest(what, why)


def check_disconnect(one: Record, network: Network) -> None:
    """Refuse to take out what is not plugged in. Raises Conflict."""
    what = f"Cannot disconnect {one.name} from {network.name}"
    if one.host.network_mode == "host" or network.driver == "host":
        raise Conflict(what, _HOST)
    if network.driver == "null" and one.host.network_mode == "none":
        return
    if all(existing.network_id != network.id for existing in one.endpoints):
        why = f"container {one.name} is not connected to network {network.name}"
        raise Conflict(what, why)


def way_out(plugs: Iterable[tuple[EndpointRequest, Network]]) -> Network | None:
    """Return the network that gives the default route, as with Docker 28; None: none can.

    The one of the highest gw-priority; of equal ones the first. An internal one never.
    """
    able = [(asked, network) for asked, network in plugs if not network.internal]
    best = max(able, key=lambda one: one[0].gw_priority, default=None)  # max: the first of equals
    return best[1] if best else None
