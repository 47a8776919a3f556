"""What to do so that a refused packet passes: in words, and as a command where one does it."""

from __future__ import annotations

from collections.abc import Mapping

from minirt.explain.journey import Refusal
from minirt.explain.predict import HOST, Point, Question
from minirt.explain.terrain import Terrain
from minirt.network import firewalld

OWN = ("inet minirt", "bridge minirt")
_SOME = "NETWORK"  # the reader chooses


def remedy(refusal: Refusal, question: Question, host: Terrain, networks: Mapping[str, str]) -> str:
    """Return how to allow it. ``networks`` are the names of networks by their bridges."""
    if refusal.remedy:
        return refusal.remedy
    source, target = question.source, question.target
    near = next(iter(networks_of(target, host, networks)), _SOME)
    found = {
        "not forwarding": "sysctl -w net.ipv4.ip_forward=1",
        "closed": "Start the server there, and let it listen at 0.0.0.0, not at 127.0.0.1.",
        "isolated": _without_icc(question),
        "nobody": "See who is there: minirt ps",
        "no way back": f"minirt network connect {_SOME} {target.name}",
        "no route": f"minirt network connect {near} {source.name}",
        "rp_filter": f"sysctl -w net.ipv4.conf.{refusal.came_by or 'all'}.rp_filter=2",
        "down": f"ip link set {refusal.why.split(' ')[0]} up",
    }
    if refusal.reason in found:
        return found[refusal.reason]
    if refusal.by is None:
        return ""
    if not refusal.by.place.startswith(OWN):
        return _foreign(refusal, networks)
    return _own(refusal, question, near)


def networks_of(point: Point, host: Terrain, networks: Mapping[str, str]) -> list[str]:
    """Return the networks into which a container is plugged."""
    found = []
    for link in point.devices:
        port = host.device(link.peer) if link.peer else None
        bridge = host.device(port.master) if port and port.master else None
        if bridge and bridge.name in networks:
            found.append(networks[bridge.name])
    return found


def _own(refusal: Refusal, question: Question, near: str) -> str:
    """Return what allows it where a rule of minirt's refuses it, as it should."""
    by, source, target = refusal.by, question.source, question.target
    assert by is not None, "a rule refused it"
    publish = f"publish the port (minirt run -p {_ports(question)} …) and ask the host for it"
    if by.place.endswith(" noicc") or by.place.startswith("bridge minirt_icc "):
        return _without_icc(question)
    if "iifname @internal" in by.text:
        return f"Its network is internal: minirt network connect {near} {source.name}"
    if by.place.endswith(" forward") and source.room is not None:
        connect = f"minirt network connect {near} {source.name}"
        return connect if "@internal" in by.text else f"{connect}, or {publish}."
    if by.place.endswith(" forward") and source.name != HOST:
        if "@internal" in by.text:
            return f"Its network is internal: minirt network connect {_SOME} {target.name}"
        return f"From outside only the host is reached: {publish}."
    if by.place.startswith("bridge"):
        return "A container may only send under its own addresses."
    return ""


def _ports(question: Question) -> str:
    port = question.port or "PORT"
    return f"{port}:{port}" + ("/udp" if question.protocol == "udp" else "")


def _without_icc(question: Question) -> str:
    return (
        f"The network has icc=false: publish the port of {question.target.name}"
        f" (minirt run -p {_ports(question)} …) and ask the host for it."
    )


def _foreign(refusal: Refusal, networks: Mapping[str, str]) -> str:
    """Return what lets it pass a chain that isn't ours."""
    assert refusal.by is not None, "a rule refused it"
    family, table, chain = refusal.by.place.split(" ", 2)
    links = {"iifname": refusal.came_by, "oifname": refusal.leaves_by}
    ours = [name for name in links.values() if name in networks]
    is_firewalld = f"{family} {table}" == firewalld.TABLE
    if is_firewalld:
        for name in ours:  # The admin has put it there.
            if f'"{name}"' in refusal.by.text or firewalld.has_zone(name):
                return firewalld.remedy(name)
    if (table == "filter" or is_firewalld) and ours:  # whose places for others minirt knows
        return f"minirt network reload {networks[ours[0]]}"
    words = " ".join(f"{key} {name}" for key, name in links.items() if name)
    return f"nft insert rule {family} {table} {chain} {words} accept"
