"""``minirt image rm``."""

from __future__ import annotations

import click

from minirt.commands.each import for_each
from minirt.container import lifecycle
from minirt.container.record import Record
from minirt.errors import Conflict, InvalidRequest, NotFound, say
from minirt.images import names, store
from minirt.images.store import Image


@click.command("rm")
@click.option("-f", "--force", is_flag=True, help="Take its name though a container uses it.")
@click.argument("images", nargs=-1, required=True)
def command(force: bool, images: tuple[str, ...]) -> int:
    """Remove names of images, and images that have lost their last name.

    With -f an image that a container uses loses its name and stays until no container does.
    """
    there = [one for one in images if not force or _is_there(one)]
    return for_each(there, lambda one: remove(one, force=force))


def remove(reference: str, *, force: bool) -> str:
    """Remove a name or an image; return Docker's lines about it. Raises Conflict, NotFound."""
    image = store.find(reference)
    name = _name_meant(reference, image)
    lost = [name] if name else list(image.names)
    users = [one for one in lifecycle.all_records() if one.image_id == image.id]
    is_last = set(lost) == set(image.names)
    if not name and len(image.names) > 1 and not force:
        why = f"it has the names {', '.join(image.names)}"
        raise Conflict(f"Cannot remove image {reference}", why, "Use -f, or remove the names.")
    if is_last and users and not (force and name):
        raise _used(reference, users)
    gone = store.forget(image.id, lost, keep=bool(users))
    return "\n".join([*(f"Untagged: {one}" for one in lost), *(f"Deleted: {one}" for one in gone)])


def _is_there(reference: str) -> bool:
    """Say whether there is such an image; with -f it is no failure if there isn't."""
    try:
        store.find(reference)
    except NotFound as error:
        say(str(error), 0)
        return False
    return True


def _name_meant(reference: str, image: Image) -> str:
    try:
        name = str(names.parse(reference))
    except InvalidRequest:
        return ""
    return name if name in image.names else ""


def _used(reference: str, users: list[Record]) -> Conflict:
    first = users[0].name
    why = f"container {first} uses it" + (f", and {len(users) - 1} more" if users[1:] else "")
    return Conflict(f"Cannot remove image {reference}", why, f"First: minirt rm {first}")
