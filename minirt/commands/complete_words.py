"""What a shell can complete after ``minirt``: read from the verbs themselves."""

from __future__ import annotations

from dataclasses import dataclass

import click

from minirt.commands.verbs import GROUPS, VERBS, load

# What the names after a verb are. The first of "run" is an image, what follows is free.
FIRST_ONLY = (
    "run",
    "create",
    "exec",
    "logs",
    "port",
    "top",
    "rename",
    "attach",
    "diff",
    "image save",
)
ARGUMENTS = {
    **dict.fromkeys(("run", "create"), "images"),
    **dict.fromkeys(
        ("stop", "kill", "pause", "unpause", "exec", "attach", "top", "stats"), "running"
    ),
    **dict.fromkeys(
        ("start", "restart", "update", "diff", "rm", "wait", "logs", "port", "rename"), "containers"
    ),
    "inspect": "containers",
    **dict.fromkeys(("network inspect", "network rm"), "networks"),
    **dict.fromkeys(("network connect", "network disconnect"), "networks containers"),
    **dict.fromkeys(("image inspect", "image rm", "image save"), "images"),
    **dict.fromkeys(("image import", "image load"), "files"),
    **dict.fromkeys(("volume inspect", "volume rm"), "volumes"),
    "cp": "containers files",
    "completion": "shells",
}
# What the values of options are; those that are not here can't be guessed.
VALUES = {
    **dict.fromkeys(("--net", "--network"), "networks"),
    **dict.fromkeys(("--volume", "-v"), "volumes"),
    **dict.fromkeys(("--env-file", "--label-file", "--cidfile", "--input", "--output"), "files"),
    **dict.fromkeys(("--root", "--runroot"), "files"),
}
# How a shell asks for names: words after "minirt".
QUESTIONS = {
    "containers": "ps --all --format '{{.Names}}'",
    "running": "ps --format '{{.Names}}'",
    "networks": "network ls --format '{{.Name}}'",
    "images": "image ls --format '{{.Repository}}:{{.Tag}}'",
    "volumes": "volume ls --quiet",
}
SHELLS = ("bash", "zsh", "fish")


@dataclass(frozen=True, slots=True)
class Option:
    """A flag: its spellings, its line of help, and what its value is."""

    names: tuple[str, ...]
    help: str
    takes_value: bool
    kind: str  # "", a key of QUESTIONS, or "files"
    choices: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Verb:
    """A verb: its words, its line of help, its options, and what its names are."""

    words: str  # "run", "network create"
    help: str
    options: tuple[Option, ...]
    arguments: tuple[str, ...]  # the kind of each name; the last one's is that of all others
    ends_there: bool  # or not: what follows the names is the container's affair


def verbs() -> list[Verb]:
    """Return every verb, those of groups with both words. Imports them all."""
    found = []
    for name, line in VERBS.items():
        if name not in GROUPS:
            found.append(_verb(name, line, load(name)))
        for second, help in GROUPS.get(name, {}).items():
            found.append(_verb(f"{name} {second}", help, load(second, name)))
    return found


def _verb(words: str, line: str, command: click.Command) -> Verb:
    options = [
        _option(one) for one in command.params if isinstance(one, click.Option) and not one.hidden
    ]
    options.append(Option(("--help",), "Show the help", takes_value=False, kind=""))
    kinds = tuple(ARGUMENTS.get(words, "").split())
    return Verb(words, line, tuple(options), kinds, words not in FIRST_ONLY)


def _option(one: click.Option) -> Option:
    names = tuple(one.opts) + tuple(one.secondary_opts)
    kind = next((VALUES[name] for name in names if name in VALUES), "")
    takes_value = not (one.is_flag or one.count)
    choices = tuple(map(str, one.type.choices)) if isinstance(one.type, click.Choice) else ()
    return Option(
        names, (one.help or "").rstrip("."), takes_value, kind if takes_value else "", choices
    )


def quoted(text: str) -> str:
    """Quote a word for bash, zsh and fish alike."""
    return "'" + text.replace("'", "'\\''") + "'"
