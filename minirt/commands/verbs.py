"""The verbs, and a line about each."""

from __future__ import annotations

import os
from collections.abc import Callable
from functools import cache, wraps
from importlib import import_module
from typing import Any

import click

from minirt.commands.lean import Lean
from minirt.errors import InvalidRequest
from minirt.state import check_own, root_dir, run_dir

# Each verb lives in minirt/commands/, in a file of its name, and is imported when it is
# called. Its line of help stands here, so that "minirt --help" imports none of them.
VERBS = {
    "run": "Run a command in a new container",
    "create": "Make a container without starting it",
    "start": "Start containers that exist",
    "stop": "Ask containers to end, then make them",
    "kill": "Send a signal to containers",
    "restart": "Stop and start containers",
    "pause": "Let containers stand still",
    "unpause": "Let paused containers go on",
    "update": "Change the limits of containers",
    "rm": "Remove containers",
    "wait": "Wait for containers to end, and print their exit codes",
    "ps": "List containers",
    "logs": "Show what a container has printed",
    "inspect": "Show all that is known of containers, images, networks or volumes",
    "exec": "Run a command in a running container",
    "attach": "Connect this terminal to a running container",
    "stats": "Show what containers use",
    "diff": "Show what a container has changed of its image",
    "cp": "Copy files between a container and the host",
    "port": "List the published ports of a container",
    "top": "List the processes of a container",
    "rename": "Rename a container",
    "prune": "Remove all containers that don't run",
    "network": "Networks: create, ls, inspect, rm, connect, explain, path, doctor and more",
    "image": "Images: import, load, save, ls, inspect, rm",
    "volume": "Volumes: create, ls, inspect, rm, prune",
    "dns": "Names: query, trace",
    "server": "The fork server that makes commands start fast: status, stop",
    "info": "Show this machine as minirt sees it",
    "version": "Show the version",
    "completion": "Print the completion script of a shell: bash, zsh or fish",
}
NETWORK_VERBS = {
    "create": "Make a network and its bridge",
    "ls": "List networks",
    "inspect": "Show all that is known of networks",
    "rm": "Remove networks",
    "connect": "Plug a container into a network",
    "disconnect": "Unplug a container from a network",
    "prune": "Remove all networks that no container uses",
    "explain": "Draw a network as the kernel has it now",
    "path": "Tell the road of a packet, hop by hop, and what refuses it",
    "doctor": "Find what is wrong with networks, and say how to mend it",
    "reload": "Mend networks: bridges, wires, packet filter, ports",
}
IMAGE_VERBS = {
    "import": "Make an image from the tar of a root file system",
    "load": "Load images from an archive (docker save, podman save, OCI)",
    "save": "Write images to an OCI archive",
    "ls": "List images",
    "inspect": "Show all that is known of images",
    "rm": "Remove images",
}
VOLUME_VERBS = {
    "create": "Make a volume",
    "ls": "List volumes",
    "inspect": "Show all that is known of volumes",
    "rm": "Remove volumes",
    "prune": "Remove all volumes that no container uses",
}
DNS_VERBS = {
    "query": "Ask for a name as a container does, and say who answered",
    "trace": "Tell how a name resolves in a container, server by server",
}
SERVER_VERBS = {
    "status": "Show the fork servers that run",
    "stop": "End the fork servers; the next command starts one again",
}
GROUPS = {
    "network": NETWORK_VERBS,
    "image": IMAGE_VERBS,
    "volume": VOLUME_VERBS,
    "dns": DNS_VERBS,
    "server": SERVER_VERBS,
}
FOR_ANYONE = {"version", "completion"}  # Every other verb works with what belongs to root.


@cache
def load(name: str, group: str = "") -> click.Command:
    """Import one verb, of a group if one is named. It checks its caller before it runs."""
    file = f"{group}_{name}" if group else name
    verb = import_module(f"minirt.commands.{file}").command
    assert isinstance(verb, click.Command) and verb.callback
    if file not in FOR_ANYONE:
        verb.callback = _after_check(verb.callback)
    return verb


def _after_check(work: Callable[..., Any]) -> Callable[..., Any]:
    """Return ``work`` with :func:`check_caller` before it.

    click calls it when it has read all words. A command that prints its help has ended by then, and
    "--help" among the words of a container's command is none of minirt's flags.
    """

    @wraps(work)
    def checked(*words: Any, **values: Any) -> Any:
        check_caller()
        return work(*words, **values)

    return checked


def check_caller() -> None:
    """Check that root calls, and that only root decides what is in minirt's directories.

    Raises InvalidRequest.
    """
    if os.geteuid() != 0:
        why = "namespaces, mounts and networks belong to root"
        raise InvalidRequest("minirt needs root", why, "Try sudo.")
    check_own(run_dir(), "MINIRT_RUNROOT")
    check_own(root_dir(), "MINIRT_ROOT")


def prepare() -> None:
    """Let click do for all verbs what it does at the first use of each."""
    for group, names in {"": VERBS, **GROUPS}.items():
        for name in names.keys() - GROUPS.keys():
            get_ready(load(name, group))


def get_ready(command: click.Command) -> None:
    """Let click do for a command what it does at the first use."""
    command.make_parser(click.Context(command))
    if isinstance(command, Lean):
        command.get_ready()
