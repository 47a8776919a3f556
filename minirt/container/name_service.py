"""A container's connection with DNS: its resolv.conf, and its sockets at 127.0.0.11.

The command process makes the sockets in the container's network namespace and finds (or
starts) the resolver; the monitor keeps both, and introduces the container.
"""

from __future__ import annotations

import socket
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from minirt.container.record import Record
from minirt.kernel.namespaces import Netns
from minirt.network import resolv_conf, resolver_link
from minirt.network.resolv_conf import HOST_FILE, Kind
from minirt.network.spec import DEFAULT, Network


@dataclass(frozen=True, slots=True)
class Service:
    """What a container's names need."""

    text: str  # its resolv.conf
    introduction: dict[str, Any] = field(default_factory=dict)  # empty: it has no resolver


def plan(one: Record, networks: list[Network]) -> Service:
    """Decide how a container on these networks resolves names, in their order."""
    host = one.host
    kind: Kind = "host"
    if networks:
        kind = "default" if all(network.is_default for network in networks) else "user-defined"
    rendered = resolv_conf.render(
        _host_file(),
        kind,
        servers=host.dns or [server for network in networks for server in network.dns],
        search=host.dns_search,
        options=host.dns_options,
    )
    if not rendered.resolver or not networks:
        return Service(rendered.text)
    named = [network.name for network in networks if not network.is_default]
    introduction = {
        "resolver": named[0] if named else DEFAULT,
        "container": one.id,
        "networks": named,
        "servers": list(rendered.servers),
        "internal": all(network.internal for network in networks),
        "bare": rendered.bare,
    }
    return Service(rendered.text, introduction)


def open_all(service: Service, netns: Netns) -> tuple[int, ...]:
    """Return the UDP and the TCP socket inside the container, and a connection to its resolver.

    Nothing for a container without a resolver. Raises KernelRefused.
    """
    if not service.introduction:
        return ()
    return *open_sockets(netns), dial(service)


def open_sockets(netns: Netns) -> tuple[int, int]:
    """Return a UDP and a TCP socket at 127.0.0.11 inside a network namespace."""
    return resolver_link.sockets(netns)


def dial(service: Service) -> int:
    """Return a connection to the resolver, started if none lives. Raises KernelRefused."""
    return resolver_link.connect(service.introduction["resolver"]).detach()


def introduce(link: socket.socket, introduction: dict[str, Any], sockets: tuple[int, ...]) -> None:
    """Tell the resolver whom it serves. Raises OSError if it has died."""
    words = {key: value for key, value in introduction.items() if key != "resolver"}
    pair = (sockets[0], sockets[1]) if sockets else None
    resolver_link.introduce(link, **words, sockets=pair)


def _host_file() -> str:
    try:
        return Path(HOST_FILE).read_text(encoding="utf-8", errors="replace")
    except OSError:
        return ""
