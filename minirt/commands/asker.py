"""Who asks for a name: a container or the host, for the verbs of ``minirt dns``."""

from __future__ import annotations

from ipaddress import ip_address
from pathlib import Path

from minirt.explain.naming import Asker


def asker(reference: str) -> Asker:
    """Return how a container's names resolve, or the host's. Raises NotFound, Conflict."""
    from minirt.container import etc_files, lifecycle, name_service, record
    from minirt.errors import Conflict
    from minirt.network import finding, resolv_conf, store
    from minirt.network.resolv_conf import HOST_FILE
    from minirt.network.spec import DEFAULT

    if not reference:
        named = tuple(one.name for one in store.every() if not one.is_default)
        return Asker("the host", text=_text(Path(HOST_FILE)), networks=named)
    found = lifecycle.find_running(reference)
    init = lifecycle.init_of(found)
    if init is None:
        raise Conflict(f"Cannot ask from {found.name}", "it is just starting")
    networks = [finding.find(name) for name in record.load_endpoints(found.id)]
    said = name_service.plan(found, networks).introduction
    text = etc_files.read_resolv_conf(found)
    # The host's own servers may be others by now than when the container started.
    has_resolver = resolv_conf.RESOLVER in resolv_conf.read(text).servers
    return Asker(
        found.name,
        init[0],
        text,
        said.get("resolver", DEFAULT) if has_resolver else "",
        tuple(said.get("networks", ())),
        tuple(said.get("servers", ())),
        bool(said.get("internal", False)),
        bool(said.get("bare", False)),
    )


def question(name: str, kind: str) -> tuple[str, str]:
    """Return the name and the type to ask for: an address is asked for its name."""
    try:
        return f"{ip_address(name).reverse_pointer}.", kind or "PTR"
    except ValueError:
        return name, kind or "A"


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8", errors="replace")
    except OSError:
        return ""
