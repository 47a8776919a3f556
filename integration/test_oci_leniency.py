"""What runc or crun takes, and minirt-oci takes for the sake of their callers."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from integration import oci
from integration.oci import RUNTIMES, Oci, each_runtime
from integration.sandbox import shell
from integration.traces import Ground

MAPPINGS = [
    {"containerID": 0, "hostID": 100000, "size": 1},
    {"containerID": 1, "hostID": 200000, "size": 1000},
]


@pytest.fixture
def one(ground: Ground, rootfs: Path, runtime: str) -> Oci:
    made = oci.make(ground.root / "oci", rootfs)
    made.program = RUNTIMES[runtime]
    made.config["ociVersion"] = "1.0.2"  # Debian 12's crun knows no later one
    return made


def run(one: Oci, *args: str, code: int = 0) -> tuple[str, str]:
    """Return what a command prints in a container of its own, and what the runtime says."""
    one.write(*args)
    bundle = Path("/mnt")  # with crun the root inside must find the way to it
    shell("mount", "--bind", one.bundle, bundle)
    try:
        done = one("run", "--bundle", bundle, "a", code=code, input="")
    finally:
        shell("umount", bundle)
    return done.stdout, done.stderr


# ---- capabilities ------------------------------------------------------------------------------


@each_runtime()
def test_an_unknown_capability_is_left_out(one: Oci) -> None:
    for kind in ("bounding", "effective", "permitted"):
        one.process["capabilities"][kind] = ["CAP_CHOWN", "CAP_OF_TOMORROW"]
    shown, _said = run(one, "grep", "CapBnd", "/proc/self/status")
    assert int(shown.split()[1], 16) == 1


@each_runtime("runc")
def test_a_warning_names_it(one: Oci) -> None:
    log = one.top / "log"
    one.process["capabilities"]["bounding"] = ["CAP_Z", "CAP_CHOWN", "CAP_A"]
    one.write("true")
    one("--log", log, "--log-format", "json", "run", "--bundle", one.bundle, "a", input="")
    (line,) = (json.loads(line) for line in log.read_text().splitlines())
    assert line["level"] == "warning"
    assert line["msg"] == "ignoring unknown or unavailable capabilities: [CAP_A CAP_Z]"


# ---- /proc -------------------------------------------------------------------------------------


def bind_on_proc(one: Oci, source: str) -> None:
    one.config["mounts"] = [each for each in one.config["mounts"] if each["type"] != "proc"]
    bind = {
        "destination": "/proc",
        "type": "bind",
        "source": source,
        "options": ["rbind", "nosuid"],
    }
    one.config["mounts"].insert(0, bind)


@each_runtime()
@pytest.mark.parametrize("shared", [True, False])
def test_the_proc_of_the_host_may_be_that_of_the_container(one: Oci, shared: bool) -> None:
    """So podman and Docker mount it where a user namespace may not mount one (--pid=host)."""
    if shared:
        one.share("pid")
    bind_on_proc(one, "/proc")
    shown, _said = run(one, "sh", "-c", "cat /proc/1/comm; cat /proc/keys; ls -A /proc/acpi")
    assert shown == Path("/proc/1/comm").read_text(), "and secrets are hidden there, too"


@each_runtime("runc")
def test_what_is_no_proc_may_not_cover_it(one: Oci) -> None:
    bind_on_proc(one, "/tmp")
    _shown, said = run(one, "true", code=1)
    assert "/proc" in said


@pytest.mark.parametrize("runtime", ["minirt-oci"])
def test_a_part_of_proc_may_not_cover_it(one: Oci) -> None:
    """With crun it may, and what is masked is then not hidden; runc 1.1 warns."""
    bind_on_proc(one, "/proc/sys")
    assert "nothing may cover /proc" in run(one, "true", code=1)[1]


# ---- limits ------------------------------------------------------------------------------------


@each_runtime()
def test_a_limit_that_can_not_be_had_is_an_error_of_create(one: Oci) -> None:
    """Nobody may have more descriptors than fs.nr_open."""
    one.process["rlimits"] = [{"type": "RLIMIT_NOFILE", "soft": 10, "hard": 1 << 40}]
    one.write("true")
    assert one("create", "--bundle", one.bundle, "a", code=1).stderr
    assert one("state", "a", code=None).returncode != 0


# ---- what podman gives -------------------------------------------------------------------------


@each_runtime()
def test_the_mode_of_a_device_may_say_that_it_is_one(one: Oci) -> None:
    """So does podman with --device and --privileged: the mode is that of stat(2)."""
    device = {"path": "/dev/x", "type": "c", "major": 1, "minor": 5, "fileMode": 0o20640}
    one.linux["devices"] = [device]
    shown, _said = run(one, "stat", "-c", "%F %a", "/dev/x")
    assert shown == "character special file 640\n"


@each_runtime()
def test_an_empty_option_of_a_mount_is_none(one: Oci) -> None:
    mount = {"destination": "/t", "type": "tmpfs", "source": "tmpfs", "options": ["", "nosuid"]}
    one.config["mounts"].append(mount)
    shown, _said = run(one, "grep", " /t ", "/proc/mounts")
    assert "nosuid" in shown


@each_runtime()
def test_an_overlay_may_have_long_names(one: Oci, tmp_path: Path) -> None:
    """So podman shows an image with --mount type=image."""
    layers = [tmp_path / ("n" * 120) / name for name in ("upper", "lower:and")]
    for number, layer in enumerate(layers):
        layer.mkdir(parents=True)
        (layer / f"in-{number}").touch()
        (layer / "in-both").write_text(f"{number}\n")
    lower = ":".join(str(layer).replace(":", "\\:") for layer in layers)
    options = [f"lowerdir={lower}", "ro"]
    mount = {"destination": "/t", "type": "overlay", "source": "overlay", "options": options}
    one.config["mounts"].append(mount)
    shown, _said = run(one, "sh", "-c", "ls /t; cat /t/in-both")
    assert shown.split() == ["in-0", "in-1", "in-both", "0"]


# ---- idmapped mounts ---------------------------------------------------------------------------


@pytest.fixture
def source(tmp_path: Path) -> Iterator[Path]:
    """Return a folder with files of the users 0, 1, 5 and 10."""
    folder = tmp_path / "source"
    folder.mkdir()
    shell("mount", "-t", "tmpfs", "-o", "mode=777", "tmpfs", folder)
    for number in (0, 1, 5, 10):
        (folder / f"{number:02}").touch()
        shell("chown", f"{number}:{number}", folder / f"{number:02}")
    yield folder
    shell("umount", folder)


@each_runtime("crun")
@pytest.mark.parametrize(
    ("option", "own_ids", "owners"),
    [
        ("idmap=uids=0-7-3;gids=0-8-2", False, "7:8 8:9 -:- -:-"),
        ("ridmap=gids=0-8-2;uids=0-7-3", False, "7:8 8:9 -:- -:-"),
        ("idmap=uids=0-100000-1#5-200000-1;gids=0-100000-1", True, "0:0 -:- 1:- -:-"),
        ("idmap=uids=@0-5-1;gids=@0-0-1", True, "5:0 -:- -:- -:-"),
        ("idmap=uids=@5-0-1;gids=@5-1-10", True, "-:- -:- 0:1 -:6"),
    ],
)
def test_an_idmapped_mount_may_have_its_mappings_in_its_option(
    one: Oci, source: Path, option: str, own_ids: bool, owners: str
) -> None:
    mounts: list[dict[str, Any]] = one.config["mounts"]
    bind = {"destination": "/x", "type": "bind", "source": str(source), "options": ["bind", option]}
    one.config["mounts"] = [each for each in mounts if each["type"] not in ("mqueue", "cgroup")]
    one.config["mounts"].append(bind)
    if own_ids:
        one.linux["namespaces"].append({"type": "user"})
        one.linux.update(uidMappings=MAPPINGS, gidMappings=MAPPINGS)
        shell("chown", "100000:100000", one.rootfs)
    shown, _said = run(one, "stat", "-c", "%u:%g", *(f"/x/{n:02}" for n in (0, 1, 5, 10)))
    assert shown.split() == owners.replace("-", "65534").split()
