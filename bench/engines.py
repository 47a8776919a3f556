"""How each engine is brought to run in folders of its own, inside namespaces of its own."""

from __future__ import annotations

import argparse
import contextlib
import os
import secrets
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

REPOSITORY = Path(__file__).resolve().parent.parent
KINDS = ["--net", "--mount", "--pid", "--ipc", "--uts", "--fork", "--kill-child", "--mount-proc"]
# Known to the process that measures, and to the one that cleans up after it.
CGROUP = os.environ.setdefault("MINIRT_CGROUP", f"minirt-bench-{secrets.token_hex(4)}")
# Docker, containerd and runc, unpacked by setup.sh, call each other by their names.
os.environ["PATH"] += f":{REPOSITORY}/.peers/usr/bin:{REPOSITORY}/.peers/usr/sbin"


@dataclass(frozen=True, slots=True)
class Engine:
    """A program with Docker's words."""

    start: Callable[[Path], list[str]]  # makes it ready; returns the first words of its calls
    parts: tuple[str, ...] = ()  # the programs that it consists of
    remedy: str = ""  # what to do when they are not there
    translated: tuple[str, str] = ("", "")  # Docker's words, and what means the same here

    def is_installed(self) -> bool:
        """Say whether it can be measured here."""
        path = f"{os.environ['PATH']}:/usr/lib/podman:/usr/libexec/podman"
        return all(shutil.which(part, path=path) for part in self.parts)

    def words(self, text: str) -> str:
        """Return Docker's words as this engine wants them."""
        return text.replace(*self.translated) if self.translated[0] else text


def _volatile(folder: Path) -> Path:
    """Return a folder in memory, as /run is (hier(7)): what is there need not survive a boot."""
    place = folder / "run"
    place.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "mode=711", "tmpfs", place], check=True)
    return place


def start_minirt(folder: Path) -> list[str]:
    """Have minirt's fork server started by a command, and wait for it, as for a dockerd."""
    words = _settle_minirt(folder)
    subprocess.run([*words, "ps"], check=True, capture_output=True)
    place = folder / "run" / "server"
    _wait(lambda: any(one.is_socket() for one in place.glob("*")), lambda: "No server of minirt's")
    return words


def start_minirt_alone(folder: Path) -> list[str]:
    """Let minirt do all in the process that was called, without its fork server."""
    os.environ["MINIRT_NO_SERVER"] = "1"
    return _settle_minirt(folder)


def _settle_minirt(folder: Path) -> list[str]:
    os.environ["MINIRT_ROOT"] = str(folder / "root")
    os.environ["MINIRT_RUNROOT"] = str(_volatile(folder))
    return [str(Path(sys.executable).with_name("minirt"))]


def _wait(is_up: Callable[[], bool], complaint: Callable[[], str]) -> None:
    deadline = time.monotonic() + 30
    while not is_up():
        if time.monotonic() > deadline:
            sys.exit(complaint())
        time.sleep(0.1)


def start_podman(folder: Path) -> list[str]:
    """Point podman at its folders, and hide the hierarchy that crun refuses (cgroups(7))."""
    os.environ["PODMAN_IGNORE_CGROUPSV1_WARNING"] = "1"
    if Path("/sys/fs/cgroup/unified").is_dir():
        subprocess.run(["umount", "/sys/fs/cgroup/unified"], check=True)
    run = _volatile(folder)
    places = {"root": folder / "root", "network-config-dir": folder / "networks"}
    places |= {"runroot": run / "containers", "tmpdir": run / "libpod"}
    options = [f"--{option}={place}" for option, place in places.items()]
    return ["podman", *options, "--cgroup-manager=cgroupfs", "--events-backend=none"]


def start_docker(folder: Path) -> list[str]:
    """Start a dockerd that dies with this PID namespace; wait until it answers."""
    run = _volatile(folder)
    socket = f"unix://{run}/docker.sock"
    places = {"data-root": folder / "root", "exec-root": run / "docker", "pidfile": run / "pid"}
    options = [f"--{option}={place}" for option, place in places.items()]
    story = folder / "dockerd.log"
    with story.open("wb") as log:
        subprocess.Popen(
            ["dockerd", "--host", socket, *options, f"--cgroup-parent=/{CGROUP}"],
            stdout=log,
            stderr=log,
            stdin=subprocess.DEVNULL,
        )
    words = ["docker", "--host", socket]

    def is_up() -> bool:
        return not subprocess.run([*words, "version"], capture_output=True, check=False).returncode

    _wait(is_up, lambda: f"dockerd does not start:\n{story.read_text()[-2000:]}")
    return words


ENGINES = {
    "minirt": Engine(start_minirt, translated=("import ", "image import ")),
    "in-process": Engine(start_minirt_alone, translated=("import ", "image import ")),
    "docker": Engine(start_docker, ("dockerd", "docker", "iptables"), "./setup.sh bench"),
    # "rm -f" of podman asks first and waits ten seconds; Docker's kills.
    "podman": Engine(
        start_podman,
        ("podman", "crun", "netavark", "aardvark-dns"),
        "apt install podman crun netavark aardvark-dns",
        translated=("rm -f ", "rm -f --time 0 "),
    ),
}


def groups() -> set[Path]:
    """Return the cgroups at the top of each hierarchy that engines of this program use."""
    names = (CGROUP, "docker", "libpod_parent")
    return {one for name in names for one in Path("/sys/fs/cgroup").glob(f"*/{name}/")} | {
        one for name in names for one in Path("/sys/fs/cgroup").glob(f"{name}/")
    }


def asked_inside(module: str, what: str, quick: str) -> tuple[Path, bool]:
    """Return a folder for a module of the bench, and whether it is to be quick.

    It returns in namespaces of its own: outside, it runs the module there and exits as that does.
    """
    parser = argparse.ArgumentParser(description=what)
    parser.add_argument("--quick", action="store_true", help=quick)
    parser.add_argument("--inside", metavar="FOLDER", type=Path, help=argparse.SUPPRESS)
    asked = parser.parse_args()
    if os.geteuid() != 0:
        sys.exit("bench: namespaces need root")
    if asked.inside:
        return asked.inside, asked.quick
    before = groups()
    with tempfile.TemporaryDirectory(prefix="bench-") as folder:
        call = [sys.executable, "-m", module, "--inside", folder, *sys.argv[1:]]
        done = subprocess.run(["unshare", *KINDS, *call], check=False, cwd=REPOSITORY)
    remove_groups(groups() - before)
    sys.exit(done.returncode)


def remove_groups(made: set[Path]) -> None:
    """Remove the cgroups that an engine leaves when its last process is gone."""
    for group in made:
        for folder in sorted([*group.rglob("*/"), group], key=lambda one: -len(one.parts)):
            with contextlib.suppress(OSError):  # it is used after all
                folder.rmdir()
