"""The road of a packet, measured: a real one is sent, and the packet filter tells of it."""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from ipaddress import ip_address
from pathlib import Path

from minirt.explain import probe
from minirt.explain.journey import Road
from minirt.explain.packet import Packet, end
from minirt.explain.ruleset import Ruleset
from minirt.explain.terrain import Terrain
from minirt.explain.walk import Crossed
from minirt.kernel import nftables
from minirt.kernel.namespaces import Netns
from minirt.kernel.nft_trace import Event, Listener

TABLE = "minirt_trace"
_PATIENCE = 1.5  # seconds for an answer
_QUIET = 0.05  # seconds: so long the filter's last words may take
_ENTRIES = Path("/proc/net/nf_conntrack")
_ANSWERED = ("connected", "answered")


@dataclass(frozen=True, slots=True)
class Measured:
    """A rule that acted on the real packet, or a chain's policy, and how the packet came to it."""

    place: str
    text: str
    verdict: str
    links: str
    packet: str
    handle: int = 0


@dataclass(frozen=True, slots=True)
class Trace:
    """What became of the real packet."""

    fate: str
    events: tuple[Measured, ...]
    entry: str = ""  # the connection tracker's


def send(host: Terrain, packet: Packet, netns: Netns | None) -> Trace:
    """Send the packet from a namespace, or from here."""
    sent = probe.prepare(netns, packet.protocol, packet.target, packet.port)
    with sent.socket, _listening(packet, sent.number) as listener:
        fate = probe.wait(sent, _PATIENCE)
        time.sleep(_QUIET)
        events = list(listener.events())
        entry = _entry(packet, sent.number)
    return Trace(fate, tuple(_told(host, packet, first_of(events))), entry)


def expect(host: Terrain, packet: Packet, seconds: float) -> Trace:
    """Wait for such a packet from outside."""
    with _listening(packet, 0) as listener:
        deadline = time.monotonic() + seconds
        events: list[Event] = []
        while not events and time.monotonic() < deadline:
            time.sleep(_QUIET)
            events += listener.events()
        time.sleep(_QUIET)
        events += listener.events()
    fate = "it came" if events else "none came"
    return Trace(fate, tuple(_told(host, packet, first_of(events))), _entry(packet, 0))


def agrees(road: Road, trace: Trace) -> bool:
    """Say whether the real packet met the rules that were predicted, in that order.

    And whether it was answered if, and only if, that was predicted: of hosts outside, and of
    servers that say nothing to a datagram, nothing can be.
    """
    predicted = [one for hop in road.hops for one in hop.rules]
    if _decisions(predicted) != _decisions(trace.events):
        return False
    if road.refusal is not None:
        return trace.fate not in _ANSWERED
    is_open = road.end.startswith(("outside", "the other end")) or road.first.protocol == "udp"
    return is_open or trace.fate in (*_ANSWERED, "it came")


def _decisions(found: Iterable[Crossed | Measured]) -> list[tuple[str, int]]:
    decisive = (one for one in found if one.verdict not in ("jump", "goto", "return", "continue"))
    return [(one.place, one.handle) for one in decisive if one.handle or one.verdict == "drop"]


def first_of(events: list[Event]) -> list[Event]:
    """Return what was told of the first packet: our own rules see each one once."""
    seen: set[tuple[tuple[str, str], str]] = set()
    found = []
    for one in events:
        if one.table[1] == TABLE:
            if one.handle and (one.table, one.chain) in seen:
                break
            seen.add((one.table, one.chain))
        else:
            found.append(one)
    return found


@contextmanager
def _listening(packet: Packet, number: int) -> Iterator[Listener]:
    """Have the packet traced for the body; our socket owns the tables, even if we are killed."""
    listener = Listener()
    try:
        nftables.run(_table("inet", packet, number), "trace the packet")
        try:
            nftables.run(_table("bridge", packet, number), "trace the packet on bridges")
        except OSError:
            pass  # a kernel without the filter for bridges
        yield listener
    finally:
        listener.close()
        for family in ("inet", "bridge"):
            try:
                nftables.run(f"delete table {family} {TABLE}", "end the trace")
            except FileNotFoundError:
                pass


def _table(family: str, packet: Packet, number: int) -> str:
    match = _match(packet, number)
    rule = f"{match} meta nftrace set 1;"
    chains = (
        f"chain {hook} {{ type filter hook {hook} priority -450; {rule} }};"
        for hook in ("prerouting", "output")
    )
    return f"table {family} {TABLE} {{ flags owner; {' '.join(chains)} }}"


def _match(packet: Packet, number: int) -> str:
    ip = "ip" if packet.version == 4 else "ip6"
    words = [f"{ip} daddr {packet.target}"]
    if packet.protocol == "icmp":
        icmp = "icmp" if packet.version == 4 else "icmpv6"
        words.append(f"{icmp} type echo-request")
        words += [f"{icmp} id {number}"] if number else []
    else:
        words.append(f"{packet.protocol} dport {packet.port}")
        words += [f"{packet.protocol} sport {number}"] if number else []
    return " ".join(words)


def _told(host: Terrain, packet: Packet, events: list[Event]) -> Iterator[Measured]:
    for one in (one for one in events if one.verdict != "continue"):
        rule = _rule(host.rules, one)
        links = [_link(host, one.came_by), _link(host, one.leaves_by)]
        source_port, port = one.ports if packet.protocol != "icmp" else (0, 0)
        source, target = ip_address(one.source), ip_address(one.target)
        ends = f"{end(source, source_port)} -> {end(target, port)}"
        place = f"{one.table[0]} {one.table[1]} {one.chain}"
        text = rule if one.handle else f"policy {one.verdict}"
        yield Measured(place, text, one.verdict, " -> ".join(links), ends, one.handle)


def _rule(rules: Ruleset, one: Event) -> str:
    found = rules.rule(one.table, one.chain, one.handle)
    return found.text if found else f"rule {one.handle}"


def _link(host: Terrain, index: int) -> str:
    device = host.device(index)
    return device.name if device else "-"


def _entry(packet: Packet, number: int) -> str:
    """Return the connection tracker's entry, as the kernel prints it; "" where it doesn't."""
    wanted = {f"dst={packet.target.exploded}"}  # The kernel writes all digits.
    if packet.protocol == "icmp":
        wanted |= {f"id={number}"} if number else set()
    else:
        wanted.add(f"dport={packet.port}")
        wanted |= {f"sport={number}"} if number else set()
    try:
        with _ENTRIES.open(encoding="ascii") as lines:  # Some hundred thousand, maybe.
            fitting = (line for line in lines if wanted <= set(line.split()))
            return next((" ".join(line.split()[2:]) for line in fitting), "")
    except OSError:
        return ""
