"""What to do so that a refused packet passes: in words, and as a command where one does it."""

from __future__ import annotations

from collections.abc import Mapping

from minirt.explain.journey import Refusal
from minirt.explain.predict import HOST, Question

OWN = ("inet minirt", "bridge minirt")


def remedy(refusal: Refusal, question: Question, networks: Mapping[str, str]) -> str:
    """Return how to allow it. ``networks`` are the names of networks by their bridges."""
    source, target = question.source.name, question.target.name
    found = {
        "not forwarding": "sysctl -w net.ipv4.ip_forward=1",
        "closed": "Start the server there, and let it listen at 0.0.0.0, not at 127.0.0.1.",
        "isolated": _without_icc(question),
        "nobody": f"Is {target} running? minirt ps",
        "no way back": f"minirt network connect NETWORK {target}",
        "no route": f"minirt network connect NETWORK {source}",
        "rp_filter": f"sysctl -w net.ipv4.conf.{refusal.came_by or 'all'}.rp_filter=2",
        "down": f"ip link set {refusal.why.split(' ')[0]} up",
        "stranger": "",
    }
    if refusal.reason in found:
        return found[refusal.reason]
    by = refusal.by
    if by is None:
        return ""
    if not by.place.startswith(OWN):
        return _foreign(refusal)
    if by.place.endswith(" noicc"):
        return _without_icc(question)
    if "@internal" in by.text:
        return _out_of_internal(refusal, question, networks)
    if by.place.endswith(" forward"):
        return _to_another_network(refusal, question, networks)
    if by.place.startswith("bridge"):
        return "A container may only send under its own address."
    return ""


def _to_another_network(refusal: Refusal, question: Question, networks: Mapping[str, str]) -> str:
    source, target = question.source, question.target.name
    port = question.port or "PORT"
    publish = f"publish the port (minirt run -p {port}:{port} …) and ask the host for it"
    network = networks.get(refusal.leaves_by)
    if source.room is not None and network:
        return f"minirt network connect {network} {source.name}, or {publish}."
    if source.name != HOST and network:
        return f"{publish[0].upper()}{publish[1:]}: {target} is reached from outside only so."
    return ""


def _out_of_internal(refusal: Refusal, question: Question, networks: Mapping[str, str]) -> str:
    internal = networks.get(refusal.came_by) or networks.get(refusal.leaves_by, "")
    who = question.source.name if refusal.came_by in networks else question.target.name
    why = f"The network {internal} is internal. " if internal else ""
    return f"{why}minirt network connect NETWORK {who}, with one that is not."


def _without_icc(question: Question) -> str:
    port = question.port or "PORT"
    return (
        f"The network has icc=false: publish the port of {question.target.name}"
        f" (minirt run -p {port}:{port} …) and ask the host for it."
    )


def _foreign(refusal: Refusal) -> str:
    """Return the rule that lets it pass a chain that isn't ours."""
    assert refusal.by is not None, "a rule refused it"
    family, table, chain = refusal.by.place.split(" ", 2)
    links = [("iifname", refusal.came_by), ("oifname", refusal.leaves_by)]
    words = " ".join(f"{key} {name}" for key, name in links if name)
    return f"nft insert rule {family} {table} {chain} {words} accept"
