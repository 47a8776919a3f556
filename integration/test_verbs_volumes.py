"""Volumes: filled from the image, shared, kept, and removed."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest

from integration.conftest import Minirt
from integration.sandbox import shell
from integration.traces import Ground

pytestmark = pytest.mark.core


def test_a_named_volume_outlives_its_containers(minirt: Minirt, image: str) -> None:
    run = ("run", "--rm", "--net", "none", "-v", "data:/data")
    minirt(*run, image, "sh", "-c", "echo kept > /data/file")
    assert minirt(*run, image, "cat", "/data/file").stdout == "kept\n"
    (volume,) = json.loads(minirt("volume", "inspect", "data").stdout)
    assert (Path(volume["Mountpoint"]) / "file").read_text() == "kept\n"
    assert minirt("volume", "ls", "-q").stdout == "data\n"
    minirt("volume", "rm", "data")
    assert not Path(volume["Mountpoint"]).exists()


def test_a_new_volume_has_what_the_image_has_at_its_place(minirt: Minirt, image: str) -> None:
    run = ("run", "--rm", "--net", "none")
    look = ("stat", "-c", "%n %a %u:%g %F %s", "/bin", "/bin/sh", "/bin/busybox")
    inside = minirt(*run, image, *look).stdout
    assert minirt(*run, "-v", "data:/bin", image, *look).stdout == inside
    assert "sh" in minirt(*run, "-v", "data:/x", image, "ls", "/x").stdout.split()
    said = minirt(*run, "-v", "none:/bin:nocopy", image, "ls", code=127)
    assert "ls" in said.stderr


def test_a_volume_that_is_not_empty_stays_as_it_is(minirt: Minirt, image: str) -> None:
    run = ("run", "--rm", "--net", "none")
    minirt(*run, "-v", "data:/x", image, "touch", "/x/mine")
    assert minirt(*run, "-v", "data:/home", image, "ls", "/home").stdout == "mine\n"


def test_two_containers_share_a_volume_and_one_may_only_read(minirt: Minirt, image: str) -> None:
    words = ("-v", "data:/data", image, "sh", "-c", "echo hello > /data/x; sleep 1000")
    minirt("run", "-d", "--name", "writer", "--net", "none", *words)
    reader = ("run", "--rm", "--net", "none", "--mount", "src=data,dst=/data,readonly", image)
    minirt("exec", "writer", "sh", "-c", "until [ -s /data/x ]; do sleep 0.1; done")
    assert minirt(*reader, "cat", "/data/x").stdout == "hello\n"
    assert "Read-only" in minirt(*reader, "touch", "/data/y", code=1).stderr
    said = minirt("volume", "rm", "data", code=1).stderr
    assert "volume is in use" in said
    assert "minirt rm writer" in said


def test_nameless_volumes_go_with_their_container_if_that_is_asked_for(
    minirt: Minirt, image: str
) -> None:
    minirt("run", "--rm", "--net", "none", "-v", "/a", image, "touch", "/a/file")
    assert minirt("volume", "ls", "-q").stdout == ""
    minirt("create", "--name", "one", "--net", "none", "-v", "/a", "-v", "data:/b", image, "true")
    assert minirt("volume", "ls", "-q").stdout.count("\n") == 2
    minirt("rm", "-v", "one")
    assert minirt("volume", "ls", "-q").stdout == "data\n"
    minirt("create", "--name", "two", "--net", "none", "-v", "/a", image, "true")
    minirt("rm", "two")
    assert minirt("volume", "ls", "-q").stdout.count("\n") == 2


def test_prune_takes_nameless_volumes_and_with_a_all_that_nobody_has(
    minirt: Minirt, image: str
) -> None:
    minirt("create", "--name", "one", "--net", "none", "-v", "used:/a", image, "true")
    minirt("create", "--name", "two", "--net", "none", "-v", "/a", image, "true")
    minirt("rm", "two")
    minirt("volume", "create", "--label", "tier=one", "free")
    assert minirt("volume", "ls", "-q", "-f", "label=tier").stdout == "free\n"
    assert "Are you sure" in minirt("volume", "prune", input="\n").stdout
    assert minirt("volume", "ls", "-q").stdout.count("\n") == 3
    assert "Deleted Volumes:" in minirt("volume", "prune", "-f").stdout
    assert minirt("volume", "ls", "-q").stdout == "free\nused\n"
    minirt("volume", "prune", "-af")
    assert minirt("volume", "ls", "-q").stdout == "used\n"


def test_bind_mounts_show_the_hosts_folder(minirt: Minirt, image: str, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("from outside\n")
    run = ("run", "--rm", "--net", "none")
    assert minirt(*run, "-v", f"{tmp_path}:/x", image, "cat", "/x/file").stdout == "from outside\n"
    one = (*run, "-v", f"{tmp_path}/file:/etc/one:ro", image)
    assert minirt(*one, "cat", "/etc/one").stdout == "from outside\n"
    assert "Read-only" in minirt(*one, "sh", "-c", "echo >/etc/one", code=1).stderr
    minirt(*run, "--mount", f"type=bind,src={tmp_path},dst=/x", image, "touch", "/x/new")
    assert (tmp_path / "new").exists()
    shown = minirt(*run, "--tmpfs", "/x:size=1m,mode=700", image, "grep", " /x ", "/proc/mounts")
    assert "tmpfs" in shown.stdout
    assert "size=1024k" in shown.stdout


def test_hundreds_of_volumes_are_written_to_the_disk_once(
    minirt: Minirt, image: str, ground: Ground
) -> None:
    """Volume by volume it took three fsync(2) for each, and more than 30 s for 3,000."""
    flags = [word for number in range(300) for word in ("-v", f"/v/{number}")]
    counted = f"""
import os
from minirt import cli
calls, plain = [], os.fsync
os.fsync = lambda fd: calls.append(fd) or plain(fd)
code = cli.run(["run", "--net", "none", "--name", "one", *{flags!r}, {image!r}, "ls", "/v"])
print(code, len(calls))
"""
    done = shell(sys.executable, "-c", counted, seconds=120).stdout.split()
    assert done[-2] == "0" and int(done[-1]) < 30
    assert len(done) == 302
    assert len(list((ground.root / "volumes").iterdir())) == 300
    minirt("rm", "-v", "one", seconds=120)
    assert list((ground.root / "volumes").iterdir()) == []
