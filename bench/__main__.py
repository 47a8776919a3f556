"""Whole commands, timed side by side: minirt, and docker and podman where they are installed.

    python -m bench [--quick] [ENGINE…]

Each engine gets namespaces, folders and a cgroup of its own, so that nothing of the machine's
is touched or measured. hyperfine(1) measures; what is told is the median, and in brackets how
many times minirt's it is. Everything that hyperfine said is in bench/results/.
"""

from __future__ import annotations

import argparse
import json
import os
import shlex
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bench.engines import ENGINES, REPOSITORY, groups, remove_groups

HERE = Path(__file__).parent
KINDS = ["--net", "--mount", "--pid", "--ipc", "--uts", "--fork", "--kill-child", "--mount-proc"]
RUNS, QUICK_RUNS, WARMUPS = 25, 5, 2


@dataclass(frozen=True, slots=True)
class Row:
    """One line of the table: the words after the engine's name, and what goes around them."""

    words: str
    before: str = ""  # before each run, not measured
    after: str = ""  # after each run, not measured


# A container "box" and a network "mynet" are there all the time.
ROWS = (
    Row("run --rm --network mynet busybox true"),
    Row("run --rm --network bridge busybox true"),
    Row("run --rm --network none busybox true"),
    Row("exec box true"),
    Row("run -d --network mynet --name short busybox sleep 99", after="rm -f short"),
    Row("rm -f short", before="run -d --network mynet --name short busybox sleep 99"),
    Row("network create other", after="network rm other"),
    Row("network rm other", before="network create other"),
    Row("ps"),
    Row("inspect box"),
    Row("--help"),
)


def main() -> int:
    """Measure each engine in a process of its own, and print the table."""
    parser = argparse.ArgumentParser(description="Whole commands, timed side by side.")
    parser.add_argument("--quick", action="store_true", help=f"{QUICK_RUNS} runs, not {RUNS}")
    parser.add_argument("--inside", metavar="FOLDER", type=Path, help=argparse.SUPPRESS)
    parser.add_argument("engine", nargs="*", help=", ".join(ENGINES))
    asked = parser.parse_args()
    if os.geteuid() != 0:
        sys.exit("bench: namespaces need root")
    runs = QUICK_RUNS if asked.quick else RUNS
    if asked.inside:
        measure(asked.engine[0], asked.inside, runs)
        return 0
    names = asked.engine or [name for name, one in ENGINES.items() if one.is_installed()]
    measured = {name: in_a_world_of_its_own(name, asked.quick) for name in names}
    results = HERE / "results" / time.strftime("%Y-%m-%d-%H%M%S.json")
    results.parent.mkdir(exist_ok=True)
    results.write_text(json.dumps(measured, indent=1))
    print_table(measured)
    print(f"\nMedians of {runs} runs; all that was measured: {results.relative_to(REPOSITORY)}")
    for name in [one for one in ENGINES if one not in names and ENGINES[one].remedy]:
        print(f"Not compared with {name}: {ENGINES[name].remedy}")
    return 0


def in_a_world_of_its_own(name: str, quick: bool) -> dict[str, Any]:
    """Run this program again for one engine, in new namespaces; return what hyperfine found."""
    before = groups()
    with tempfile.TemporaryDirectory(prefix="bench-") as folder:
        options = ["--quick"] if quick else []
        words = [sys.executable, "-m", "bench", *options, "--inside", folder, name]
        subprocess.run(["unshare", *KINDS, *words], check=True, cwd=REPOSITORY)
        remove_groups(groups() - before)
        results = sorted(Path(folder).glob("*.json"))
        return {one.stem: json.loads(one.read_text())["results"][0] for one in results}


def measure(name: str, folder: Path, runs: int) -> None:
    """Bring an engine to run, give it an image, a network and a container, and time its words."""
    subprocess.run(["ip", "link", "set", "lo", "up"], check=True)
    engine = ENGINES[name]
    program = engine.start(folder)

    def call(words: str) -> None:
        spoken = [*program, *shlex.split(engine.words(words))]
        done = subprocess.run(spoken, capture_output=True, check=False)
        if done.returncode:
            sys.exit(f"bench: {name} {words}: {done.stderr.decode()}")

    tar = folder / "busybox.tar"
    subprocess.run([REPOSITORY / "rootfs-tools" / "busybox", tar], check=True, capture_output=True)
    call(f"import {tar} busybox")
    call("network create mynet")
    call("run -d --name box --network mynet busybox sleep 9999")
    for number, row in enumerate(ROWS):
        print(f"{name} {row.words}", file=sys.stderr)
        spoken = Row(*map(engine.words, (row.words, row.before, row.after)))
        time_row(shlex.join(program), spoken, runs, folder / f"{number:02}.json")
    call("rm -f box")
    call("network rm mynet")


def time_row(program: str, row: Row, runs: int, export: Path) -> None:
    """Let hyperfine time one row, without a shell in between."""
    around = []
    for option, words in (("--prepare", row.before), ("--conclude", row.after)):
        if words:
            around += [option, f"{program} {words}"]
    counts = ["--runs", str(runs), "--warmup", str(WARMUPS)]
    command = f"{program} {row.words}"
    hyperfine = ["hyperfine", "--shell=none", "--style=none", "--export-json", str(export)]
    done = subprocess.run(
        [*hyperfine, *counts, *around, command], capture_output=True, text=True, check=False
    )
    if done.returncode:
        sys.exit(f"bench: {command}: {done.stderr}")


def print_table(measured: dict[str, dict[str, Any]]) -> None:
    """Print the medians in milliseconds, one row for each command."""
    width = max(len(row.words) for row in ROWS)
    print(f"{'ms':<{width}}" + "".join(f"{name:>17}" for name in measured))
    for number, row in enumerate(ROWS):
        found = [one.get(f"{number:02}", {}).get("median") for one in measured.values()]
        own = measured.get("minirt", {}).get(f"{number:02}", {}).get("median")
        cells = "".join(f"{cell(median, own):>17}" for median in found)
        print(f"{row.words:<{width}}{cells}")


def cell(median: float | None, own: float | None) -> str:
    """Return a median in milliseconds, and how many times minirt's it is."""
    if median is None:
        return "-"
    ratio = f" ({median / own:4.1f}×)" if own and median != own else " " * 8
    return f"{median * 1000:.1f}{ratio}"


if __name__ == "__main__":
    sys.exit(main())
