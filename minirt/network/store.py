"""Which networks there are.

    ROOT/networks/NAME.json          the spec: its name is unique because link(2) makes it
    RUN/networks/.lock               held by whoever makes or removes a network
    RUN/networks/NAME/leases/        its addresses in use

``host`` and ``none`` are no networks, but may be named like one.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from functools import lru_cache
from pathlib import Path

from minirt.errors import Conflict, InvalidRequest
from minirt.kernel import locks
from minirt.network.spec import DEFAULT, Network, from_json, to_json
from minirt.state import flush, made, root_dir, run_dir, write_json

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


def every() -> list[Network]:
    """Return the networks that have a spec, by name."""
    found = [load(path.stem) for path in sorted((root_dir() / "networks").glob("[!.]*.json"))]
    return [one for one in found if one is not None]


def bridged() -> list[Network]:
    """Return those of them that have a bridge."""
    return [one for one in every() if one.has_bridge]


def add(network: Network) -> None:
    """Write the spec of a new network. Raises Conflict if its name is taken."""
    path = spec_path(network.name)
    scratch = made(path.parent) / f".new-{network.id}"
    write_json(scratch, to_json(network), durable=False)
    flush(scratch)  # A power cut leaves all of it, or no name that leads to it.
    try:
        os.link(scratch, path)
    except FileExistsError:
        raise name_taken(network.name) from None
    finally:
        scratch.unlink()
    flush(path.parent)


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
    present = load(network.name)
    return present is not None and present.id == network.id


def load(name: str) -> Network | None:
    """Return the network of that name; None: there is none. Raises InvalidRequest if damaged.

    It is everybody's: not to be changed.
    """
    if name in BUILTIN:
        return BUILTIN[name]
    if not name or "/" in name or "\0" in name:
        return None
    try:
        return _understood(spec_path(name).read_bytes())
    except FileNotFoundError:
        return None
    except (ValueError, TypeError, KeyError, AttributeError) as error:
        remedy = f"Mend {spec_path(name)}, or remove it."
        raise InvalidRequest(f"The file of network {name} is damaged", str(error), remedy) from None


@lru_cache
def _understood(text: bytes) -> Network:
    """Read a spec; a "run" asks for the same one three times."""
    return from_json(json.loads(text))
