"""``minirt info``."""

from __future__ import annotations

import click

from minirt.container.amounts import decimal
from minirt.container.machine import info


@click.command("info")
@click.option("-f", "--format", "form", default="", help="json, or a Go template.")
def command(form: str) -> None:
    """Show this machine as minirt sees it."""
    facts = info()
    if form:
        from minirt.container.templates import render

        click.echo(render("{{json .}}" if form == "json" else form, facts))
        return
    for label, value in (
        ("Containers", facts["Containers"]),
        (" Running", facts["ContainersRunning"]),
        (" Stopped", facts["ContainersStopped"]),
        ("Images", facts["Images"]),
        ("Version", facts["ServerVersion"]),
        ("Storage", ", ".join(facts["FileSystems"])),
        ("Cgroup version", facts["CgroupVersion"]),
        ("Cgroup controllers", " ".join(facts["CgroupControllers"])),
        ("Security options", " ".join(facts["SecurityOptions"])),
        ("IPv4 forwarding", "on" if facts["IPv4Forwarding"] else "off"),
        ("Kernel", facts["KernelVersion"]),
        ("Operating system", facts["OperatingSystem"]),
        ("Architecture", facts["Architecture"]),
        ("CPUs", facts["NCPU"]),
        ("Total memory", decimal(facts["MemTotal"])),
        ("Name", facts["Name"]),
        ("Root directory", facts["DockerRootDir"]),
        ("Run directory", facts["RunRootDir"]),
    ):
        click.echo(f"{label}: {value}")
