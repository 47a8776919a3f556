"""What a newcomer does first: set it up, see the demo, start a machine for it."""

from __future__ import annotations

import os
import re
import subprocess
import time
from pathlib import Path

import pytest

from integration.sandbox import PATIENCE, REPOSITORY, minirt_words, needs_tool, shell
from integration.traces import Ground

SETUP = REPOSITORY / "setup.sh"


def is_set_up() -> bool:
    """Say whether setup.sh has nothing to do: "make test" sees to it, other roads need not."""
    stamp = REPOSITORY / ".venv" / "minirt-test"
    wanted = shell("cksum", input=(REPOSITORY / "pyproject.toml").read_text()).stdout
    return stamp.exists() and stamp.read_text() == wanted


@pytest.mark.usefixtures("minirt")
def test_the_demo_shows_a_ping_by_name_and_leaves_nothing_but_the_image(
    ground: Ground, minirt_on_path: None
) -> None:
    shown = shell(REPOSITORY / "demo.sh", seconds=60).stdout
    assert "$ minirt run --rm --net mynet busybox ping -c1 web\nPING web (172." in shown
    assert "1 packets transmitted, 1 packets received" in shown
    assert "<h1>It works.</h1>" in shown
    assert '"Name": "mynet"' in shown
    assert shell(*minirt_words("ps", "--all", "--quiet")).stdout == ""
    assert shell(*minirt_words("network", "ls", "--quiet", "--filter", "name=mynet")).stdout == ""


@pytest.mark.usefixtures("minirt")
def test_the_demo_takes_no_name_from_anybody(minirt_on_path: None) -> None:
    shell(*minirt_words("network", "create", "mynet"))
    assert "there is a network called mynet" in shell(REPOSITORY / "demo.sh", code=1).stderr
    shell(*minirt_words("network", "inspect", "mynet"))


@pytest.fixture
def minirt_on_path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Let scripts find the minirt that is tested, whichever environment pytest runs in."""
    script = tmp_path / "minirt"
    script.write_text(f'#!/bin/sh\nexec {" ".join(minirt_words())} "$@"\n')
    script.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")


def readme_session() -> list[tuple[str, str]]:
    """Return each command of the README's first session, with the output shown below it."""
    text = (REPOSITORY / "README.md").read_text()
    section = text.split("\n## A first session\n")[1].split("\n    $ minirt --explain")[0]
    lines = [line[4:] for line in section.splitlines() if line.startswith("    ") or not line]
    return re.findall(r"^\$ (.+)\n((?:(?!\$ ).*\n)*)", "\n".join(lines) + "\n", re.MULTILINE)


def without_chance(text: str) -> str:
    """Replace ids, numbers, ages and widths of columns, which differ between two sessions."""
    text = re.sub(r"\b[0-9a-f]{12}(?:[0-9a-f]{52})?\b", "ID", text.strip())
    text = re.sub(r"Less than a second|About a minute|\d+ \w+(?= ago|  )", "AGE", text)
    return re.sub(r" {2,}", "  ", re.sub(r"[0-9][0-9.]*(?= KiB| names| ms|/)", "N", text))


@pytest.mark.usefixtures("minirt", "minirt_on_path")
def test_the_session_of_the_readme_prints_what_the_readme_shows(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("rootfs-tools").symlink_to(REPOSITORY / "rootfs-tools")
    session = readme_session()
    assert len(session) == 10
    for command, shown in session:
        printed = shell("bash", "-c", command).stdout
        assert without_chance(printed) == without_chance(shown), command


@pytest.mark.skipif(not is_set_up(), reason="setup.sh has not been run")
def test_setting_up_again_does_nothing_and_is_quick() -> None:
    start = time.monotonic()
    assert shell(SETUP, "test").stdout == ""
    assert time.monotonic() - start < 1 * PATIENCE


def test_the_set_up_script_can_say_what_it_would_install() -> None:
    names = shell(SETUP, "list", "test").stdout.split()
    assert {"libcap-dev", "busybox-static", "nftables"} <= set(names)
    assert len(names) == len(set(names))


def test_an_old_python_is_refused(tmp_path: Path) -> None:
    old = tmp_path / "python3"
    old.write_text("#!/bin/sh\nexit 1\n")
    old.chmod(0o755)
    tried = subprocess.run(
        [SETUP, "test"],
        env={**os.environ, "PYTHON": str(old)},
        capture_output=True,
        text=True,
        timeout=60 * PATIENCE,
        check=False,
    )
    assert tried.returncode == 1
    assert tried.stderr == f"setup.sh: {old} is no Python 3.11 or newer\n"


@needs_tool("vagrant")
def test_the_vagrantfile_is_valid() -> None:
    # Without "--ignore-provider" it would look for KVM or VirtualBox on this machine.
    said = shell("vagrant", "validate", "--ignore-provider", seconds=60).stdout
    assert "validated successfully" in said


def test_vagrant_sets_the_machine_up_as_make_does() -> None:
    assert "/vagrant/setup.sh" in (REPOSITORY / "Vagrantfile").read_text()
    assert "./setup.sh" in (REPOSITORY / "Makefile").read_text()
