"""Ailments of name service: a resolver that was stopped, or is dead, or says nothing."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from ipaddress import ip_address
from pathlib import Path

from minirt.explain.findings import Finding, Patient
from minirt.kernel import bounded_read, namespaces, socket_diag
from minirt.network import lookup, resolver_link, resolver_start, store
from minirt.state import run_dir

_PATIENCE = 1.0  # seconds: of a name of our own the answer takes a thousandth of that
_MODULE = b"minirt.network.resolver"  # in the command line of each, from its first moment on
_LONGEST = 64 << 10  # bytes of a command line: room for any path of a run folder


@dataclass(frozen=True, slots=True)
class Resolver:
    """The process that answers for a network."""

    pid: int
    is_stopped: bool  # SIGSTOP


def of_resolver(patient: Patient) -> Iterator[Finding]:
    """Ask each resolver of the network's containers, from inside one of them."""
    network = patient.network
    if network.is_default:
        return
    resolver = resolver_of(network.name)
    if resolver is not None and resolver.is_stopped:
        what = f"its resolver, process {resolver.pid}, is stopped: names don't resolve"
        yield patient.finding("resolver-stopped", what, f"kill -CONT {resolver.pid}")
        return
    for address, facts in patient.living.items():
        if ip_address(address).version == 4 and not _answers(address, facts.pid):
            log = store.run_directory(network.name) / resolver_start.LOG
            state = f"process {resolver.pid} says nothing" if resolver else "it has no resolver"
            what = f"nobody answers {facts.name} at {resolver_link.ADDRESS}: {state} (see {log})"
            yield patient.finding("resolver-silent", what, f"minirt restart {facts.name}")


def resolver_of(network: str) -> Resolver | None:
    """Return the resolver of a network of ours; None: there is none."""
    folder = str(run_dir().absolute() / "networks").encode()
    wanted = b"\0".join((b"", folder, network.encode(), b""))
    for place in Path("/proc").glob("[0-9]*"):
        with suppress(OSError):  # It has ended.
            # A resolver's command line is short; that of a container's process may have any length.
            words = bounded_read.beginning(place / "cmdline", _LONGEST)
            if _MODULE in words and words.endswith(wanted):
                state = (place / "stat").read_text().rpartition(")")[2].split()[0]
                return Resolver(int(place.name), state in "Tt")
    return None


def _answers(address: str, pid: int) -> bool:
    """Say whether the container is answered, if it has a resolver's sockets at all."""
    try:
        with namespaces.network_of(pid) as netns:
            if not any(one.address == resolver_link.ADDRESS for one in socket_diag.bound(netns)):
                return True
            reverse = ip_address(address).reverse_pointer
            return lookup.ask(reverse, "PTR", resolver_link.ADDRESS, netns, _PATIENCE).is_answer
    except OSError:
        return True  # It has ended meanwhile.
