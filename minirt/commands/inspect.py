"""``minirt inspect``."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import click

from minirt.commands.inspected import show
from minirt.errors import NotFound


@click.command("inspect")
@click.option("-f", "--format", "form", default="", help="json, or a Go template for each.")
@click.option("-s", "--size", is_flag=True, help="The bytes of a container's own files, too.")
@click.option("--type", "kind", type=click.Choice(["container", "image", "network", "volume"]),
              help="Look for no other kind.")  # fmt: skip
@click.argument("names", nargs=-1, required=True, metavar="NAME…")
def command(form: str, size: bool, kind: str | None, names: tuple[str, ...]) -> int:
    """Show all that is known of containers, images, networks or volumes."""

    def look_up(name: str) -> dict[str, Any]:
        if kind:
            return LOOK_UPS[kind](name, size=size)
        for one in LOOK_UPS.values():
            try:
                return one(name, size=size)
            except NotFound:
                continue
        raise NotFound(
            f"No such object: {name}", "", "It is no container, image, network or volume."
        )

    return show(names, look_up, form)


def _container(name: str, *, size: bool) -> dict[str, Any]:
    from minirt.container import inspect, lifecycle, listing

    one = lifecycle.find(name)
    return inspect.document(one, size=listing.size(one) if size else None)


def _image(name: str, *, size: bool) -> dict[str, Any]:
    from minirt.container import documents
    from minirt.images import inspect, store

    return documents.image(inspect.document(store.find(name)))


def _network(name: str, *, size: bool) -> dict[str, Any]:
    from minirt.container import documents
    from minirt.network import describe, finding

    return documents.network(describe.document(finding.find(name)))


def _volume(name: str, *, size: bool) -> dict[str, Any]:
    from minirt.container import documents, volume_rows, volumes

    return documents.volume(volume_rows.document(volumes.find(name)))


LOOK_UPS: dict[str, Callable[..., dict[str, Any]]] = {
    "container": _container,
    "image": _image,
    "network": _network,
    "volume": _volume,
}
