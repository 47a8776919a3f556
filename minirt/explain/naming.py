"""Who answers when a container asks for a name, and why."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from ipaddress import ip_address

from minirt.explain.ailments_names import resolver_of
from minirt.kernel import namespaces, socket_diag
from minirt.kernel.namespaces import Netns
from minirt.network import finding, leases, lookup, resolv_conf
from minirt.network.lookup import Reply
from minirt.network.question import wire_name
from minirt.network.resolv_conf import RESOLVER
from minirt.network.zone import Zone, find_addresses, find_pointer

MOST_SUFFIXES = 32  # of a search list, which the container may have made as long as it likes
_UPSTREAM_PATIENCE = 2.0  # seconds for each of the servers, which are asked one after the other


@dataclass(frozen=True, slots=True)
class Asker:
    """A container, or the host (no ``pid``), and what decides how its names resolve."""

    name: str
    pid: int = 0
    text: str = ""  # its resolv.conf
    resolver: str = ""  # the network whose resolver serves it; empty: none does
    networks: tuple[str, ...] = ()  # in the order in which they are searched
    servers: tuple[str, ...] = ()  # chosen with --dns, asked from inside
    internal: bool = False  # nothing is asked outside
    bare: bool = False  # addresses of names without a dot are


@dataclass(frozen=True, slots=True)
class Holder:
    """A lease that a name stands for."""

    network: str
    address: str
    container: str
    why: str  # by which of its names


@dataclass(frozen=True, slots=True)
class Told:
    """One name asked for, and how the answer came about."""

    name: str
    reply: Reply
    holders: tuple[Holder, ...] = ()
    upstreams: tuple[Reply, ...] = ()  # the servers behind the resolver, each asked directly


@dataclass(frozen=True, slots=True)
class Service:
    """What stands behind 127.0.0.11 in a container."""

    port: int  # where its port 53 leads to; 0: nobody listens
    network: str
    pid: int  # the resolver's; 0: there is none
    is_stopped: bool = False


def service(asker: Asker) -> Service | None:
    """Return what serves a container; None: it asks other servers itself."""
    if not asker.resolver or not asker.pid:
        return None
    with namespaces.network_of(asker.pid) as netns:
        found = [one.port for one in socket_diag.bound(netns) if one.address == RESOLVER]
    resolver = resolver_of(asker.resolver)
    pid, is_stopped = (resolver.pid, resolver.is_stopped) if resolver else (0, False)
    return Service(found[0] if found else 0, asker.resolver, pid, is_stopped)


def candidates(name: str, conf: resolv_conf.ResolvConf) -> list[str]:
    """Return the names that the C library tries, in its order (resolv.conf(5): search, ndots).

    Of the search list the first :data:`MOST_SUFFIXES` count.
    """
    if name.endswith("."):
        return [name]
    dots = resolv_conf.ndots(conf.options)
    suffixes = [one.rstrip(".") for one in conf.search[:MOST_SUFFIXES] if one != "."]
    longer = [f"{name}.{suffix}." for suffix in suffixes]
    is_tried_first = name.count(".") >= (1 if dots is None else dots)
    return [name, *longer] if is_tried_first else [*longer, name]


def server_of(asker: Asker) -> str:
    """Return the server that the asker's programs ask first."""
    return next(iter(resolv_conf.read(asker.text).servers), "127.0.0.1")


def query(asker: Asker, name: str, kind: str) -> Told:
    """Ask for just that name, from inside the container."""
    with _inside(asker) as netns:
        reply = lookup.ask(name, kind, server_of(asker), netns)
    return Told(name, reply, holders(asker.networks, name))


def trace(asker: Asker, name: str, kind: str) -> list[Told]:
    """Ask as the C library would, until a name has an answer; then also who was behind it."""
    told = []
    for one in candidates(name, resolv_conf.read(asker.text)):
        found = query(asker, one, kind)
        if not found.holders and asker.resolver and not stays_here(asker, one, kind):
            upstreams = tuple(_upstreams(asker, one, kind))
            found = Told(found.name, found.reply, (), upstreams)
        told.append(found)
        if found.reply.status == "NOERROR" and found.reply.records:
            break
    return told


def stays_here(asker: Asker, name: str, kind: str) -> bool:
    """Say whether the resolver asks nobody for a name that it doesn't know: it has no dot."""
    short = "." not in name.rstrip(".")
    return short and bool(asker.resolver) and not asker.bare and kind.upper() in ("A", "AAAA")


def holders(networks: Iterable[str], name: str) -> tuple[Holder, ...]:
    """Return the leases that a name, or an address's name, stands for."""
    zones = [_zone(one) for one in networks]
    wire = wire_name(name.rstrip("."))
    if wire is None:
        return ()
    addresses = find_addresses(zones, wire)
    if addresses is None:
        if find_pointer(zones, wire) is None:
            return ()
        addresses = [ip_address(_forward(name))]
    wanted = {str(one) for one in addresses}
    found = []
    for zone in zones:
        for address, facts in leases.living(finding.find(zone.name)).items():
            if str(address) in wanted:
                why = _why(name, facts.name, zone.name)
                found.append(Holder(zone.name, str(address), facts.name, why))
        if found:
            break
    return tuple(found)


def _zone(network: str) -> Zone:
    zone = Zone(network, leases.directory(finding.find(network)))
    zone.look_at_all()
    return zone


def _why(asked: str, container: str, network: str) -> str:
    name = asked.rstrip(".").lower()
    if name.endswith(".arpa"):
        return "its address"
    qualified = name.endswith(f".{network.lower()}")
    bare = name.removesuffix(f".{network.lower()}")
    kind = "its name" if bare == container.lower() else f"{bare}, an alias, short id or hostname"
    return f"{kind}, with the network's" if qualified and bare != name else kind


def _forward(reverse: str) -> str:
    """Return the address of a reverse name (RFC 1035, section 3.5; RFC 3596, section 2.5)."""
    words = reverse.rstrip(".").lower().split(".")[:-2][::-1]
    if reverse.rstrip(".").lower().endswith(".in-addr.arpa"):
        return ".".join(words)
    digits = "".join(words)
    return ":".join(digits[start : start + 4] for start in range(0, 32, 4))


def _upstreams(asker: Asker, name: str, kind: str) -> Iterable[Reply]:
    """Ask each server that the resolver forwards to, from where it would."""
    if asker.servers:
        with _inside(asker) as netns:
            for server in asker.servers:
                yield lookup.ask(name, kind, server, netns, _UPSTREAM_PATIENCE)
    elif not asker.internal:
        for server in hosts_servers():
            yield lookup.ask(name, kind, server, None, _UPSTREAM_PATIENCE)


def hosts_servers() -> Sequence[str]:
    """Return the servers of this machine, as the resolver reads them."""
    from minirt.network.upstream import Host

    return [one.address for one in Host().servers()]


@contextmanager
def _inside(asker: Asker) -> Iterator[Netns | None]:
    """Hold the asker's network namespace; None for the host's."""
    if not asker.pid:
        yield None
        return
    with namespaces.network_of(asker.pid) as netns:
        yield netns
