"""dockerd and containerd's shim, with minirt-oci as a further runtime."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from integration import foreign, oci
from integration.foreign import World
from integration.peers import needs_peer
from integration.sandbox import shell, wait_until
from integration.traces import Ground

pytestmark = [needs_peer("dockerd", "docker", "containerd"), pytest.mark.slow]
RUNTIME = "minirt"
GATEWAY = "198.51.100.1"


@pytest.fixture
def docker(ground: Ground, rootfs: Path, tmp_path: Path) -> Iterator[World]:
    top = ground.root.parent  # short: the paths of sockets end at 107 bytes
    socket = f"unix://{top}/docker.sock"
    places = {"data-root": "data", "exec-root": "exec", "pidfile": "pid"}
    options = [f"--{option}={top / place}" for option, place in places.items()]
    options += [f"--cgroup-parent=/{ground.cgroup}", "--storage-driver=vfs"]
    options += ["--exec-opt=native.cgroupdriver=cgroupfs"]
    options += ["--iptables=false", "--ip6tables=false", f"--bip={GATEWAY}/24"]
    options += [f"--add-runtime={RUNTIME}={oci.script(tmp_path)}"]
    tar = tmp_path / "image.tar"
    shell("tar", "--create", "--file", tar, "--directory", rootfs, ".")
    with foreign.world(ground, ()) as world, (tmp_path / "log").open("wb") as log:
        world("mount", "-t", "tmpfs", "tmpfs", "/run")  # the shims' sockets are in /run/containerd
        words = world.words("dockerd", f"--host={socket}", *options)
        with subprocess.Popen(words, stdout=log, stderr=log, stdin=subprocess.DEVNULL) as daemon:
            client = World(world.pid, ("docker", f"--host={socket}"))
            wait_until(lambda: not client("version", code=None).returncode, "dockerd", 60)
            client("import", tar, "box")
            yield client
            left = client("ps", "--all", "--quiet").stdout.split()
            if left:
                client("rm", "--force", *left)
            wait_until(lambda: not list((tmp_path / "oci").glob("*")), "the end of all containers")
            daemon.terminate()


def run(*options: str) -> list[str]:
    return ["run", f"--runtime={RUNTIME}", "--network=none", *options]


def test_run_returns_output_and_exit_codes(docker: World) -> None:
    done = docker(*run("--rm"), "box", "sh", "-c", "echo $$; id -u; exit 7", code=7)
    assert done.stdout == "1\n0\n"
    assert docker(*run("--rm"), "box", "no-such-program", code=127).stderr
    assert docker(*run("--rm"), "box", "/etc/passwd", code=126).stderr
    assert docker(*run("--rm", "-i"), "box", "cat", input="words").stdout == "words"
    assert "/dev/pts/0" in docker(*run("--rm", "-t"), "box", "tty").stdout


def test_a_container_lives_is_entered_and_ends(docker: World) -> None:
    docker(*run("-d", "--name", "one", "--memory", "64m"), "box", "sleep", "100")
    assert docker("exec", "one", "sh", "-c", "echo inside; exit 5", code=5).stdout == "inside\n"
    assert docker("exec", "-t", "one", "tty").stdout.strip() == "/dev/pts/0"
    assert docker("exec", "one", "no-such-program", code=None).returncode in (126, 127)
    assert "sleep 100" in docker("top", "one").stdout
    docker("pause", "one")
    assert "Paused" in docker("ps").stdout
    docker("unpause", "one")
    docker("update", "--memory", "80m", "--memory-swap", "80m", "one")
    assert "80MiB" in docker("stats", "--no-stream", "one").stdout
    docker("stop", "--time", "1", "one")
    (found,) = json.loads(docker("inspect", "one").stdout)
    assert (found["State"]["Status"], found["State"]["ExitCode"]) == ("exited", 137)
    docker("start", "one")
    docker("kill", "one")
    docker("rm", "--force", "one")


def test_it_joins_the_network_that_dockers_hook_has_wired(docker: World) -> None:
    """The daemon plugs the container in by a prestart hook; docker-proxy publishes the port."""
    serve = "echo served > /index.html; exec httpd -f -p 80"
    options = ("--runtime", RUNTIME, "-d", "--name", "one", "-p", "8080:80")
    docker("run", *options, "box", "sh", "-c", serve)
    assert "198.51.100." in docker("exec", "one", "ip", "-o", "address").stdout
    docker("exec", "one", "ping", "-c", "1", "-W", "5", GATEWAY)
    wait_until(
        lambda: "served" in shell("curl", "--silent", "http://127.0.0.1:8080", code=None).stdout
    )
    docker("rm", "--force", "one")


def test_options_of_run_reach_the_command(docker: World) -> None:
    script = "touch /x; touch /tmp/x && ls /tmp"
    only = docker(*run("--rm", "--read-only", "--tmpfs=/tmp"), "box", "sh", "-c", script)
    assert (only.stdout, "Read-only file system" in only.stderr) == ("x\n", True)
    options = (
        *("--security-opt=no-new-privileges", "--ulimit=nofile=100:200", "--hostname=other"),
        *("--oom-score-adj=500", "--sysctl=net.ipv4.ip_forward=1", "--pid=host"),
    )
    script = "grep NoNewPrivs: /proc/self/status; ulimit -n; hostname; cat /proc/self/oom_score_adj"
    script += " /proc/sys/net/ipv4/ip_forward /proc/1/comm"
    shown = docker(*run("--rm", *options), "box", "sh", "-c", script).stdout.split()
    init = World(docker.pid, ())("cat", "/proc/1/comm").stdout.split()
    assert shown == ["NoNewPrivs:", "1", "100", "other", "500", "1", *init]


def test_its_health_is_asked_and_it_can_be_restarted(docker: World) -> None:
    options = ("--health-cmd=test -e /ok", "--health-interval=200ms", "--stop-signal=USR1")
    script = "trap 'exit 9' USR1; while :; do sleep 0.1; done"
    docker(*run("-d", "--name", "one", *options), "box", "sh", "-c", script)
    docker("exec", "one", "touch", "/ok")
    health = ("inspect", "--format={{.State.Health.Status}}", "one")
    wait_until(lambda: docker(*health).stdout == "healthy\n", "good health", 30)
    docker("restart", "--time", "9", "one")
    docker("stop", "--time", "9", "one")
    assert docker("inspect", "--format={{.State.ExitCode}}", "one").stdout == "9\n"
    docker("rm", "one")
