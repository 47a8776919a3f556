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
    """Return what ``ps`` shows: ``77/tcp, 0.0.0.0:8000-8020->8000-8020/tcp, [::]:81->80/tcp``.

    As with Docker neighbouring ports are one range if they have the same numbers on the host.
    """
    if not alive.is_held(one.id):
        return ""
    held = bindings(one)
    reached = {f"{b.container_port}/{b.protocol}" for b in held}
    closed = [port.split("/") for port in one.config.exposed_ports if port not in reached]
    same = [b for b in held if b.host_port == b.container_port]
    found = [(int(number), "", protocol) for number, protocol in closed]
    found += [(b.container_port, str(b).rpartition(":")[0], b.protocol) for b in same]
    texts: list[str] = []
    ranges: dict[tuple[str, str], tuple[int, int]] = {}  # (address, protocol) -> first and last
    for number, address, protocol in sorted(found):
        first, last = ranges.get((address, protocol), (number, number))
        if number > last + 1:
            texts.append(_range(address, protocol, first, last))
            first = number
        ranges[address, protocol] = (first, number)
    texts += [_range(*key, first, last) for key, (first, last) in ranges.items()]
    others = [b for b in held if b.host_port != b.container_port]
    return ", ".join([*texts, *(f"{b}->{b.container_port}/{b.protocol}" for b in others)])


def _range(address: str, protocol: str, first: int, last: int) -> str:
    numbers = str(first) if first == last else f"{first}-{last}"
    return f"{address}:{numbers}->{numbers}/{protocol}" if address else f"{numbers}/{protocol}"
