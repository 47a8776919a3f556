"""The picture of a network, as text: small ones in full, and that large ones keep their width."""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from minirt.explain import boxes, drawing, graphs
from minirt.explain.relevance import Concern
from minirt.explain.topology import Inside, Link, Outside, Picture, Port, Wire

BRIDGE = Link("br-abababababab", 3, "02:42:0a:00:00:01", ("10.0.0.1/24",))


def wire(number: int, name: str) -> Wire:
    link = Link("eth0", 2, f"02:42:0a:00:00:{number:02x}", (f"10.0.0.{number}/24",))
    inside = Inside(name, link, 100 + number, 4026532000 + number, "c" * 64, "10.0.0.1")
    return Wire(Link(f"veth0a0000{number:02x}", 10 + number), hairpin=True, inside=inside)


PICTURE = Picture(
    network="net1",
    id="ab" * 32,
    subnets=("10.0.0.0/24",),
    internal=False,
    icc=True,
    bridge_name=BRIDGE.name,
    bridge=BRIDGE,
    forwarding=True,
    filters_bridges=False,
    masquerade=("10.0.0.0/24",),
    outside=(Outside(Link("eth0", 2, "52:54:00:00:00:01", ("192.0.2.1/24",)), "192.0.2.2"),),
    wires=(wire(2, "web"), wire(3, "db")),
    ports=(Port("tcp", "*:8080", "10.0.0.2:80", "web"),),
    rules=(Concern("inet minirt forward", "oifname @bridges drop", (f"@bridges: {BRIDGE.name}",)),),
)

DRAWN = """\
network net1 (abababababab): 10.0.0.0/24

    ┌───────────────────────┐              ┌───────────────────────┐
    │ web                   │              │ db                    │
    │ cccccccccccc, pid 102 │              │ cccccccccccc, pid 103 │
    │ ┌───────────────────┐ │              │ ┌───────────────────┐ │
    │ │ eth0, index 2     │ │              │ │ eth0, index 2     │ │
    │ │ 02:42:0a:00:00:02 │ │              │ │ 02:42:0a:00:00:03 │ │
    │ │ 10.0.0.2/24       │ │              │ │ 10.0.0.3/24       │ │
    │ └───────────────────┘ │              │ └───────────────────┘ │
    │ default via 10.0.0.1  │              │ default via 10.0.0.1  │
    └──┬────────────────────┘              └──┬────────────────────┘
       │ veth0a000002, index 12 (hairpin)     │ veth0a000003, index 13 (hairpin)
  ┌────┴──────────────────────────────────────┘
┌─┴───────────────────────────────┐
│ bridge br-abababababab, index 3 │
│ 02:42:0a:00:00:01  10.0.0.1/24  │
└─┬───────────────────────────────┘
┌─┴──────────────────────────────────────────┐
│ the host's stack: forwarding on            │
│ masquerade: 10.0.0.0/24 leave as the host  │
│ published: tcp *:8080 -> 10.0.0.2:80 (web) │
└─┬──────────────────────────────────────────┘
┌─┴───────────────────────────────┐
│ outside: eth0, index 2          │
│ 52:54:00:00:00:01  192.0.2.1/24 │
└─┬───────────────────────────────┘
  │ default via 192.0.2.2

Rules that name it:
  inet minirt forward
    oifname @bridges drop
      @bridges: br-abababababab
"""

STACKED = """\
    └──┬────────────────────┘
       │ veth0a000002, index 12 (hairpin)
  ┌────┘
  │ ┌───────────────────────┐
  │ │ db                    │
"""

DOT = """\
graph "net1" {
  node [shape=box, fontname=monospace];
  label="net1 10.0.0.0/24";
  subgraph cluster_0 {
    label="web";
    inside_0 [label="eth0 (index 2)\\n02:42:0a:00:00:02\\n10.0.0.2/24"];
  }
  bridge [label="br-abababababab (index 3)\\n02:42:0a:00:00:01\\n10.0.0.1/24"];
  stack [label="forwarding on\\nmasquerade 10.0.0.0/24\\ntcp *:8080 -> 10.0.0.2:80"];
  outside_0 [label="eth0 (index 2)\\n52:54:00:00:00:01\\n192.0.2.1/24"];
  inside_0 -- bridge [label="veth0a000002 (index 12)"];
  bridge -- stack;
  stack -- outside_0 [label="via 192.0.2.2"];
}
"""

