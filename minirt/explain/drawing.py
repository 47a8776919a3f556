"""The picture of a network, drawn with boxes for a terminal.

Containers above, each with its interface; a wire (veth pair) from each into the bridge; below
it the host's stack, where packets are forwarded and rewritten; and at the bottom the outside.
"""

from __future__ import annotations

from collections.abc import Sequence

from minirt.explain import boxes
from minirt.explain.boxes import TRUNK
from minirt.explain.topology import Inside, Link, Picture, Wire

_MARGIN = 2 * TRUNK  # columns left of the containers, for the trunk
_MOST = 6  # elements that are listed of one rule, addresses of a link; --json has them all
NARROWEST = 40


def draw(picture: Picture, width: int = 100, *, ascii_only: bool = False) -> str:
    """Return the drawing, at most ``width`` columns wide where that is possible."""
    width = max(width, NARROWEST)
    lines = [_title(picture), ""]
    lines += _containers(picture, width - _MARGIN)
    lines += boxes.box(_bridge(picture), top=TRUNK if picture.wires else -1, bottom=TRUNK)
    lines += boxes.box(
        _stack(picture), top=TRUNK, bottom=TRUNK if picture.outside and not picture.internal else -1
    )
    lines += _outside(picture)
    lines += _rules(picture)
    text = "\n".join(line.rstrip() for line in lines) + "\n"
    return text.translate(boxes.ASCII) if ascii_only else text


def _title(picture: Picture) -> str:
    kind = "internal network" if picture.internal else "network"
    icc = "" if picture.icc else ", its containers don't reach each other (icc=false)"
    return f"{kind} {picture.network} ({picture.id[:12]}): {', '.join(picture.subnets)}{icc}"


def _containers(picture: Picture, width: int) -> list[str]:
    if not picture.wires:
        return [" nothing is plugged in", ""]
    lines: list[str] = []
    blocks = [_with_wire(one) for one in picture.wires]
    for number, row in enumerate(boxes.rows(blocks, width)):
        margin = " " * _MARGIN if number == 0 else " " * TRUNK + "│" + " " * (TRUNK - 1)
        drawn = boxes.beside(row)
        lines += [margin + line for line in drawn[:-1]]
        lines.append(boxes.bus(drawn[-1], number == 0, _MARGIN))
    return lines


def _with_wire(wire: Wire) -> list[str]:
    """Return the box of what is plugged in, and the wire out of its bottom."""
    down = 3
    inner = _inside(wire.inside) if wire.inside else ["(no process has the other end)"]
    drawn = boxes.box(inner, bottom=down)
    flags = [word for word, on in (("hairpin", wire.hairpin), ("isolated", wire.isolated)) if on]
    flags += [] if wire.link.up else ["DOWN"]
    tail = f" ({', '.join(flags)})" if flags else ""
    return [*drawn, f"   │ {wire.link.name}, index {wire.link.index}{tail}", "   │"]


def _inside(inside: Inside) -> list[str]:
    lines = [inside.name]
    if inside.container:
        lines.append(f"{inside.container[:12]}, pid {inside.pid}")
    route = [f"default via {inside.gateway}"] if inside.gateway else ["no default route"]
    cut = ["(it has more than is looked at)"] if inside.is_cut else []
    return [*lines, *boxes.box(_link(inside.link)), *route, *cut]


def _link(link: Link) -> list[str]:
    down = "" if link.up else ", DOWN"
    addresses = link.addresses[:_MOST]
    more = [f"and {len(link.addresses) - _MOST} more"] if link.addresses[_MOST:] else []
    return [f"{link.name}, index {link.index}{down}", link.mac, *addresses, *more]


def _bridge(picture: Picture) -> list[str]:
    if picture.bridge is None:
        return [f"bridge {picture.bridge_name} IS MISSING"]
    name, mac, *addresses = _link(picture.bridge)
    return [f"bridge {name}", f"{mac}  {' '.join(addresses) or 'NO ADDRESS'}"]


def _stack(picture: Picture) -> list[str]:
    bridged = "; what is bridged meets the packet filter too" if picture.filters_bridges else ""
    lines = [f"the host's stack: forwarding {'on' if picture.forwarding else 'OFF'}{bridged}"]
    if picture.internal:
        lines.append("no way out: the network is internal")
    elif picture.masquerade:
        lines.append(f"masquerade: {', '.join(picture.masquerade)} leave as the host")
    else:
        lines.append("no masquerade: containers leave under their own addresses")
    for port in picture.ports:
        closed = "" if port.open else "  CLOSED: nobody holds the port"
        name = f" ({port.container})" if port.container else ""
        lines.append(f"published: {port.protocol} {port.host} -> {port.target}{name}{closed}")
    return lines


def _outside(picture: Picture) -> list[str]:
    if picture.internal:
        return []
    if not picture.outside:
        return ["(the host has no default route)"]
    lines: list[str] = []
    for one in picture.outside:
        lines += boxes.box([f"outside: {_link(one.link)[0]}", "  ".join(_link(one.link)[1:])],
                           top=TRUNK, bottom=TRUNK)  # fmt: skip
        lines.append(f"  │ default via {one.gateway or 'the link itself'}")
    return lines


def _rules(picture: Picture) -> list[str]:
    if not picture.rules:
        return ["", "No rule of the packet filter names it."]
    lines = ["", "Rules that name it:"]
    for place, concerns in _by_place(picture):
        lines.append(f"  {place}")
        for text, elements in concerns:
            lines.append(f"    {text}")
            lines += [f"      {one}" for one in elements[:_MOST]]
            if len(elements) > _MOST:
                lines.append(f"      and {len(elements) - _MOST} more")
    return lines


def _by_place(picture: Picture) -> list[tuple[str, list[tuple[str, Sequence[str]]]]]:
    found: dict[str, list[tuple[str, Sequence[str]]]] = {}
    for one in picture.rules:
        found.setdefault(one.place, []).append((one.text, one.elements))
    return list(found.items())
