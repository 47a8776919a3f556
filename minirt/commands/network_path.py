"""``minirt network path``."""

from __future__ import annotations

from dataclasses import asdict
from ipaddress import ip_address

import click

from minirt.explain.journey import Road
from minirt.explain.measure import Trace
from minirt.explain.predict import Point, Question
from minirt.explain.terrain import Ground


@click.command("path")
@click.option("-6", "six", is_flag=True, help="By IPv6.")
@click.option("--trace", is_flag=True, help="Also send a real packet, and tell what it met.")
@click.option("--wait", default=10.0, show_default=True, metavar="SECONDS",
              help="From outside: how long to wait for a packet to trace.")  # fmt: skip
@click.option("--json", "as_json", is_flag=True, help="For programs.")
@click.argument("source", metavar="A")
@click.argument("target", metavar="B[:PORT[/PROTOCOL]]")
def command(six: bool, trace: bool, wait: float, as_json: bool, source: str, target: str) -> int:
    """Tell the road of a packet from A to B: each hop, each rule, what refuses it.

    A and B are containers, host, outside, or addresses. Without a port it is a ping.
    """
    from minirt.container.templates.json_text import dumped
    from minirt.errors import clean
    from minirt.explain import itinerary, measure, predict, remedies, terrain

    name, port, protocol = predict.read(target)
    with terrain.look(_containers()) as ground:
        asked = predict.Question(
            _point(source), _point(name), protocol, port, 6 if six or ":" in name else 4
        )
        road = predict.predict(ground, asked, _hidden())
        measured = _measure(ground, asked, road, wait) if trace else None
    remedy = ""
    if road.refusal:
        remedy = remedies.remedy(road.refusal, asked, ground.host, _bridges())
    if as_json:
        document = itinerary.document(road, remedy)
        if measured:
            document["trace"] = asdict(measured) | {"agrees": measure.agrees(road, measured)}
        click.echo(dumped(document, indent=4))
    else:
        click.echo(clean(itinerary.tell(road, asked, remedy)), nl=False)
        if measured:
            agrees = measure.agrees(road, measured)
            click.echo(clean(itinerary.tell_trace(measured, agrees)), nl=False)
    return 1 if road.refusal else 0


def _measure(ground: Ground, asked: Question, road: Road, seconds: float) -> Trace:
    from minirt.explain import measure, predict
    from minirt.kernel import namespaces

    if asked.source.room is not None:
        with namespaces.network_of(asked.source.room.pid) as netns:
            return measure.send(ground.host, road.first, netns)
    if asked.source.name == predict.HOST:
        return measure.send(ground.host, road.first, None)
    click.echo(f"Waiting {seconds:g} s for a packet from outside: {road.first.ends}", err=True)
    return measure.expect(ground.host, road.first, seconds)


def _containers() -> dict[int, str]:
    """Return the names of all living containers, by the pid of their init."""
    from minirt.container import lifecycle

    found = ((lifecycle.init_of(one), one.name) for one in lifecycle.all_records())
    return {init[0]: name for init, name in found if init is not None}


def _bridges() -> dict[str, str]:
    from minirt.network import store

    return {one.bridge: one.name for one in store.bridged()}


def _hidden() -> dict[str, str]:
    """Return the networks that leave under the host's address, by their bridges."""
    from minirt.network import store

    return {one.bridge: one.name for one in store.bridged() if one.masquerade}


def _point(name: str) -> Point:
    """Return an end of the road. Raises NotFound, Conflict."""
    from minirt.container import lifecycle
    from minirt.errors import Conflict
    from minirt.explain import neighbourhood, predict

    if name in (predict.HOST, predict.OUTSIDE):
        return predict.Point(name)
    try:
        return predict.Point(name, address=ip_address(name))
    except ValueError:
        pass
    found = lifecycle.find_running(name)
    init = lifecycle.init_of(found)
    room = neighbourhood.room_of(init[0]) if init else None
    if room is None:
        raise Conflict(f"Cannot look into {found.name}", "it is just starting, or ending")
    return predict.Point(found.name, room)
