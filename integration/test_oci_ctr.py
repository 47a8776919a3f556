"""containerd and its ctr, with minirt-oci in place of runc."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from integration import foreign, oci
from integration.conftest import Minirt
from integration.foreign import World
from integration.peers import needs_peer
from integration.sandbox import started, wait_until
from integration.traces import Ground

pytestmark = [
    needs_peer("containerd", "ctr", "containerd-shim-runc-v2"),
    pytest.mark.slow,
    pytest.mark.in_process,
]
IMAGE = "docker.io/library/busybox:latest"
CONFIG = 'version = 2\ndisabled_plugins = ["io.containerd.grpc.v1.cri"]\n'


@pytest.fixture
def ctr(ground: Ground, image: str, minirt: Minirt, tmp_path: Path) -> Iterator[World]:
    top = ground.root.parent  # short: the paths of sockets end at 107 bytes
    address = f"--address={top}/sock"
    (tmp_path / "config").write_text(CONFIG)
    options = [f"--config={tmp_path}/config", f"--root={top}/data", f"--state={top}/state"]
    minirt("image", "save", "--output", tmp_path / "image.tar", image)
    with foreign.world(ground, ()) as world, (tmp_path / "log").open("wb") as log:
        world("mount", "-t", "tmpfs", "tmpfs", "/run")  # the shims' sockets are in /run/containerd
        words = world.words("containerd", address, *options)
        with started(*words, stdout=log, stderr=log) as daemon:
            client = World(world.pid, ("ctr", address))
            wait_until(lambda: not client("version", code=None).returncode, "containerd", 60)
            client("image", "import", tmp_path / "image.tar")
            yield client
            for one in client("task", "list", "--quiet").stdout.split():
                client("task", "delete", "--force", one)
            assert not list((tmp_path / "oci").glob("*/*"))
            daemon.terminate()


@pytest.fixture
def run(ground: Ground, tmp_path: Path) -> list[str]:
    """Return the words with which ctr runs a container."""
    binary = f"--runc-binary={oci.script(tmp_path)}"
    return ["run", binary, f"--cgroup=/{ground.cgroup}/one", "--snapshotter=native"]


def test_run_returns_output_and_exit_codes(ctr: World, run: list[str]) -> None:
    said = ctr(*run, "--rm", IMAGE, "one", "sh", "-c", "echo $$; id -u; exit 7", code=7)
    assert said.stdout == "1\n0\n"
    failed = ctr(*run, "--rm", IMAGE, "one", "no-such-program", code=1)
    assert "executable file not found in $PATH" in failed.stderr


def test_input_reaches_the_command_and_so_does_its_end(ctr: World, run: list[str]) -> None:
    """An end that comes before the container is created is forgotten by ctr, with runc too."""
    words = ctr.words(*run, "--rm", IMAGE, "one", "cat")
    with started(*words, stdin=subprocess.PIPE) as running:
        assert running.stdin and running.stdout
        running.stdin.write("words\n")
        running.stdin.flush()
        assert running.stdout.readline() == "words\n"
        running.stdin.close()
        assert running.wait(20) == 0


def test_a_container_lives_is_entered_and_ends(ctr: World, run: list[str]) -> None:
    ctr(*run, "--detach", "--memory-limit", 64 << 20, IMAGE, "one", "sleep", "100")
    assert status(ctr) == "RUNNING"
    enter = ("task", "exec", "--exec-id", "more")
    assert ctr(*enter, "one", "sh", "-c", "echo inside; exit 5", code=5).stdout == "inside\n"
    assert "not found" in ctr(*enter, "one", "no-such-program", code=1).stderr
    ctr(*enter, "--detach", "one", "sleep", "50")
    assert len(ctr("task", "ps", "one").stdout.splitlines()) == 3  # with a line of titles
    assert str(64 << 20) in ctr("task", "metrics", "one").stdout
    ctr("task", "pause", "one")
    assert status(ctr) == "PAUSED"
    ctr("task", "resume", "one")
    assert status(ctr) == "RUNNING"
    assert "must be stopped" in ctr("task", "delete", "one", code=1).stderr
    ctr("task", "kill", "--signal", "SIGKILL", "one")
    wait_until(lambda: status(ctr) == "STOPPED")
    assert "exit code 137" in ctr("task", "delete", "one").stderr
    ctr("container", "delete", "one")


def status(ctr: World) -> str:
    _titles, line = ctr("task", "list").stdout.splitlines()
    return line.split()[2]


def test_a_terminal_of_its_own(ctr: World, run: list[str]) -> None:
    words = (*run, "--rm", "--tty", IMAGE, "one", "sh", "-c", "tty; read x; echo =$x")
    seen = ctr.shown_at_terminal(b"typed\r", *words)
    assert "/dev/pts/0" in seen
    assert "=typed" in seen
