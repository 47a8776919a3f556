"""``--volumes-from``, and mounts that travel between host and container."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path

import pytest

from integration.conftest import Minirt
from integration.sandbox import shell

QUIET = ("run", "--rm", "--net", "none")


def test_what_another_container_has_mounted(minirt: Minirt, image: str, tmp_path: Path) -> None:
    (tmp_path / "note").write_text("of the host")
    words = ("-v", "data:/data", "-v", f"{tmp_path}:/bound:ro", "-v", "/anonymous")
    minirt("run", "--name", "one", "--net", "none", *words, image, "sh", "-c",
           "echo 1 > /data/x; echo 2 > /anonymous/y")  # fmt: skip
    script = "cat /data/x /anonymous/y /bound/note; echo 3 > /data/x"
    shown = minirt(*QUIET, "--volumes-from", "one", image, "sh", "-c", script).stdout
    assert shown == "1\n2\nof the host"
    read_only = ("--volumes-from", "one:ro", image, "sh", "-c", "cat /data/x; echo 4 > /data/x")
    done = minirt(*QUIET, *read_only, code=1)
    assert done.stdout == "3\n"
    assert "Read-only" in done.stderr
    own = ("-v", f"{tmp_path}:/data", "--volumes-from", "one")
    assert minirt(*QUIET, *own, image, "ls", "/data").stdout == "note\n"
    minirt("create", "--name", "two", "--volumes-from", "one", image, "true")
    assert minirt("inspect", "-f", "{{.HostConfig.VolumesFrom}}", "two").stdout == "[one]\n"
    minirt("rm", "-v", "one")
    assert minirt("run", "--rm", "--volumes-from", "two", image, "cat", "/anonymous/y").stdout
    refused = minirt(*QUIET, "--volumes-from", "three", image, "true", code=125).stderr
    assert "No such container: three" in refused


@pytest.fixture
def place(tmp_path: Path) -> Iterator[Path]:
    """Make a mount that is private, with a folder to mount on."""
    top = tmp_path / "place"
    top.mkdir()
    shell("mount", "-t", "tmpfs", "none", top)
    shell("mount", "--make-private", top)
    (top / "sub").mkdir()
    yield top
    with contextlib.suppress(AssertionError):
        shell("umount", top / "sub")
    shell("umount", "-R", top)


@pytest.mark.parametrize("mode", ["rshared", "rslave", "rprivate"])
def test_mounts_travel_as_far_as_was_asked(
    minirt: Minirt, image: str, place: Path, mode: str
) -> None:
    shell("mount", "--make-shared", place)
    words = ["-d", "--name", "one", "--net", "none", "--cap-add", "SYS_ADMIN"]
    words += ["--security-opt", "seccomp=unconfined", "--security-opt", "apparmor=unconfined"]
    words += ["-v", f"{place}:/place:{mode}"]
    minirt("run", *words, image, "sleep", "1000")
    assert minirt("inspect", "-f", "{{(index .Mounts 0).Propagation}}", "one").stdout == f"{mode}\n"
    shell("mount", "-t", "tmpfs", "host", place / "sub")
    (place / "sub" / "from-host").touch()
    seen = minirt("exec", "one", "ls", "/place/sub").stdout
    assert seen == ("" if mode == "rprivate" else "from-host\n")
    shell("umount", place / "sub")
    script = "mount -t tmpfs inside /place/sub && touch /place/sub/from-inside"
    minirt("exec", "one", "sh", "-c", script)
    arrived = (place / "sub" / "from-inside").exists()
    assert arrived == (mode == "rshared")


def test_what_cannot_travel_is_refused_in_dockers_words(
    minirt: Minirt, image: str, place: Path
) -> None:
    words = (*QUIET, "-v", f"{place}/sub:/place:shared", image, "true")
    refused = minirt(*words, code=125).stderr
    assert f"is mounted on {place} but it is not a shared mount" in refused
    mount = f"type=bind,source={place},target=/place,bind-propagation=slave"
    refused = minirt(*QUIET, "--mount", mount, image, "true", code=125).stderr
    assert f"is mounted on {place} but it is not a shared or slave mount" in refused
    minirt(*QUIET, "-v", f"{place}:/place:z", image, "true")
