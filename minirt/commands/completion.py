"""``minirt completion``.

The scripts are made once and know all verbs and options; only names are asked for while
typing, by listing verbs that take less than a tenth of a second.
"""

from __future__ import annotations

from importlib import import_module

import click

from minirt.commands.complete_words import SHELLS, verbs


@click.command("completion")
@click.argument("shell", type=click.Choice(SHELLS))
def command(shell: str) -> None:
    """Print the completion script of SHELL.

    Try it: source <(minirt completion bash). For fish: minirt completion fish | source.
    """
    click.echo(import_module(f"minirt.commands.complete_{shell}").script(verbs()), nl=False)
