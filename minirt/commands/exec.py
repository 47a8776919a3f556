"""``minirt exec``."""

from __future__ import annotations

import os

import click

from minirt.commands.each import check_input
from minirt.commands.lean import Lean
from minirt.container import exec, lifecycle
from minirt.container.exec import Request
from minirt.container.flags import environment
from minirt.errors import CommandNotRunnable

SETTINGS = {"allow_interspersed_args": False}


@click.command("exec", cls=Lean, context_settings=SETTINGS)
@click.option("-d", "--detach", is_flag=True, help="Leave it running.")
@click.option("-i", "--interactive", is_flag=True, help="Connect standard input.")
@click.option("-t", "--tty", is_flag=True, help="Give it a terminal.")
@click.option("-e", "--env", multiple=True, metavar="NAME=VALUE", help="A variable more.")
@click.option("--env-file", multiple=True, metavar="FILE", help="A file of variables.")
@click.option("-u", "--user", default="", metavar="USER", help="Who runs it: USER[:GROUP].")
@click.option("-w", "--workdir", default="", metavar="PATH", help="Where it starts.")
@click.option("--privileged", is_flag=True, help="With all capabilities, without seccomp.")
@click.argument("container")
@click.argument("command", nargs=-1, required=True, type=click.UNPROCESSED)
def command(
    detach: bool,
    interactive: bool,
    tty: bool,
    env: tuple[str, ...],
    env_file: tuple[str, ...],
    user: str,
    workdir: str,
    privileged: bool,
    container: str,
    command: tuple[str, ...],
) -> int:
    """Run COMMAND in a container that runs.

    The exit code is that of COMMAND; 126 if it can't be executed, 127 if it isn't there.
    """
    if workdir and not workdir.startswith("/"):
        raise CommandNotRunnable(f"Cannot start in {workdir}", "--workdir needs an absolute path")
    check_input(tty=tty, stdin=interactive and not detach)
    one = lifecycle.find_running(container)
    asked = Request(
        args=list(command),
        env=environment.variables(env_file, env, os.environ),
        user=user,
        working_dir=workdir,
        tty=tty,
        interactive=interactive,
        detach=detach,
        privileged=privileged,
    )
    return exec.run(one, asked)
