"""buildah, with minirt-oci as the runtime of its RUN instructions."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from integration import foreign, oci
from integration.firewalls import forget_rules
from integration.foreign import World
from integration.sandbox import needs_tool, shell
from integration.traces import Ground

pytestmark = [needs_tool("buildah"), pytest.mark.slow]


@pytest.fixture
def buildah(
    ground: Ground, rootfs: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[World]:
    monkeypatch.setenv("BUILDAH_ISOLATION", "oci")
    monkeypatch.setenv("BUILDAH_RUNTIME", str(oci.script(tmp_path)))
    settings = tmp_path / "containers.conf"  # Its own limits may be above those of the test.
    settings.write_text('[containers]\ndefault_ulimits = ["nofile=200:300", "nproc=2000:3000"]\n')
    monkeypatch.setenv("CONTAINERS_CONF_OVERRIDE", str(settings))
    short = ground.run.parent
    options = [f"--{option}={short / option}" for option in ("root", "runroot")]
    options += ["--storage-driver=vfs"]
    tar = tmp_path / "image.tar"
    shell("tar", "--create", "--file", tar, "--directory", rootfs, ".")
    with foreign.world(ground, ("buildah", *options)) as world:
        world("from", "--name", "base", "scratch")
        world("add", "base", tar, "/")
        world("commit", "--rm", "base", "box")
        yield world
        world("rm", "--all")
        forget_rules()  # buildah leaves netavark's.
        assert not list((tmp_path / "oci").glob("*"))


def build(buildah: World, ground: Ground, folder: Path, *lines: str) -> str:
    """Build an image from a Containerfile; return what that prints."""
    folder.mkdir(exist_ok=True)
    (folder / "Containerfile").write_text("\n".join(["FROM localhost/box", *lines]) + "\n")
    parent = f"--cgroup-parent=/{ground.cgroup}"
    words = ("build", parent, "--network=none", "--tag", "made", folder)
    return buildah(*words).stdout


def test_a_build_runs_its_commands(buildah: World, ground: Ground, tmp_path: Path) -> None:
    lines = ["ENV A=words", "WORKDIR /srv", "USER 33:33", "RUN echo $A $(pwd) $(id -u):$(id -g)"]
    lines += ["USER 0", "RUN echo here > /made && chmod 640 /made", "RUN cat /made"]
    said = build(buildah, ground, tmp_path / "context", *lines)
    assert "\nwords /srv 33:33\n" in said
    assert "\nhere\n" in said
    words = ("from", "--name", "after", "localhost/made")
    buildah(*words)
    inside = buildah("run", "after", "--", "stat", "-c", "%a %u", "/made")
    assert inside.stdout == "640 0\n"


def test_a_build_has_mounts_of_its_own(buildah: World, ground: Ground, tmp_path: Path) -> None:
    context = tmp_path / "context"
    context.mkdir()
    (context / "file").write_text("in the context\n")
    lines = ["RUN --mount=type=bind,source=file,target=/x cat /x"]
    lines += ["RUN --mount=type=tmpfs,target=/t touch /t/a && grep ' /t ' /proc/mounts"]
    said = build(buildah, ground, context, *lines)
    assert "\nin the context\n" in said
    assert "\ntmpfs /t tmpfs" in said


def test_a_command_runs_in_a_working_container(buildah: World) -> None:
    buildah("from", "--name", "one", "localhost/box")
    done = buildah("run", "one", "--", "sh", "-c", "echo out; echo err >&2; exit 3", code=3)
    assert done.stdout == "out\n"
    assert done.stderr.startswith("err\n")
    options = ("--user", "33", "--workingdir", "/etc", "--env", "A=1", "--hostname", "other")
    done = buildah("run", *options, "one", "--", "sh", "-c", "id -u; pwd; echo $A; hostname")
    assert done.stdout.split() == ["33", "/etc", "1", "other"]
    assert buildah("run", "one", "--", "cat", input="words").stdout == "words"
    said = buildah("run", "one", "--", "no-such-program", code=1).stderr
    assert "executable file not found in $PATH" in said


def test_a_terminal_of_its_own(buildah: World) -> None:
    buildah("from", "--name", "one", "localhost/box")
    words = ("run", "--terminal", "one", "--", "sh", "-c", "tty; read x; echo =$x")
    seen = buildah.shown_at_terminal(b"typed\r", *words)
    assert "/dev/pts/0" in seen
    assert "=typed" in seen
