"""``minirt info``."""

from __future__ import annotations

import click

from minirt.commands.inspected import check_template
from minirt.container.amounts import binary
from minirt.container.machine import info


@click.command("info")
@click.option("-f", "--format", "form", default="", help="json, or a Go template.")
def command(form: str) -> None:
    """Show this machine as minirt sees it."""
    check_template(form)
    facts = info()
    if form:
        from minirt.container.templates import render

        click.echo(render("{{json .}}" if form == "json" else form, facts))
        return
    for label, value in (
        ("Containers", facts["Containers"]),
        (" Running", facts["ContainersRunning"]),
        (" Paused", facts["ContainersPaused"]),
        (" Stopped", facts["ContainersStopped"]),
        ("Images", facts["Images"]),
        ("Version", facts["ServerVersion"]),
        ("Storage", ", ".join(facts["FileSystems"])),
        ("Runtimes", " ".join(facts["Runtimes"])),
        ("Cgroup driver", facts["CgroupDriver"]),
        ("Cgroup version", facts["CgroupVersion"]),
        ("Cgroup controllers", " ".join(facts["CgroupControllers"])),
        ("Security options", " ".join(facts["SecurityOptions"])),
        ("IPv4 forwarding", "on" if facts["IPv4Forwarding"] else "off"),
        ("Kernel", facts["KernelVersion"]),
        ("Operating system", facts["OperatingSystem"]),
        ("Architecture", facts["Architecture"]),
        ("CPUs", facts["NCPU"]),
        ("Total memory", binary(facts["MemTotal"])),
        ("Name", facts["Name"]),
        ("Root directory", facts["DockerRootDir"]),
        ("Run directory", facts["RunRootDir"]),
    ):
        click.echo(f"{label}: {value}")
    for warning in facts["Warnings"] or ():
        click.echo(warning, err=True)
