"""The picture of a network for other programs to draw: Graphviz (dot) and Mermaid."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from minirt.explain.topology import Link, Picture, Wire


def dot(picture: Picture) -> str:
    """Return the picture in Graphviz's language (graphviz.org/doc/info/lang.html)."""
    lines = [
        f"graph {_quoted(picture.network)} {{",
        "  node [shape=box, fontname=monospace];",
        f"  label={_quoted(_title(picture))};",
    ]
    for number, wire in enumerate(picture.wires):
        lines += [
            f"  subgraph cluster_{number} {{",
            f"    label={_quoted(_owner(wire))};",
            f"    inside_{number} [label={_quoted(*_inner(wire))}];",
            "  }",
        ]
    lines += [f"  {name} [label={_quoted(*text)}];" for name, text in _nodes(picture)]
    for one, other, text in _edges(picture):
        label = f" [label={_quoted(text)}]" if text else ""
        lines.append(f"  {one} -- {other}{label};")
    return "\n".join([*lines, "}"]) + "\n"


def mermaid(picture: Picture) -> str:
    """Return the picture as a Mermaid flow chart (mermaid.js.org/syntax/flowchart.html)."""
    lines = ["---", f"title: {_plain(_title(picture))}", "---", "flowchart TB"]
    for number, wire in enumerate(picture.wires):
        lines += [
            f'  subgraph container_{number}["{_plain(_owner(wire))}"]',
            f'    inside_{number}["{_broken(_inner(wire))}"]',
            "  end",
        ]
    lines += [f'  {name}["{_broken(text)}"]' for name, text in _nodes(picture)]
    for one, other, text in _edges(picture):
        lines.append(f'  {one} ---|"{_plain(text)}"| {other}' if text else f"  {one} --- {other}")
    return "\n".join(lines) + "\n"


def _title(picture: Picture) -> str:
    return f"{picture.network} {', '.join(picture.subnets)}"


def _owner(wire: Wire) -> str:
    return wire.inside.name if wire.inside else "nobody"


def _inner(wire: Wire) -> list[str]:
    return _words(wire.inside.link) if wire.inside else ["?"]


def _words(link: Link) -> list[str]:
    return [f"{link.name} (index {link.index})", link.mac, *link.addresses]


def _nodes(picture: Picture) -> Iterator[tuple[str, Sequence[str]]]:
    missing = [f"{picture.bridge_name} is missing"]
    yield "bridge", _words(picture.bridge) if picture.bridge else missing
    stack = [f"forwarding {'on' if picture.forwarding else 'off'}"]
    stack += [f"masquerade {one}" for one in picture.masquerade]
    stack += [f"{one.protocol} {one.host} -> {one.target}" for one in picture.ports]
    yield "stack", stack
    for number, one in enumerate(picture.outside):
        yield f"outside_{number}", _words(one.link)


def _edges(picture: Picture) -> Iterator[tuple[str, str, str]]:
    for number, wire in enumerate(picture.wires):
        yield f"inside_{number}", "bridge", f"{wire.link.name} (index {wire.link.index})"
    yield "bridge", "stack", ""
    if not picture.internal:
        for number, one in enumerate(picture.outside):
            yield "stack", f"outside_{number}", f"via {one.gateway}" if one.gateway else ""


def _quoted(*lines: str) -> str:
    escaped = (line.replace("\\", "\\\\").replace('"', '\\"') for line in lines)
    return '"' + "\\n".join(escaped) + '"'


def _broken(lines: Sequence[str]) -> str:
    return "<br>".join(map(_plain, lines))


def _plain(text: str) -> str:
    """Write what Mermaid would read as its own as entities."""
    return (
        text.replace("&", "&amp;").replace('"', "#quot;").replace("<", "&lt;").replace("->", "to")
    )
