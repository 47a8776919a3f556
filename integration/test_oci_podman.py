"""podman and conmon, with minirt-oci in place of runc and crun."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from integration import foreign, oci
from integration.firewalls import forget_rules
from integration.foreign import World
from integration.sandbox import needs_file, needs_tool, shell, wait_until
from integration.traces import Ground

pytestmark = needs_tool("podman", "conmon")


@pytest.fixture
def manager() -> str:
    """Return who makes the cgroups."""
    return "cgroupfs"


@pytest.fixture
def podman(
    ground: Ground, rootfs: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, manager: str
) -> Iterator[World]:
    monkeypatch.setenv("PODMAN_IGNORE_CGROUPSV1_WARNING", "1")
    short = ground.run.parent  # podman 4 takes no runroot of more than 50 characters
    places = {"root": "p", "runroot": "r", "tmpdir": "tmp", "network-config-dir": "networks"}
    options = [f"--{option}={short / place}" for option, place in places.items()]
    options += [f"--cgroup-manager={manager}", "--events-backend=none"]
    options += [f"--runtime={oci.script(tmp_path)}"]
    tar = tmp_path / "image.tar"
    shell("tar", "--create", "--file", tar, "--directory", rootfs, ".")
    with foreign.world(ground, ("podman", *options)) as world:
        world("import", tar, "box")
        yield world
        world("rm", "--force", "--all", "--time", "0", code=None)
        # conmon has "podman container cleanup" delete them, after "podman run --rm" has ended.
        wait_until(lambda: not list((tmp_path / "oci").glob("*")), "the end of all containers")


def run(ground: Ground, *options: str) -> list[str]:
    return ["run", f"--cgroup-parent=/{ground.cgroup}", "--network=none", *options]


def test_run_returns_output_and_exit_codes(podman: World, ground: Ground) -> None:
    done = podman(*run(ground, "--rm"), "box", "sh", "-c", "echo $$; id -u; exit 7", code=7)
    assert done.stdout == "1\n0\n"
    failed = podman(*run(ground, "--rm"), "box", "no-such-program", code=127)
    assert "executable file not found" in failed.stderr
    podman(*run(ground, "--rm"), "box", "/etc/passwd", code=126)
    assert podman(*run(ground, "--rm", "-i"), "box", "cat", input="words").stdout == "words"


def test_keep_groups_keeps_the_groups_of_the_caller(podman: World, ground: Ground) -> None:
    def groups(*options: str) -> list[str]:
        script = "grep ^Groups: /proc/self/status"
        words = run(ground, "--rm", "--user=33", *options)
        words = podman.words(*words, "box", "sh", "-c", script)
        return shell("setpriv", "--groups=7,8", "--", *words).stdout.split()[1:]

    assert groups("--group-add=keep-groups") == ["7", "8"]
    assert groups() == ["33", "50"]  # those of the image


def test_a_container_lives_is_entered_and_ends(podman: World, ground: Ground) -> None:
    podman(*run(ground, "--detach", "--name", "one"), "box", "sh", "-c", "echo log; sleep 100")
    assert podman("exec", "one", "sh", "-c", "echo inside; exit 5", code=5).stdout == "inside\n"
    podman("exec", "--detach", "one", "sleep", "50")
    assert "sleep 50" in podman("top", "one").stdout
    assert podman("exec", "one", "no-such-program", code=127).stderr
    assert podman("exec", "--workdir", "/tmp", "--user", "33", "one", "id", "-u").stdout == "33\n"
    wait_until(lambda: podman("logs", "one").stdout == "log\n")
    podman("pause", "one")
    assert state(podman)["Status"] == "paused"
    podman("unpause", "one")
    podman("stop", "--time", "1", "one")
    assert (state(podman)["Status"], state(podman)["ExitCode"]) == ("exited", 137)
    podman("start", "one")
    podman("kill", "--signal", "KILL", "one")
    wait_until(lambda: state(podman)["Status"] == "exited")
    podman("rm", "one")


def state(podman: World) -> dict[str, object]:
    (found,) = json.loads(podman("inspect", "one").stdout)
    return found["State"]  # type: ignore[no-any-return]


def test_limits_hold_and_can_be_changed(podman: World, ground: Ground) -> None:
    if "version 4." in podman("--version").stdout:
        pytest.skip("this podman's update changes nothing, nor with crun")
    podman(*run(ground, "-d", "--name", "one", "--memory", "64m"), "box", "sleep", "100")
    podman("update", "--memory", "80m", "one")
    shown = podman("stats", "--no-stream", "--no-reset", "--format", "{{.MemLimit}}", "one")
    assert shown.stdout.strip() in ("83.89MB", str(80 << 20))


def test_a_terminal_of_its_own(podman: World, ground: Ground) -> None:
    words = (*run(ground, "--rm", "-it"), "box", "sh", "-c", "tty; read x; echo =$x")
    seen = podman.shown_at_terminal(b"typed\r", *words)
    assert "/dev/pts/0" in seen
    assert "=typed" in seen


def test_exec_with_a_terminal(podman: World, ground: Ground) -> None:
    podman(*run(ground, "-d", "--name", "one"), "box", "sleep", "100")
    assert podman("exec", "-t", "one", "tty").stdout.strip() == "/dev/pts/0"


def test_the_processes_of_a_pod_share_their_namespaces(podman: World, ground: Ground) -> None:
    pods = ("--network=none", "--infra-image=localhost/box", "--infra-command=/bin/sleep 1000")
    podman("pod", "create", f"--cgroup-parent=/{ground.cgroup}", *pods, "--name", "pod")
    podman("run", "-d", "--pod", "pod", "--name", "one", "box", "sleep", "100")
    podman("run", "-d", "--pod", "pod", "--name", "two", "box", "sleep", "100")
    links = ("sh", "-c", "for kind in net ipc uts; do readlink /proc/self/ns/$kind; done")
    assert podman("exec", "one", *links).stdout == podman("exec", "two", *links).stdout
    podman("pod", "rm", "--force", "--time", "0", "pod")


@needs_file("/usr/lib/podman/netavark")
def test_a_network_of_podmans_own(podman: World, ground: Ground) -> None:
    """The runtime joins a network namespace that podman has made and wired."""
    podman("network", "create", "--disable-dns", "net1")
    options = (f"--cgroup-parent=/{ground.cgroup}", "--network=net1", "--cap-add=NET_RAW")
    podman("run", *options, "-d", "--name", "one", "box", "sleep", "100")
    where = "{{range .NetworkSettings.Networks}}{{.IPAddress}}{{end}}"
    address = podman("inspect", "--format", where, "one").stdout.strip()
    podman("run", *options, "--rm", "box", "ping", "-c", "1", "-W", "5", address)
    podman("rm", "--force", "--time", "0", "one")
    podman("network", "rm", "net1")
    forget_rules()  # Podman leaves its own.


UIDMAP = ("--uidmap=0:1000000:65536", "--gidmap=0:1000000:65536")


def test_a_container_with_ids_of_its_own(podman: World, ground: Ground) -> None:
    script = "id -u; cat /proc/self/uid_map; stat -c %u /bin/sh; touch /x; stat -c %u /x"
    done = podman(*run(ground, "--rm", *UIDMAP), "box", "sh", "-c", script)
    assert done.stdout.split() == ["0", "0", "1000000", "65536", "0", "0"]
    podman(*run(ground, "-d", "--name", "one", *UIDMAP), "box", "sleep", "100")
    assert podman("exec", "--user", "33", "one", "id", "-u").stdout == "33\n"
    assert podman("top", "one", "huser", "args").stdout.split()[-3:] == ["1000000", "sleep", "100"]
    podman("stop", "--time", "0", "one")


def test_a_pod_whose_containers_share_their_ids(podman: World, ground: Ground) -> None:
    pods = ("--network=none", "--infra-image=localhost/box", "--infra-command=/bin/sleep 1000")
    podman("pod", "create", f"--cgroup-parent=/{ground.cgroup}", *pods, *UIDMAP, "--name", "pod")
    podman("run", "-d", "--pod", "pod", "--name", "one", "box", "sleep", "100")
    podman("run", "-d", "--pod", "pod", "--name", "two", "box", "sleep", "100")
    links = ("sh", "-c", "for kind in user net ipc; do readlink /proc/self/ns/$kind; done; id -u")
    assert podman("exec", "one", *links).stdout == podman("exec", "two", *links).stdout
    assert podman("exec", "one", "cat", "/proc/self/uid_map").stdout.split()[1] == "1000000"
    podman("pod", "rm", "--force", "--time", "0", "pod")


def test_files_of_the_host_shown_with_the_ids_of_the_container(
    podman: World, ground: Ground, tmp_path: Path
) -> None:
    folder = tmp_path / "folder"
    folder.mkdir()
    words = (*run(ground, "--rm", *UIDMAP), "-v", f"{folder}:/x:idmap", "box")
    script = "stat -c %u /x; touch /x/made; stat -c %u /x/made"
    assert podman(*words, "sh", "-c", script).stdout == "0\n0\n"
    assert (folder / "made").stat().st_uid == 0


@pytest.mark.skipif(
    not Path("/run/systemd/system").is_dir(), reason="no systemd runs on this machine"
)
@pytest.mark.parametrize("manager", ["systemd"])
def test_systemd_makes_the_cgroups(podman: World) -> None:
    """But for conmon's: podman would tell its PID, and systemd, outside, knows another by it."""
    options = ("--cgroup-parent=minirttest.slice", "--cgroups=no-conmon", "--network=none")
    podman("run", "--detach", "--name", "one", "--memory=64m", *options, "box", "sleep", "100")
    show = World(podman.pid, ("cat",))
    group = show(f"/proc/{state(podman)['Pid']}/cgroup").stdout.strip().removeprefix("0::")
    assert group.startswith("/minirttest.slice/libpod-")
    assert ".scope" in group
    assert Path(f"/sys/fs/cgroup/{group}/memory.max").read_text() == f"{64 << 20}\n"
    assert podman("exec", "one", "echo", "inside").stdout == "inside\n"
    podman("rm", "--force", "--time", "0", "one")
    assert not Path(f"/sys/fs/cgroup/{group}").exists()


