"""Names, words and errors that command the operator's terminal: an image chooses them."""

from __future__ import annotations

import json
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


# A C1 control, a mark that turns the direction of reading, and a tag beyond U+FFFF: JSON allows all
# of them as they are.
BEYOND_ASCII = "\x9b2J\u202ex\U000e0041"


def all_said(person: Typist) -> str:
    person.wait()
    return person.rest()


def unprintable(text: str) -> set[str]:
    return {c for c in text if not c.isprintable() and c not in "\r\n\t"}


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


INSPECTED = {
    "container": ("inspect", "one"),
    "container, short": ("inspect", "-f", "json", "one"),
    "container, template": ("inspect", "-f", "{{json .Config.Labels}}", "one"),
    "image": ("image", "inspect", "made:1"),
    "image, short": ("image", "inspect", "-f", "json", "made:1"),
    "network": ("network", "inspect", "net1"),
    "network, short": ("network", "inspect", "-f", "json", "net1"),
    "network, template": ("network", "inspect", "-f", "{{json .Labels}}", "net1"),
    "volume": ("volume", "inspect", "vol1"),
    "containers": ("ps", "-a", "--no-trunc", "--format", "json"),
    "containers, template": ("ps", "-a", "--format", "{{json .Labels}}"),
    "networks": ("network", "ls", "--format", "json", "-f", "name=net1"),
    "volumes": ("volume", "ls", "--format", "json"),
}
SPELLED_IN_LISTS = {
    "network, text": ("network", "inspect", "-f", "{{.Labels}}", "net1"),
    "containers": ("ps", "-a", "--no-trunc", "--format", "{{.Labels}} {{.Command}}"),
    "networks": ("network", "ls", "--format", "table {{.Labels}}"),
    "volumes": ("volume", "ls", "--format", "{{.Labels}}"),
    "story": ("--explain", "run", "--rm", "--net", "none", "made:1"),
}


def test_labels_reach_no_terminal_as_controls_and_json_stays_json(
    minirt: Minirt, tmp_path: Path, image: str
) -> None:
    label = f"what={BEYOND_ASCII}"
    layer = tar(folder("./"), member("x"))
    config = {"Labels": {"what": BEYOND_ASCII}, "Cmd": ["/x"], "WorkingDir": f"/{BEYOND_ASCII}"}
    config |= {"Volumes": {f"/{BEYOND_ASCII}": {}}}
    files = oci_files([layer], config=config)
    minirt("image", "load", "-i", written(tmp_path / "image.tar", files))
    minirt("create", "--name", "one", "--net", "none", "-l", label, image, BEYOND_ASCII)
    minirt("network", "create", "--label", label, "net1")
    minirt("volume", "create", "--label", label, "vol1")
    with typing("printf", "%s", BEYOND_ASCII) as control:
        assert unprintable(all_said(control)) == set("\x9b\u202e\U000e0041")
    for name, words in INSPECTED.items():
        with at_terminal(*words) as person:
            said = all_said(person)
        assert not unprintable(said), name
        found = json.loads(said)
        assert BEYOND_ASCII in json.dumps(found, ensure_ascii=False), name
        is_template = any("{{" in word for word in words)
        assert isinstance(found, list) == ("inspect" in words and not is_template), name
    for name, words in SPELLED_IN_LISTS.items():
        with at_terminal(*words) as person:
            said = all_said(person)
        assert not unprintable(said), name
        assert r"\x9b2J\u202ex\U000e0041" in said, name


def test_inspect_prints_each_network_in_one_array(minirt: Minirt) -> None:
    minirt("network", "create", "net1")
    done = minirt("network", "inspect", "-f", "json", "net1", "none", "nosuch", code=1)
    assert [one["Name"] for one in json.loads(done.stdout)] == ["net1", "none"]
    assert done.stdout.count("\n") == 1
    assert "network nosuch not found" in done.stderr
