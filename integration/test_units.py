"""The units of docs/systemd bring networks, containers and their ports back after a boot."""

from __future__ import annotations

import re
import shlex
import sys
from pathlib import Path

import pytest

from integration.conftest import Minirt
from integration.sandbox import REPOSITORY, needs_tool, shell
from integration.test_lifecycle_reboot import another_boot, cut_power
from integration.traces import Ground

UNITS = REPOSITORY / "docs" / "systemd"
INSTALLED = "/usr/local/bin/minirt"

pytestmark = pytest.mark.in_process


def commands(unit: str, key: str) -> list[list[str]]:
    """Return the words of a unit's commands, with the minirt that is tested."""
    name, _, instance = unit.partition("@")
    text = (UNITS / f"{name}{'@' if instance else ''}.service").read_text()
    lines = re.findall(rf"^{key}=(.+)$", text, re.MULTILINE)
    minirt = f"{sys.executable} -m minirt"
    return [shlex.split(one.replace(INSTALLED, minirt).replace("%i", instance)) for one in lines]


@needs_tool("systemd-analyze")
def test_systemd_finds_no_fault_in_them(tmp_path: Path) -> None:
    minirt = tmp_path / "minirt"
    minirt.write_text("#!/bin/sh\n")
    minirt.chmod(0o755)
    for one in UNITS.glob("*.service"):
        text = one.read_text()
        assert INSTALLED in text
        (tmp_path / one.name).write_text(text.replace(INSTALLED, str(minirt)))
    there = [tmp_path / "minirt-networks.service", tmp_path / "minirt@.service"]
    done = shell("systemd-analyze", "verify", *there)
    assert done.stdout + done.stderr == ""


def test_after_a_boot_they_bring_back_what_was_there(
    minirt: Minirt, image: str, ground: Ground
) -> None:
    minirt("network", "create", "--subnet", "10.77.0.0/24", "net1")
    words = ("run", "-d", "--net", "net1", "-p", "8080:80", "--name", "web", image)
    minirt(*words, "httpd", "-f", "-p", "80", "-h", "/www")
    cut_power(minirt, ground)
    with another_boot():
        for line in commands("minirt-networks", "ExecStart"):
            shell(*line)
        assert "10.77.0.1/24" in shell("ip", "-4", "address").stdout
        assert "10.77.0.0/24" in shell("nft", "list", "set", "inet", "minirt", "masq4").stdout
        assert shell("curl", "-s", "http://127.0.0.1:8080/", code=None).returncode == 7
        for line in commands("minirt@web", "ExecStart"):
            shell(*line)
        assert shell("curl", "-s", "http://127.0.0.1:8080/").stdout
        asking = ("run", "--rm", "--net", "net1", image, "wget", "-qO-", "http://web/")
        assert minirt(*asking).stdout
        for line in commands("minirt@web", "ExecStop"):
            shell(*line)
        assert minirt("ps", "-q").stdout == ""
        minirt("rm", "web")


def test_they_are_where_the_chapter_says() -> None:
    chapter = (REPOSITORY / "docs" / "networking.md").read_text()
    for one in UNITS.iterdir():
        assert f"systemd/{one.name}" in chapter
