"""OCI runtimes, timed side by side on one bundle: minirt-oci, runc and crun.

    python -m bench.runtimes [--quick]

The same namespaces around all of them, the same config.json; the hierarchy of version 2 is hidden
on a hybrid machine, since crun refuses it there. They take turns, so that what else this machine
does hits all of them. Told are medians, of the clock's milliseconds and, in brackets, of those
that a processor has worked: these hardly depend on what else runs.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from statistics import median

from bench.engines import CGROUP, KINDS, REPOSITORY, groups, remove_groups

RUNS, QUICK_RUNS = 30, 7
ROWS = {
    "--version": ("--version",),
    "run": ("run --bundle {bundle} one",),
    "create, start, delete": (
        "create --bundle {bundle} one",
        "start one",
        "delete --force one",
    ),
}
_HIDE = "test ! -d /sys/fs/cgroup/unified || umount /sys/fs/cgroup/unified"


@dataclass(frozen=True, slots=True)
class Cost:
    """What a call takes: seconds of the clock, and of processors (wait4(2))."""

    clock: float
    work: float


def main() -> int:
    """Start this program again in namespaces of its own, then measure."""
    parser = argparse.ArgumentParser(description="OCI runtimes, timed side by side.")
    parser.add_argument("--quick", action="store_true", help=f"{QUICK_RUNS} runs, not {RUNS}")
    parser.add_argument("--inside", action="store_true", help=argparse.SUPPRESS)
    asked = parser.parse_args()
    if os.geteuid() != 0:
        sys.exit("bench: namespaces need root")
    if not asked.inside:
        words = [sys.executable, "-m", "bench.runtimes", "--inside", *sys.argv[1:]]
        script = f'{_HIDE}; exec "$@"'
        return subprocess.run(
            ["unshare", *KINDS, "sh", "-c", script, "sh", *words], check=False, cwd=REPOSITORY
        ).returncode
    with tempfile.TemporaryDirectory(prefix="bench-") as folder:
        measure(Path(folder), QUICK_RUNS if asked.quick else RUNS)
    return 0


def measure(top: Path, runs: int) -> None:
    """Print a table: one row for each thing that a runtime does."""
    before = groups()
    os.environ.update(MINIRT_ROOT=str(top / "root"), MINIRT_CGROUP=CGROUP)
    bundle, sleeping = make_bundle(top / "bundle", "true"), make_bundle(top / "b", "sleep", "100")
    runtimes = {name: words(name, top) for name in ("minirt-oci", "runc", "crun") if found(name)}
    print(f"{'ms (of a processor)':<24}" + "".join(f"{name:>18}" for name in runtimes))
    for name, row in ROWS.items():
        calls = [call.format(bundle=bundle).split() for call in row]
        costs = take_turns(runtimes, calls, runs)
        clock = {one: 1000 * median(cost.clock for cost in costs[one]) for one in runtimes}
        work = {one: 1000 * median(cost.work for cost in costs[one]) for one in runtimes}
        told = [f"{clock[one]:.1f} ({work[one]:.1f})" for one in runtimes]
        print(f"{name:<24}" + "".join(f"{one:>18}" for one in told))
    tell_megabytes("init, before start: MB", [waiting(oci, bundle) for oci in runtimes.values()])
    tell_megabytes("run, at most: MB", [running(oci, sleeping) for oci in runtimes.values()])
    remove_groups(groups() - before)


def make_bundle(bundle: Path, *command: str) -> Path:
    """Make a bundle with busybox and a command."""
    binary = bundle / "rootfs" / "bin"
    binary.mkdir(parents=True)
    for name in ("proc", "sys", "dev"):
        (bundle / "rootfs" / name).mkdir()
    shutil.copy(shutil.which("busybox") or sys.exit("bench: needs busybox-static"), binary)
    (binary / command[0]).symlink_to("busybox")
    program = Path(sys.executable).with_name("minirt-oci")
    subprocess.run([program, "spec", "--bundle", bundle], check=True)
    config = json.loads((bundle / "config.json").read_text())
    config["process"].update(args=command, terminal=False, env=["PATH=/bin"])
    config["linux"]["cgroupsPath"] = f"/{CGROUP}/one"
    (bundle / "config.json").write_text(json.dumps(config))
    return bundle


def found(name: str) -> bool:
    """Say whether a runtime is installed."""
    return name == "minirt-oci" or bool(shutil.which(name))


def words(name: str, top: Path) -> list[str]:
    """Return the first words of a call, with a state root of its own."""
    program = Path(sys.executable).with_name(name) if name == "minirt-oci" else shutil.which(name)
    return [str(program), "--root", str(top / name)]


def take_turns(
    runtimes: dict[str, list[str]], calls: list[list[str]], runs: int
) -> dict[str, list[Cost]]:
    """Let each runtime make the calls, one after the other, again and again."""
    costs: dict[str, list[Cost]] = {name: [] for name in runtimes}
    for turn in range(runs + 1):
        for name, first in runtimes.items():
            each = [cost_of([*first, *call]) for call in calls]
            if turn:  # The first one warms up.
                clock, work = sum(one.clock for one in each), sum(one.work for one in each)
                costs[name].append(Cost(clock, work))
    return costs


def cost_of(call: list[str]) -> Cost:
    """Make a call, and say what it took."""
    null = subprocess.DEVNULL
    with tempfile.TemporaryFile() as said:
        before = time.perf_counter()
        child = subprocess.Popen(call, stdin=null, stdout=null, stderr=said)
        _pid, status, used = os.wait4(child.pid, 0)
        clock = time.perf_counter() - before
        child.returncode = os.waitstatus_to_exitcode(status)
        if child.returncode:
            said.seek(0)
            sys.exit(f"bench: {' '.join(call)}: {said.read().decode()}")
    return Cost(clock, used.ru_utime + used.ru_stime)


def waiting(oci: list[str], bundle: Path) -> float:
    """Return the megabytes of an init that waits for its start (proc_pid_smaps(5), Pss)."""
    cost_of([*oci, "create", "--bundle", str(bundle), "one"])
    rollup = Path(f"/proc/{state(oci)['pid']}/smaps_rollup").read_text()
    cost_of([*oci, "delete", "--force", "one"])
    return int(rollup.split("Pss:")[1].split()[0]) / 1024


def running(oci: list[str], bundle: Path) -> float:
    """Return the most megabytes that "run" has had when its command runs (proc_pid_status(5))."""
    words = [*oci, "run", "--bundle", str(bundle), "one"]
    with subprocess.Popen(words, stdin=subprocess.DEVNULL) as runtime:
        while state(oci).get("status") != "running":
            time.sleep(0.05)
        status = Path(f"/proc/{runtime.pid}/status").read_text()
        cost_of([*oci, "kill", "one", "KILL"])
    return int(status.split("VmHWM:")[1].split()[0]) / 1024


def state(oci: list[str]) -> dict[str, object]:
    """Return the state of the container, if there is one."""
    said = subprocess.run([*oci, "state", "one"], capture_output=True, check=False).stdout
    found: dict[str, object] = json.loads(said or "{}")
    return found


def tell_megabytes(name: str, each: list[float]) -> None:
    """Print a row of the table."""
    print(f"{name:<24}" + "".join(f"{one:18.1f}" for one in each))


if __name__ == "__main__":
    sys.exit(main())
