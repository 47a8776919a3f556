"""OCI runtimes, timed side by side on one bundle: minirt-oci, runc and crun.

    python -m bench.runtimes [--quick]

The same namespaces around all of them, the same config.json; the hierarchy of version 2 is hidden
on a hybrid machine, since crun refuses it there. hyperfine(1) measures; medians are told.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from bench.engines import CGROUP, REPOSITORY, groups, remove_groups

KINDS = ["--net", "--mount", "--pid", "--ipc", "--uts", "--fork", "--kill-child", "--mount-proc"]
RUNS, QUICK_RUNS = 30, 7
_HIDE = "test ! -d /sys/fs/cgroup/unified || umount /sys/fs/cgroup/unified"


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
    bundle = make_bundle(top / "bundle")
    runtimes = {name: words(name, top) for name in ("minirt-oci", "runc", "crun") if found(name)}
    print(f"{'ms':<24}" + "".join(f"{name:>14}" for name in runtimes))
    at = f"--bundle {bundle}"
    rows = {
        "--version": "{oci} --version",
        "run": f"{{oci}} run {at} one",
        "create, start, delete": f"sh -c '{{oci}} create {at} one </dev/null >/dev/null 2>&1 && "
        "{oci} start one && {oci} delete --force one'",
    }
    for name, row in rows.items():
        told = [f"{median(row.format(oci=oci), runs, top):14.1f}" for oci in runtimes.values()]
        print(f"{name:<24}" + "".join(told))
    told = [f"{memory(oci, bundle):14.1f}" for oci in runtimes.values()]
    print(f"{'created, waiting: MB':<24}" + "".join(told))
    remove_groups(groups() - before)


def make_bundle(bundle: Path) -> Path:
    """Make a bundle whose command is ``true``."""
    binary = bundle / "rootfs" / "bin"
    binary.mkdir(parents=True)
    for name in ("proc", "sys", "dev"):
        (bundle / "rootfs" / name).mkdir()
    shutil.copy(shutil.which("busybox") or sys.exit("bench: needs busybox-static"), binary)
    (binary / "true").symlink_to("busybox")
    program = Path(sys.executable).with_name("minirt-oci")
    subprocess.run([program, "spec", "--bundle", bundle], check=True)
    config = json.loads((bundle / "config.json").read_text())
    config["process"].update(args=["true"], terminal=False, env=["PATH=/bin"])
    config["linux"]["cgroupsPath"] = f"/{CGROUP}/one"
    (bundle / "config.json").write_text(json.dumps(config))
    return bundle


def found(name: str) -> bool:
    """Say whether a runtime is installed."""
    return name == "minirt-oci" or bool(shutil.which(name))


def words(name: str, top: Path) -> str:
    """Return the first words of a call, with a state root of its own."""
    program = Path(sys.executable).with_name(name) if name == "minirt-oci" else shutil.which(name)
    return f"{program} --root {top / name}"


def median(command: str, runs: int, top: Path) -> float:
    """Return the median of a command in milliseconds."""
    export = top / "hyperfine.json"
    options = ["--shell=none", "--style=none", "--warmup=2", f"--export-json={export}"]
    hyperfine = ["hyperfine", *options, "--runs", str(runs), command]
    done = subprocess.run(hyperfine, capture_output=True, text=True, check=False)
    if done.returncode:
        sys.exit(f"bench: {command}: {done.stderr}")
    milliseconds: float = json.loads(export.read_text())["results"][0]["median"] * 1000
    return milliseconds


def memory(oci: str, bundle: Path) -> float:
    """Return the megabytes of an init that waits for its start (proc_pid_smaps(5), Pss)."""
    null = subprocess.DEVNULL
    create = f"{oci} create --bundle {bundle} one".split()
    subprocess.run(create, check=True, stdin=null, stdout=null, stderr=null)
    state = subprocess.run(f"{oci} state one".split(), capture_output=True, check=True)
    rollup = Path(f"/proc/{json.loads(state.stdout)['pid']}/smaps_rollup").read_text()
    subprocess.run(f"{oci} delete --force one".split(), check=True)
    return int(rollup.split("Pss:")[1].split()[0]) / 1024


if __name__ == "__main__":
    sys.exit(main())
