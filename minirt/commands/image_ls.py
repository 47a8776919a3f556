"""``minirt image ls``."""

from __future__ import annotations

import click

from minirt.container.amounts import decimal
from minirt.container.tables import show
from minirt.container.templates.values import Fields
from minirt.container.times import ago, plain
from minirt.images import names, store
from minirt.images.store import Image

HEADERS = {
    "Repository": "REPOSITORY",
    "Tag": "TAG",
    "Digest": "DIGEST",
    "ID": "IMAGE ID",
    "CreatedSince": "CREATED",
    "CreatedAt": "CREATED AT",
    "Size": "SIZE",
    "VirtualSize": "SIZE",
    "Containers": "CONTAINERS",
    "SharedSize": "SHARED SIZE",
    "UniqueSize": "UNIQUE SIZE",
}
SHOWN = ("Repository", "Tag", "ID", "CreatedSince", "Size")
NONE = "<none>"
UNKNOWN = "N/A"  # Docker counts these for `system df` only


@click.command("ls")
@click.option("-a", "--all", "everything", is_flag=True, help="Accepted: all are shown anyway.")
@click.option("-q", "--quiet", is_flag=True, help="Only ids.")
@click.option("--no-trunc", is_flag=True, help="Don't shorten ids.")
@click.option("--format", "form", default="", help="'table …', 'json', or a Go template.")
@click.argument("name", metavar="[REPOSITORY[:TAG]]", default="")
def command(everything: bool, quiet: bool, no_trunc: bool, form: str, name: str) -> None:
    """List images, the newest first."""
    found = [
        _row(image, repository, tag, no_trunc=no_trunc)
        for image in store.all()
        for repository, tag in _names(image)
        if _is_meant(repository, tag, name)
    ]
    if quiet:
        for image_id in dict.fromkeys(row["ID"] for row in found):
            click.echo(image_id)
        return
    click.echo(show(found, HEADERS, SHOWN, form), nl=False)


def _names(image: Image) -> list[tuple[str, str]]:
    pairs = [name.rpartition(":")[::2] for name in image.names]
    return pairs or [(NONE, NONE)]


def _is_meant(repository: str, tag: str, asked: str) -> bool:
    if not asked:
        return True
    wanted = names.parse(asked)
    return repository == wanted.repository and (":" not in asked or tag == wanted.tag)


def _row(image: Image, repository: str, tag: str, *, no_trunc: bool) -> Fields:
    return Fields(
        Repository=repository,
        Tag=tag,
        Digest=image.manifest,
        ID=image.id if no_trunc else image.id.removeprefix("sha256:")[:12],
        CreatedSince=ago(image.created) if image.created else "N/A",
        CreatedAt=plain(image.created) if image.created else "N/A",
        Size=decimal(image.size, 3),
        VirtualSize=decimal(image.size),
        Containers=UNKNOWN,
        SharedSize=UNKNOWN,
        UniqueSize=UNKNOWN,
    )
