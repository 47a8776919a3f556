"""What verbs that remove a lot ask before they do."""

from __future__ import annotations

import sys

import click


def agreed(warning: str, *, force: bool) -> bool:
    """Print what will be removed, and return whether the person wants it; ``force`` is a yes."""
    if force:
        return True
    click.echo(f"WARNING! {warning}\nAre you sure you want to continue? [y/N] ", nl=False)
    sys.stdout.flush()
    answer = sys.stdin.readline()
    if not answer.endswith("\n"):
        click.echo()
    return answer.strip().lower() in ("y", "yes")
