"""A network goes: unless somebody uses it, and whatever comes between."""

from __future__ import annotations

import shutil
from pathlib import Path

from minirt.errors import Conflict
from minirt.network import bridge, leases, resolver_link, store
from minirt.network.spec import Network, from_json
from minirt.state import read_json, root_dir

_GOING = ".going-"  # what a spec's name begins with while its network is being removed


def remove(network: Network) -> None:
    """Remove a network. Raises Conflict (who uses it), OSError.

    Its spec goes first, and only then its leases are counted: who takes a lease looks for the
    spec afterwards. So of the two at least one sees the other.
    """
    if network.name in store.PREDEFINED:
        raise Conflict(f"{network.name} is a pre-defined network and cannot be removed")
    with store.changing():
        finish()
        hidden = store.spec_path(f"{_GOING}{network.name}")
        store.spec_path(network.name).rename(hidden)
        if leases.in_use(network):
            hidden.rename(store.spec_path(network.name))
            raise _in_use(network)
        _take_apart(network, hidden)


def finish() -> None:
    """End what a kill has interrupted; for who holds ``store.changing``."""
    for path in (root_dir() / "networks").glob(".*"):
        if path.name.startswith(_GOING) and path.suffix == ".json":
            network = from_json(read_json(path))
            if leases.in_use(network):
                path.rename(store.spec_path(network.name))
            else:
                _take_apart(network, path)
        else:
            path.unlink()  # a spec that got no name


def _take_apart(network: Network, hidden: Path) -> None:
    resolver_link.dismiss(network.name)
    bridge.remove(network)
    shutil.rmtree(store.run_directory(network.name), ignore_errors=True)
    hidden.unlink()


def _in_use(network: Network) -> Conflict:
    names = [facts.name or facts.container[:12] for facts in leases.living(network).values()]
    what = f"error while removing network: network {network.name} has active endpoints"
    why = f"in use by {', '.join(sorted(names)) or 'a container that is just starting'}"
    return Conflict(what, why, "Stop what uses it, or disconnect it.")
