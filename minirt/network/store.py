"""Which networks there are.

    ROOT/networks/NAME.json          the spec: its name is unique because link(2) makes it
    RUN/networks/.lock               held by whoever makes or removes a network
    RUN/networks/NAME/leases/        its addresses in use

``host`` and ``none`` are no networks, but may be named like one; ``bridge`` is made when it is
first looked for.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from minirt.errors import Conflict, InvalidRequest, NotFound
from minirt.kernel import locks
from minirt.network.spec import DEFAULT, Network, from_json, to_json
from minirt.state import made, read_json, root_dir, run_dir, write_json

_EPOCH = "1970-01-01T00:00:00.000000000Z"  # "host" and "none" have always been there.
BUILTIN = {
    name: Network(name.encode().hex().ljust(64, "0"), name, _EPOCH, driver=driver)
    for name, driver in (("host", "host"), ("none", "null"))
}
PREDEFINED = {DEFAULT, "default", *BUILTIN}


def spec_path(name: str) -> Path:
    """Return the file of a network's spec."""
    return root_dir() / "networks" / f"{name}.json"


def run_directory(name: str) -> Path:
    """Return the directory of what a network has while the machine runs."""
    return run_dir() / "networks" / name


def find(name_or_id: str) -> Network:
    """Return the network of that full id, that name, or the only one whose id begins so.

    Raises NotFound, and Conflict if several ids begin so.
    """
    name = DEFAULT if name_or_id == "default" else name_or_id
    if len(name) != 64:
        network = _load(name)
        if network is not None:
            return network
        if name == DEFAULT:
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


def every() -> list[Network]:
    """Return the networks that have a spec, by name."""
    found = [_load(path.stem) for path in sorted((root_dir() / "networks").glob("[!.]*.json"))]
    return [one for one in found if one is not None]


def bridged() -> list[Network]:
    """Return those of them that have a bridge."""
    return [one for one in every() if one.has_bridge]


def everything() -> list[Network]:
    """Return all networks, with those that are always there, by name."""
    networks = every()
    if not any(one.is_default for one in networks):
        with suppress(OSError):  # Looking must not fail where nothing can be written.
            networks.append(_default())
    return sorted([*networks, *BUILTIN.values()], key=lambda one: one.name)


def add(network: Network) -> None:
    """Write the spec of a new network. Raises Conflict if its name is taken."""
    path = spec_path(network.name)
    scratch = made(path.parent) / f".new-{network.id}"
    write_json(scratch, to_json(network))
    try:
        os.link(scratch, path)
    except FileExistsError:
        raise name_taken(network.name) from None
    finally:
        scratch.unlink()


def name_taken(name: str) -> Conflict:
    """Say that there is a network of that name."""
    return Conflict(f"A network with name {name} already exists", "", "Choose another name.")


@contextmanager
def changing() -> Iterator[None]:
    """Let nobody else make or remove a network during the body."""
    fd = locks.acquire(made(run_dir() / "networks") / ".lock", wait=True)
    try:
        yield
    finally:
        os.close(fd)


def is_there(network: Network) -> bool:
    """Say whether this very network has not been removed meanwhile."""
    present = _load(network.name)
    return present is not None and present.id == network.id


def _load(name: str) -> Network | None:
    if name in BUILTIN:
        return BUILTIN[name]
    if not name or "/" in name or "\0" in name:
        return None
    try:
        return from_json(read_json(spec_path(name)))
    except FileNotFoundError:
        return None
    except (ValueError, TypeError, KeyError, AttributeError) as error:
        remedy = f"Mend {spec_path(name)}, or remove it."
        raise InvalidRequest(f"The file of network {name} is damaged", str(error), remedy) from None


def _default() -> Network:
    from minirt.network import create

    return create.default()
