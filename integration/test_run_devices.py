"""``--device`` and ``--device-cgroup-rule``: by what can be opened inside."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from integration.conftest import Minirt

QUIET = ("run", "--rm", "--net", "none")


def _number() -> tuple[int, int] | None:
    """Find a device that needs no capability: which ones there are is the kernel's affair."""
    for name in ("fuse", "net/tun", "loop-control"):
        try:
            os.close(os.open(f"/dev/{name}", os.O_RDWR))
        except OSError:
            continue
        found = Path(f"/dev/{name}").stat().st_rdev
        return os.major(found), os.minor(found)
    return None


NUMBER = _number() or (0, 0)
pytestmark = pytest.mark.skipif(not _number(), reason="no device here that can be opened")


@pytest.fixture
def devices(tmp_path: Path) -> Iterator[Path]:
    """Make a folder with two devices that a container may not open by itself."""
    folder = tmp_path / "devices"
    (folder / "below").mkdir(parents=True)
    for path in (folder / "log", folder / "below" / "log"):
        os.mknod(path, 0o20640, os.makedev(*NUMBER))
    (folder / "file").touch()
    (folder / "link").symlink_to("log")
    yield folder


def opened(minirt: Minirt, image: str, *flags: object, path: str) -> str:
    script = f"exec 2>&1; exec 3< {path} && echo open"
    done = minirt(*QUIET, *flags, image, "sh", "-c", script, code=None)
    return "open" if done.stdout == "open\n" else done.stdout.strip()


def test_a_device_is_there_and_may_be_used(minirt: Minirt, image: str, devices: Path) -> None:
    log = devices / "log"
    assert opened(minirt, image, "--device", f"{log}:/dev/log0", path="/dev/log0") == "open"
    assert opened(minirt, image, "--device", f"{devices}/link:/dev/l", path="/dev/l") == "open"
    bound = opened(minirt, image, "-v", f"{log}:/dev/log0", path="/dev/log0")
    assert "Operation not permitted" in bound, "a node alone does not help"
    only_write = opened(minirt, image, "--device", f"{log}:/dev/log0:w", path="/dev/log0")
    assert "Operation not permitted" in only_write
    words = ("stat", "-c", "%F %t:%T %a", "/dev/log0")
    shown = minirt(*QUIET, "--device", f"{log}:/dev/log0", image, *words).stdout
    assert shown == f"character special file {NUMBER[0]:x}:{NUMBER[1]:x} 640\n"


def test_a_folder_stands_for_all_its_devices(minirt: Minirt, image: str, devices: Path) -> None:
    flags = ("--device", f"{devices}:/dev/all:r")
    shown = minirt(*QUIET, *flags, image, "find", "/dev/all", "-type", "c").stdout.split()
    assert sorted(shown) == ["/dev/all/below/log", "/dev/all/log"]
    assert opened(minirt, image, *flags, path="/dev/all/below/log") == "open"


def test_a_rule_opens_what_a_container_makes_itself(minirt: Minirt, image: str) -> None:
    script = f"mknod /tmp/log c {NUMBER[0]} {NUMBER[1]}; exec 2>&1; exec 3< /tmp/log && echo open"

    def result(*flags: str) -> str:
        return minirt(*QUIET, *flags, image, "sh", "-c", script, code=None).stdout

    assert result("--device-cgroup-rule", f"c {NUMBER[0]}:* rm") == "open\n"
    assert "Operation not permitted" in result()
    assert "Operation not permitted" in result("--device-cgroup-rule", "c 2:* rwm")


def test_what_is_no_device_is_refused_and_inspect_shows_the_rest(
    minirt: Minirt, image: str, devices: Path
) -> None:
    refused = minirt(*QUIET, "--device", f"{devices}/file", image, "true", code=125).stderr
    assert f'Cannot add the device "{devices}/file": not a device node' in refused
    refused = minirt(*QUIET, "--device", "/dev/not-there", image, "true", code=125).stderr
    assert "no such file or directory" in refused
    flags = ("--device", "/dev/null:/dev/nil:r", "--device-cgroup-rule", "c 9:* r")
    minirt("create", "--name", "one", *flags, image, "true")
    template = "{{json .HostConfig.Devices}} {{json .HostConfig.DeviceCgroupRules}}"
    assert minirt("inspect", "-f", template, "one").stdout == (
        '[{"PathOnHost":"/dev/null","PathInContainer":"/dev/nil","CgroupPermissions":"r"}]'
        ' ["c 9:* r"]\n'
    )


def test_a_device_is_never_made_through_a_symlink_of_the_image(
    minirt: Minirt, image: str, tmp_path: Path
) -> None:
    minirt("run", "--name", "one", "--net", "none", "--device", "/dev/null:/place/nil", image,
           "sh", "-c", "rm -r /place && ln -s /etc /place")  # fmt: skip
    assert "symlink" in minirt("start", "-a", "one", code=1).stderr
    assert not Path("/etc/nil").exists()
