"""``minirt run``: exit codes, and that nothing is left of a run that could not start."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from integration.conftest import Minirt
from integration.sandbox import shell
from integration.traces import Ground, cgroups, held_locks

pytestmark = pytest.mark.core

QUIET = ("run", "--rm", "--net", "none")


@pytest.mark.parametrize(
    ("command", "code"),
    [
        ("true", 0),
        ("exit 7", 7),
        ("exit 255", 255),
        ("sleep 9 & kill -TERM $!; wait $!", 143),
        # PID 1 cannot kill itself by a signal with a default action; its child's end is told.
        ("sh -c 'kill -KILL $$'; exit $?", 137),
    ],
)
def test_the_exit_code_is_that_of_the_command(
    minirt: Minirt, image: str, command: str, code: int
) -> None:
    done = minirt(*QUIET, image, "sh", "-c", command, code=code)
    assert "minirt" not in done.stderr


@pytest.mark.parametrize(
    ("command", "code", "why"),
    [
        (("no-such-command",), 127, "no-such-command"),
        (("/bin/no-such-command",), 127, "/bin/no-such-command"),
        (("/etc",), 126, "/etc"),
        (("/etc/passwd",), 126, "/etc/passwd"),
    ],
)
def test_a_command_that_cannot_run_is_named(
    minirt: Minirt, image: str, command: tuple[str, ...], code: int, why: str
) -> None:
    said = minirt(*QUIET, image, *command, code=code).stderr
    assert said.startswith("minirt: ")
    assert why in said
    assert said.count("\n") == 1


# What the parser of flags refuses is tested in tests/test_options.py.
@pytest.mark.parametrize(
    ("words", "why"),
    [
        (("no-such-image", "true"), "no-such-image"),
        (("--no-such-flag", "IMAGE", "true"), "--no-such-flag"),
        (("-v", "/no/such/folder:/x", "IMAGE", "true"), "/no/such/folder"),
        (("-v", "relative/folder:/x", "IMAGE", "true"), "relative/folder"),
        (("-u", "nobody-here", "IMAGE", "true"), "nobody-here"),
        (("-u", "root:no-such-group", "IMAGE", "true"), "no-such-group"),
        (("--net", "no-such-net", "IMAGE", "true"), "no-such-net"),
        (("--net", "container:no-such", "IMAGE", "true"), "no-such"),
        (("--name", "../x", "IMAGE", "true"), "../x"),
        (("--name", "n" * 300, "IMAGE", "true"), "nnnn"),
        (("-w", "/etc/passwd/x", "IMAGE", "true"), "/etc/passwd/x"),
        (("-m", "1k", "IMAGE", "true"), "1k"),
        (("--cap-add", "FLY", "IMAGE", "true"), "FLY"),
        (("--sysctl", "kernel.panic=1", "IMAGE", "true"), "kernel.panic"),
        (("--env-file", "/no/such/file", "IMAGE", "true"), "/no/such/file"),
        (("--ip", "172.17.0.5", "IMAGE", "true"), "172.17.0.5"),
        (("--hostname", "h" * 65, "IMAGE", "true"), "hhhh"),
    ],
)
def test_what_minirt_cannot_do_ends_with_125_and_leaves_nothing(
    minirt: Minirt, image: str, ground: Ground, words: tuple[str, ...], why: str
) -> None:
    given = [image if word == "IMAGE" else word for word in words]
    named = [] if "--name" in words else ["--name", "one"]
    said = minirt("run", *named, *given, code=125).stderr
    assert said.startswith("minirt: ")
    assert why in said
    assert said.count("\n") == 1, said
    assert nothing_of_containers(ground)


def test_a_run_that_cannot_start_leaves_no_record_name_address_port_or_group(
    minirt: Minirt, image: str, ground: Ground
) -> None:
    minirt("network", "create", "net1")
    words = ("run", "--name", "one", "--net", "net1", "-p", "8080:80", "-v", "/data")
    minirt(*words, image, "no-such-command", code=127)
    minirt(*words, "-m", "16m", "--entrypoint", "/etc", image, code=126)
    assert nothing_of_containers(ground)
    assert minirt("ps", "-aq").stdout == ""
    assert minirt("volume", "ls", "-q").stdout == ""
    (network,) = json.loads(minirt("network", "inspect", "net1").stdout)
    assert network["Containers"] == {}
    assert "8080" not in shell("nft", "list", "ruleset").stdout
    assert "8080" not in shell("ss", "-ltnH").stdout
    minirt(*words, "--rm", image, "true")


def test_what_fails_in_its_very_execve_gives_all_back_at_once(
    minirt: Minirt, image: str, ground: Ground, tmp_path: Path
) -> None:
    """Its monitor holds everything by then."""
    bad = tmp_path / "bad"
    bad.write_bytes(b"\x7fELF, and no more")
    bad.chmod(0o755)
    words = ("run", "--name", "one", "--net", "net1", "-p", "8080:80", "--ip", "10.99.0.9")
    minirt("network", "create", "--subnet", "10.99.0.0/24", "net1")
    for _ in range(5):
        said = minirt(*words, "-v", f"{bad}:/bad", image, "/bad", code=126).stderr
        assert "/bad" in said and said.count("\n") == 1
        assert nothing_of_containers(ground)
    minirt(*words, "--rm", image, "true")


def test_a_name_in_use_is_refused_and_its_owner_unharmed(
    minirt: Minirt, image: str, ground: Ground
) -> None:
    minirt("run", "-d", "--name", "one", "--net", "none", image, "sleep", "100")
    said = minirt("run", "--name", "one", image, "true", code=125).stderr
    assert '"one" is already in use' in said
    assert minirt("ps", "--format", "{{.Names}}").stdout == "one\n"
    assert len(list((ground.root / "containers").iterdir())) == 1


def test_a_port_in_use_is_refused(minirt: Minirt, image: str, ground: Ground) -> None:
    minirt("run", "-d", "--name", "one", "-p", "8080:80", image, "sleep", "100")
    said = minirt("run", "--name", "two", "-p", "8080:80", image, "true", code=125).stderr
    assert "8080" in said
    assert "one" in said
    assert minirt("ps", "-a", "--format", "{{.Names}}").stdout == "one\n"


def test_the_id_file_is_new_and_kept(minirt: Minirt, image: str, tmp_path: Path) -> None:
    file = tmp_path / "id"
    made = minirt("run", "-d", "--cidfile", file, "--net", "none", image, "sleep", "100").stdout
    assert file.read_text() == made.strip()
    assert "id" in minirt("run", "--cidfile", file, image, "true", code=125).stderr
    assert minirt("ps", "-aq", "--no-trunc").stdout == made


def nothing_of_containers(ground: Ground) -> bool:
    """Say whether no file, group or lock of any container is there."""
    folders = [ground.root / "containers", ground.root / "names", ground.run / "containers"]
    files = [one for folder in folders if folder.exists() for one in folder.iterdir()]
    groups = [one for one in cgroups(ground) if Path(one).name != "monitors"]
    assert not files, files
    assert not groups, groups
    assert not held_locks(ground), held_locks(ground)
    return True
