"""Which ports of the host lead to a container: as asked for, and as they are."""

from __future__ import annotations

from typing import TYPE_CHECKING

from minirt.container import alive, record
from minirt.container.record import Record
from minirt.container.templates.values import OpenMap

if TYPE_CHECKING:
    from minirt.network.port_binding import Binding


def bindings(one: Record) -> list[Binding]:
    """Return the host ports that a living container holds: its lease files tell."""
    if not (one.host.ports or one.host.publish_all) or not alive.is_held(one.id):
        return []
    from minirt.network import leases, port_binding, store

    found = []
    for network, plug in record.load_endpoints(one.id).items():
        address = plug.address.partition("/")[0]
        facts = leases.read(store.run_directory(network) / "leases" / address)
        if facts is not None and facts.container == one.id:
            found += [port_binding.from_json(document) for document in facts.ports]
    return sorted(found, key=lambda b: (b.container_port, b.protocol, b.is_v6, b.host_port))


def ports(one: Record) -> OpenMap:
    """Return NetworkSettings.Ports: each port with its places on the host, or null."""
    shown = OpenMap(dict.fromkeys(one.config.exposed_ports))
    for binding in bindings(one):
        place = {"HostIp": binding.host_ip, "HostPort": str(binding.host_port)}
        key = f"{binding.container_port}/{binding.protocol}"
        shown[key] = [*(shown.get(key) or []), place]
    return OpenMap(sorted(shown.items()))


def requests(one: Record) -> OpenMap:
    """Return HostConfig.PortBindings: what ``-p`` said."""
    shown = OpenMap()
    for asked in one.host.ports:
        first, last = asked["host_first"], asked["host_last"]
        host_port = "" if not first else str(first) if first == last else f"{first}-{last}"
        key = f"{asked['container_port']}/{asked['protocol']}"
        shown.setdefault(key, []).append({"HostIp": asked["host_ip"], "HostPort": host_port})
    return shown


def summary(one: Record) -> str:
    """Return what ``ps`` shows: ``0.0.0.0:8080->80/tcp, [::]:8080->80/tcp, 77/tcp``."""
    held = bindings(one)
    texts = [f"{b}->{b.container_port}/{b.protocol}" for b in held]
    reached = {f"{b.container_port}/{b.protocol}" for b in held}
    closed = [port for port in one.config.exposed_ports if port not in reached]
    return ", ".join([*texts, *closed]) if held or alive.is_held(one.id) else ""
