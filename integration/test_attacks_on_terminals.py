"""Names, words and errors that command the operator's terminal: an image chooses them."""

from __future__ import annotations

from pathlib import Path

import pytest

from integration.archives import folder, member, oci_files, tar, written
from integration.conftest import Minirt
from integration.containers import pid_of
from integration.typist import Typist, at_terminal, typing

ERASE = "\x1b[2J"
SPELLED = r"\x1b[2J"
BY_PS = "?[2J"  # how ps(1) prints it, and with it "top"
SLEEPER = ("sh", "-c", f"sleep 1000; : {ERASE}")


def all_said(person: Typist) -> str:
    person.wait()
    return person.rest()


@pytest.fixture
def hostile(minirt: Minirt, image: str, rootfs: Path, tmp_path: Path) -> str:
    """Return an image whose command, label, author and user erase the screen."""
    minirt("run", "-d", "--name", "one", "--net", "none", image, *SLEEPER)
    layer = tar(folder("./"), member("x"))
    config = {"Labels": {"what": ERASE}, "User": ERASE, "Cmd": list(SLEEPER)}
    files = oci_files([layer], config=config, author=ERASE)
    minirt("image", "load", "-i", written(tmp_path / "image.tar", files))
    return "made:1"


LISTS = {
    "command": ("ps", "--no-trunc"),
    "template": ("ps", "--format", "{{.Command}}", "--no-trunc"),
    "table": ("ps", "--format", "table {{.ID}}\t{{.Command}}", "--no-trunc"),
    "processes": ("top", "one"),
    "label": ("image", "inspect", "-f", "{{.Config.Labels.what}}", "made:1"),
    "inspect": ("inspect", "-f", "{{.Args}}", "one"),
}
ERRORS = {
    "user": ("run", "--rm", "--net", "none", "made:1"),
    "program": ("exec", "one", ERASE),
    "folder": ("exec", "-w", f"/{ERASE}", "one", "true"),
    "container": ("logs", ERASE),
    "file": ("cp", f"one:/{ERASE}", "/tmp"),
}


def test_what_a_container_calls_itself_is_spelled_out(minirt: Minirt, hostile: str) -> None:
    pid = pid_of(minirt, "one")
    with typing("cat", f"/proc/{pid}/cmdline") as control:
        assert ERASE in all_said(control)
    assert ERASE in minirt("image", "inspect", "-f", "{{.Config.Labels.what}}", hostile).stdout
    for name, words in LISTS.items():
        with at_terminal(*words) as person:
            said = all_said(person)
            spelled = BY_PS if words[0] == "top" else SPELLED
            assert spelled in said and "\x1b" not in said, name


def test_an_error_spells_out_what_it_is_about(hostile: str) -> None:
    with typing("sh", "-c", '"$0"', ERASE) as control:  # A shell's complaint.
        assert ERASE in all_said(control)
    for name, words in ERRORS.items():
        with at_terminal(*words) as person:
            said = all_said(person)
            assert SPELLED in said and "\x1b" not in said, name
            assert person.wait() != 0, name
