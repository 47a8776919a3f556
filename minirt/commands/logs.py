"""``minirt logs``."""

from __future__ import annotations

import sys

import click

from minirt.container import lifecycle, logs, times
from minirt.container.logs import Wanted
from minirt.errors import InvalidRequest


@click.command("logs")
@click.option("-f", "--follow", is_flag=True, help="Go on while the container runs.")
@click.option("-n", "--tail", default="all", metavar="LINES", help="Only the last LINES lines.")
@click.option("-t", "--timestamps", is_flag=True, help="Show when each line was printed.")
@click.option("--since", default="", metavar="WHEN", help="Only after a moment, or 10m ago.")
@click.option("--until", default="", metavar="WHEN", help="Only before a moment, or 10m ago.")
@click.argument("container")
def command(
    follow: bool, tail: str, timestamps: bool, since: str, until: str, container: str
) -> None:
    """Show what a container has printed, on the stream on which it did."""
    one = lifecycle.find(container)
    wanted = Wanted(
        tail=_lines(tail),
        since=times.since(since, "--since") if since else "",
        until=times.since(until, "--until") if until else "",
        follow=follow,
    )
    streams = {"stdout": sys.stdout.buffer, "stderr": sys.stderr.buffer}
    previous = sys.stdout.buffer
    for entry in logs.entries(one, wanted):
        line = f"{entry.time} {entry.text}" if timestamps else entry.text
        stream = streams.get(entry.stream, sys.stdout.buffer)
        if stream is not previous:
            previous.flush()  # A terminal that shows both streams shows them in this order.
            previous = stream
        stream.write(line.encode(errors="replace"))
        if follow:
            stream.flush()


def _lines(text: str) -> int:
    """Read ``--tail``; -1 stands for all. Raises InvalidRequest."""
    if text == "all" or text.startswith("-"):
        return -1
    if not (text.isascii() and text.isdigit()):
        raise InvalidRequest(f'Invalid value for --tail: "{text}"', "it is no number", "Or: all.")
    return int(text)
