"""A road, told line by line."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

from minirt.explain.journey import Hop, Road
from minirt.explain.measure import Trace
from minirt.explain.packet import end
from minirt.explain.predict import Question
from minirt.explain.walk import Crossed
from minirt.kernel.conntrack import Flow


def tell(road: Road, question: Question, remedy: str) -> str:
    """Return the lines for a terminal."""
    first = road.first
    head = f"{question.source.name} -> {end(first.target, first.port)} ({first.protocol})"
    lines = [head]
    width = max((len(hop.where) for hop in road.hops), default=0)
    for number, hop in enumerate(road.hops, 1):
        lines += _hop(number, hop, width)
    if road.refusal:
        by = f"{road.refusal.where}'s rule " if road.refusal.by else ""
        lines.append(f"REFUSED: {by}{road.refusal.why}")
        lines += [f"  to allow it: {remedy}"] if remedy else []
    else:
        lines.append(f"{'A new flow' if road.astray else 'It'} arrives: {road.end}.")
    if road.astray:
        lines.append("But these flows go elsewhere, as was decided when they began:")
        lines += [f"  {_flow(one)}" for one in road.astray]
        lines.append(f"  to end them: conntrack -D -p udp --dport {first.port}")
    if road.returns_by:
        lines += ["The answer comes back by the connection tracker's entry", f"  {road.returns_by}"]
    if road.doubts:
        lines.append("What could not be read, and may decide otherwise:")
        lines += [f"  {one}" for one in road.doubts]
    return "\n".join(lines) + "\n"


def tell_trace(trace: Trace, agrees: bool) -> str:
    """Return the lines about the real packet."""
    lines = ["", f"The real packet: {trace.fate}."]
    for one in trace.events:
        lines.append(f"  {one.links}: {one.packet}")
        lines.append(f"      [{one.place}] {one.text}" + _verdict(one.text, one.verdict))
    if trace.entry:
        lines += ["The connection tracker remembers", f"  {trace.entry}"]
    words = "just what was predicted" if agrees else "NOT what was predicted"
    return "\n".join([*lines, f"That is {words}."]) + "\n"


def _flow(one: Flow) -> str:
    sent = f"{end(one.source, one.source_port)} -> {end(one.target, one.port)}"
    return f"{sent} goes to {end(one.receiver, one.receiver_port)}"


def _hop(number: int, hop: Hop, width: int) -> list[str]:
    lines = [f"{number:>3} {hop.where.ljust(width)}  {hop.what}: {hop.packet}"]
    indent = " " * (width + 6)
    for one in hop.rules:
        if one.verdict not in ("jump", "goto", "return"):
            lines.append(f"{indent}{_rule(one)}")
            lines += [f"{indent}  {one.change}"] if one.change else []
    return lines


def _rule(one: Crossed) -> str:
    return f"[{one.place}] {one.text}" + _verdict(one.text, one.verdict)


def _verdict(text: str, verdict: str) -> str:
    return "" if verdict in text else f": {verdict}"


def document(road: Road, remedy: str) -> dict[str, Any]:
    """Return the road as JSON can write it."""
    refusal = road.refusal
    return {
        "packet": {"source": str(road.first.source), "target": str(road.first.target)}
        | {"protocol": road.first.protocol, "port": road.first.port},
        "hops": [asdict(one) for one in road.hops],
        "arrives": refusal is None,
        "end": road.end,
        "refusal": asdict(refusal) | {"remedy": remedy} if refusal else None,
        "returns_by": road.returns_by,
        "doubts": list(road.doubts),
        "astray": [_flow(one) for one in road.astray],
    }
