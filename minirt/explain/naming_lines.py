"""Answers to names, told line by line."""

from __future__ import annotations

from collections.abc import Sequence

from minirt.explain.naming import MOST_SUFFIXES, Asker, Service, Told
from minirt.network import resolv_conf
from minirt.network.lookup import Reply


def answer(told: Told) -> list[str]:
    """Return the records of an answer, and whose they are."""
    reply = told.reply
    lines = [f"{one.name} {one.ttl} {one.kind} {one.text}" for one in reply.records]
    if not lines:
        lines = [f"{told.name}: {empty(reply, known=bool(told.holders))}"]
    for one in told.holders:
        lines.append(f"  {one.address} is {one.container}'s on {one.network}, by {one.why}")
    return [*lines, f"  {_timed(reply)}"]


def empty(reply: Reply, *, known: bool) -> str:
    """Return what an answer without records means."""
    if reply.status == "NOERROR":
        return "the name exists, but nothing of that type" if known else "nothing of that type"
    meanings = {
        "NXDOMAIN": "there is no such name",
        "SERVFAIL": "no server could be asked, or none could answer",
        "REFUSED": "the server refuses the question",
    }
    return f"{reply.status}: {meanings[reply.status]}" if reply.status in meanings else reply.status


def _some(words: tuple[str, ...]) -> str:
    """Return words of a resolv.conf; the container may have written thousands of them."""
    more = len(words[MOST_SUFFIXES:])
    shown = " ".join(words[:MOST_SUFFIXES])
    return f"{shown} … ({more} more)" if more else shown or "none"


def background(asker: Asker, behind: Service | None) -> list[str]:
    """Return what decides before any name is asked for."""
    conf = resolv_conf.read(asker.text)
    lines = [
        f"{asker.name} reads its resolv.conf: servers {_some(conf.servers)},"
        f" search {_some(conf.search)}, options {_some(conf.options)}"
    ]
    if behind is None:
        return [*lines, "It asks these servers itself: no resolver of minirt's is in between."]
    process = f"process {behind.pid}" if behind.pid else "NO PROCESS"
    process += ", which is STOPPED" if behind.is_stopped else ""
    port = f"port {behind.port}" if behind.port else "NO SOCKET"
    lines.append(
        f"Inside, port 53 of {resolv_conf.RESOLVER} leads to {port}:"
        f" the resolver of network {behind.network}, {process}"
    )
    lines.append(f"It knows the leases of: {', '.join(asker.networks) or 'no network'}")
    if asker.servers:
        lines.append(
            f"What it doesn't know it asks from inside: {', '.join(asker.servers)} (--dns)"
        )
    elif asker.internal:
        lines.append("What it doesn't know it asks nobody: all its networks are internal")
    else:
        lines.append("What it doesn't know it asks the host's servers, from the host")
    return lines


def trace(asker: Asker, behind: Service | None, told: Sequence[Told]) -> str:
    """Return all lines of a trace."""
    lines = background(asker, behind)
    for number, one in enumerate(told, 1):
        lines.append(f"{number}. {one.name} is asked for")
        lines += [f"   {line}" for line in answer(one)]
        if behind and not one.holders:
            lines.append("   no living lease has that name" + _then(asker, one))
            lines += [f"   upstream {_timed(reply)}: {_outcome(reply)}" for reply in one.upstreams]
    return "\n".join(lines) + "\n"


def _then(asker: Asker, told: Told) -> str:
    if told.upstreams:
        return "; asked directly:"
    if "." in told.name.rstrip(".") or asker.bare or told.reply.status != "NXDOMAIN":
        return ""
    return ", and without a dot it is asked nowhere else (--dns-option ndots:0 would)"


def _outcome(reply: Reply) -> str:
    found = ", ".join(one.text for one in reply.records)
    return f"{reply.status} {found}".strip()


def _timed(reply: Reply) -> str:
    over = " over TCP" if reply.over_tcp else ""
    return f"{reply.server} after {reply.seconds * 1000:.1f} ms{over}"
