"""The host's side of a published port: a socket that holds it.

The kernel refuses a second taker, and frees the port when its last holder is dead. The
socket bears a mark, which the rule in rules.nft asks for before it leads a packet on: a
port without a living holder leads nowhere, whatever elements are left.
"""

from __future__ import annotations

import errno
import os
from collections.abc import Iterable

from minirt.errors import Conflict, Exhausted, InvalidRequest, MinirtError
from minirt.kernel import sockets
from minirt.network import leases, store
from minirt.network.port_binding import ANY, Binding, from_json
from minirt.network.port_syntax import PortRequest

MARK = 0x6D696E69  # "mini", as in rules.nft
_TRIES = 64  # of a port free for IPv4, for one that is free for IPv6 as well


def reserve(requests: Iterable[PortRequest]) -> list[Binding]:
    """Take the host's ports; each binding holds its port for as long as its sockets are.

    Without an address a port is taken for both families; whether the container has IPv6 does
    not matter, since its monitor serves the IPv6 port itself where no rule can (splice.py).
    Raises Conflict (who has it), InvalidRequest (the host has no such address), Exhausted;
    then nothing is held.
    """
    taken: list[Binding] = []
    everywhere = ANY if sockets.has_ipv6() else ANY[:1]
    try:
        for request in requests:
            addresses = (request.host_ip,) if request.host_ip else everywhere
            taken += _take(request, addresses)
    except BaseException:
        close(taken)
        raise
    return taken


def close(bindings: Iterable[Binding]) -> None:
    """Let go of the ports."""
    for one in bindings:
        for fd in one.sockets:
            os.close(fd)


def _take(request: PortRequest, addresses: tuple[str, ...]) -> list[Binding]:
    """Take the first port of the request's range that is free at all of the addresses."""
    last = request.host_last or request.host_first
    candidates = range(request.host_first, last + 1) if request.host_first else [0] * _TRIES
    refused: OSError | None = None
    for port in candidates:
        try:
            return _take_one(request, addresses, port)
        except OSError as error:
            refused = error
            if error.errno != errno.EADDRINUSE:
                break
    assert refused is not None, "a range has at least one port"
    raise _explained(request, addresses, refused)


def _take_one(request: PortRequest, addresses: tuple[str, ...], port: int) -> list[Binding]:
    taken: list[Binding] = []
    try:
        for address in addresses:
            held = sockets.hold(request.protocol, address, port, mark=MARK)
            port = held.getsockname()[1]  # which the kernel chose, if it was 0
            fds = (held.detach(),)
            taken.append(Binding(request.protocol, request.container_port, address, port, fds))
    except BaseException:
        close(taken)
        raise
    return taken


def _explained(request: PortRequest, addresses: tuple[str, ...], error: OSError) -> MinirtError:
    asked = Binding(request.protocol, request.container_port, addresses[0], request.host_first)
    what = f"Bind for {asked} failed"
    if error.errno in (errno.EADDRNOTAVAIL, errno.EAFNOSUPPORT):
        remedy = "See ip address for those it has."
        return InvalidRequest(what, "the host has no such address", remedy)
    if error.errno != errno.EADDRINUSE:
        return Conflict(what, str(error.strerror))
    if not request.host_first:
        return Exhausted(what, "no port is free for IPv4 and IPv6")
    if request.host_last > request.host_first:
        why = f"all ports from {request.host_first} to {request.host_last} are taken"
        return Conflict(what, why, "Choose a larger range.")
    return Conflict(what, _taken_by(request), "Choose another port of the host.")


def _taken_by(request: PortRequest) -> str:
    """Say who has a port: which container, else which process."""
    port, protocol = request.host_first, request.protocol
    for network in store.every():
        for facts in leases.living(network).values():
            for one in map(from_json, facts.ports):
                if (one.protocol, one.host_port) == (protocol, port):
                    name = facts.name or facts.container[:12]
                    return f"port is already allocated by container {name}"
    owner = sockets.owner(protocol, port)
    who = f" by process {owner[0]} ({owner[1]})" if owner else ""
    return f"address already in use{who}"
