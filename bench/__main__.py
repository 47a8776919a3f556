"""Whole commands, timed side by side: minirt, docker and podman, which take turns.

    python -m bench [--quick] [ENGINE…]

Each engine gets namespaces, folders and a cgroup of its own, so that nothing of the machine's
is touched or measured. hyperfine(1) times commands; what is told are medians, the ratios of
minirt to its peers, and what they are to be. All that was measured goes to bench/results/, and a
drawing of the ratios with it.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import sys
import time
from pathlib import Path
from typing import Any

from bench import report
from bench.engines import ENGINES, REPOSITORY
from bench.rows import ROWS
from bench.world import Peer, live, worlds

RESULTS = Path(__file__).parent / "results"


def main() -> int:
    """Measure row by row, the engines in turn, and print the table."""
    parser = argparse.ArgumentParser(description="Whole commands, timed side by side.")
    parser.add_argument("--quick", action="store_true", help="few rows, few times: about a minute")
    parser.add_argument("--rows", default="", help="only rows with these words in their titles")
    parser.add_argument("--inside", metavar="FOLDER", type=Path, help=argparse.SUPPRESS)
    parser.add_argument("engine", nargs="*", help=", ".join(ENGINES))
    asked = parser.parse_args()
    if os.geteuid() != 0:
        sys.exit("bench: namespaces need root")
    if asked.inside:
        live(asked.engine[0], asked.inside)
        return 0
    names = asked.engine or [name for name, one in ENGINES.items() if one.is_installed()]
    result: dict[str, Any] = {"machine": report.machine(), "versions": {}, "rows": {}}
    with worlds(names) as peers:
        result["versions"] = {one.name: one.version for one in peers}
        for number, row in enumerate(ROWS):
            if asked.rows in row.title and (row.is_quick or not asked.quick):
                print(row.title, file=sys.stderr)
                result["rows"][row.title] = _measure(number, peers, asked.quick)
    result["load at the end"] = os.getloadavg()[0]
    RESULTS.mkdir(exist_ok=True)
    stem = RESULTS / time.strftime("%Y-%m-%d-%H%M%S")
    stem.with_suffix(".json").write_text(json.dumps(result, indent=1))
    stem.with_suffix(".svg").write_text(report.drawing(result))
    print(report.table(result))
    print(f"All that was measured: {stem.relative_to(REPOSITORY)}.json, drawn: ….svg")
    for name in [one for one in ENGINES if not ENGINES[one].is_installed() and ENGINES[one].remedy]:
        print(f"Not compared with {name}: {ENGINES[name].remedy}")
    return 0


def _measure(number: int, peers: list[Peer], quick: bool) -> dict[str, Any]:
    """Let the engines take turns at a row; return for each what it has found."""
    row = ROWS[number]
    found: dict[str, dict[str, Any]] = {one.name: {"values": []} for one in peers}
    for turn in range(1 if quick else row.rounds):
        # Forth and back: whoever comes after another one does so equally often.
        for peer in peers if turn % 2 == 0 else reversed(peers):
            here = found[peer.name]
            if "error" not in here:
                answer = peer.measure(number, row.count)
                here["values"] += answer.get("values", [])
                here |= {"error": answer["error"]} if "error" in answer else {}
    for measured in found.values():
        if measured["values"]:
            measured["median"] = statistics.median(measured["values"])
    return found


if __name__ == "__main__":
    sys.exit(main())
