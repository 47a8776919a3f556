"""The network that somebody means, by name or id; ``bridge`` is made when it is first meant."""

from __future__ import annotations

from contextlib import suppress

from minirt.errors import Conflict, NotFound
from minirt.network import spec, store
from minirt.network.spec import Network


def find(name_or_id: str) -> Network:
    """Return the network of that full id, that name, or the only one whose id begins so.

    Raises NotFound, and Conflict if several ids begin so.
    """
    name = spec.DEFAULT if name_or_id == "default" else name_or_id
    if len(name) != 64:
        network = store.load(name)
        if network is not None:
            return network
        if name == spec.DEFAULT:
            return _default()
    networks = everything()
    found = [one for one in networks if name in (one.id, one.name)]
    found = found or [one for one in networks if name and one.id.startswith(name)]
    if len(found) > 1:
        names = " and ".join(one.name for one in found)
        raise Conflict(f"Several networks have an id that begins with {name}", names)
    if not found:
        remedy = "See minirt network ls, or make it: minirt network create NAME."
        raise NotFound(f"network {name_or_id} not found", "", remedy)
    return found[0]


def known(network_id: str, name: str) -> Network:
    """Return the network of that full id, which had that name when it was written down.

    Raises NotFound.
    """
    likely = store.load(name)
    return likely if likely is not None and likely.id == network_id else find(network_id)


def everything() -> list[Network]:
    """Return all networks, with those that are always there, by name."""
    networks = store.every()
    if not any(one.is_default for one in networks):
        with suppress(OSError):  # Looking must not fail where nothing can be written.
            networks.append(_default())
    return sorted([*networks, *store.BUILTIN.values()], key=lambda one: one.name)


def _default() -> Network:
    from minirt.network import create  # Late: nearly always it is there.

    return create.default()