MERMAID = """\
---
title: net1 10.0.0.0/24
---
flowchart TB
  subgraph container_0["web"]
    inside_0["eth0 (index 2)<br>02:42:0a:00:00:02<br>10.0.0.2/24"]
  end
  bridge["br-abababababab (index 3)<br>02:42:0a:00:00:01<br>10.0.0.1/24"]
  stack["forwarding on<br>masquerade 10.0.0.0/24<br>tcp *:8080 to 10.0.0.2:80"]
  outside_0["eth0 (index 2)<br>52:54:00:00:00:01<br>192.0.2.1/24"]
  inside_0 ---|"veth0a000002 (index 12)"| bridge
  bridge --- stack
  stack ---|"via 192.0.2.2"| outside_0
"""

ALONE = replace(PICTURE, wires=PICTURE.wires[:1])


def test_a_network_with_two_containers_looks_like_this() -> None:
    assert drawing.draw(PICTURE) == DRAWN


def test_on_a_narrow_terminal_containers_stand_below_each_other() -> None:
    assert STACKED in drawing.draw(PICTURE, 40)


def test_without_box_characters_it_has_the_same_shape() -> None:
    plain = drawing.draw(PICTURE, ascii_only=True)
    assert plain.isascii()
    assert plain == DRAWN.translate(boxes.ASCII)


def test_graphviz_gets_it_in_its_language() -> None:
    assert graphs.dot(ALONE) == DOT


def test_mermaid_gets_it_in_its_language() -> None:
    assert graphs.mermaid(ALONE) == MERMAID


def test_an_internal_network_has_no_way_out() -> None:
    drawn = drawing.draw(replace(PICTURE, internal=True, masquerade=()))
    assert "no way out: the network is internal" in drawn
    assert "outside" not in drawn
    assert "outside_0 [" in graphs.dot(PICTURE)
    assert "stack -- outside_0" not in graphs.dot(replace(PICTURE, internal=True))


@pytest.mark.parametrize(
    ("damage", "told"),
    [
        ({"bridge": None}, "bridge br-abababababab IS MISSING"),
        ({"bridge": replace(BRIDGE, up=False)}, "index 3, DOWN"),
        ({"bridge": replace(BRIDGE, addresses=())}, "NO ADDRESS"),
        ({"forwarding": False}, "forwarding OFF"),
        ({"ports": (replace(PICTURE.ports[0], open=False),)}, "CLOSED: nobody holds the port"),
        ({"outside": ()}, "(the host has no default route)"),
        ({"rules": ()}, "No rule of the packet filter names it."),
        ({"wires": ()}, "nothing is plugged in"),
        ({"wires": (replace(wire(2, "web"), inside=None),)}, "(no process has the other end)"),
        ({"wires": (replace(wire(2, "web"), isolated=True),)}, "(hairpin, isolated)"),
        ({"icc": False}, "icc=false"),
    ],
)
def test_what_is_not_as_usual_is_seen(damage: dict[str, object], told: str) -> None:
    assert told in drawing.draw(replace(PICTURE, **damage))  # type: ignore[arg-type]


@given(st.integers(0, 12), st.integers(40, 160))
def test_however_many_containers_every_wire_ends_in_the_trunk(count: int, width: int) -> None:
    wires = tuple(wire(number + 2, f"c{number}" * (number % 3 + 1)) for number in range(count))
    lines = drawing.draw(replace(PICTURE, wires=wires), width).splitlines()
    top = lines.index("┌─┴───────────────────────────────┐") if count else 2
    for above, line in pairwise(lines[2:top]):
        for column, character in enumerate(above):
            if character == "┬":
                assert line[column] == "│"
            if character == "│" and column == boxes.TRUNK:
                assert line[column] in "│├┴"
    buses = [line for line in lines[:top] if line.startswith(("  ┌─", "  ├─"))]
    assert sum(line.count("┴") + line.count("┘") for line in buses) == count
    assert all(len(line) <= max(width, 44) for line in lines[2:top])


def test_what_graphviz_or_mermaid_would_read_as_theirs_is_escaped() -> None:
    odd = replace(ALONE, wires=(wire(2, 'a"b\\c<d>'),))
    assert r'label="a\"b\\c<d>"' in graphs.dot(odd)
    assert 'container_0["a#quot;b\\c&lt;d>"]' in graphs.mermaid(odd)