def test_options_of_run_reach_the_command(podman: World, ground: Ground) -> None:
    """Each of them was refused once: by the mode of a device, an empty option, a long one."""
    device = ("--device=/dev/zero:/dev/z:r", "box", "sh", "-c", "head -c 3 /dev/z | wc -c")
    assert podman(*run(ground, "--rm"), *device).stdout.strip() == "3"
    assert podman(*run(ground, "--rm", "--privileged"), "box", "test", "-c", "/dev/full")
    places = ("--systemd=always", "box", "grep", "-c", " /run/lock tmpfs ", "/proc/mounts")
    assert podman(*run(ground, "--rm"), *places).stdout == "1\n"
    image = ("--mount=type=image,src=box,dst=/img", "box", "ls", "/img/bin/busybox")
    assert podman(*run(ground, "--rm"), *image).stdout == "/img/bin/busybox\n"
    ids = ("--mount=type=bind,src=/etc/hostname,dst=/h,idmap=uids=0-5-1;gids=0-6-1", "box")
    assert podman(*run(ground, "--rm"), *ids, "stat", "-c", "%u:%g", "/h").stdout == "5:6\n"
    shared = (*UIDMAP, "--pid=host", "box", "grep", "-c", " /proc proc ", "/proc/mounts")
    assert podman(*run(ground, "--rm"), *shared).stdout == "1\n"
