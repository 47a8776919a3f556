"""``minirt-oci ps``: the processes of a container, as ps(1) shows them."""

from __future__ import annotations

import json
import sys

from minirt.errors import InvalidRequest, MinirtError, NotFound
from minirt.oci import groups, records
from minirt.oci.words import Asked

_DEFAULT = ("-ef",)


def run(asked: Asked) -> int:
    """Print them. Further words are ps's own options."""
    form = asked.text("format", "table")
    if form not in ("table", "json"):
        raise InvalidRequest(f"invalid format option {form!r}", "it is table or json")
    record = records.load(asked.id)
    group = groups.of(record.cgroup)
    if group is None:
        raise MinirtError(f"cannot list the processes of {asked.id}", "it has no cgroup")
    pids = sorted(group.pids())
    if form == "json":
        sys.stdout.write(json.dumps(pids, separators=(",", ":")) + "\n")
    else:
        sys.stdout.write(only(_all_processes(asked.words[1:] or _DEFAULT), set(pids)))
    return 0


def only(shown: str, pids: set[int]) -> str:
    """Return the lines of ps(1) that are about these processes, under their header."""
    lines = shown.split("\n")  # ps lets a carriage return in a process's name through
    header = lines[0].split() if lines else []
    if "PID" not in header:
        raise InvalidRequest("cannot find the column PID in what ps says", "", "Ask ps for it.")
    place = header.index("PID")
    kept = [line for line in lines[1:] if _pid_in(line.split(), place) in pids]
    return "".join(f"{line}\n" for line in [lines[0], *kept])


def _pid_in(words: list[str], place: int) -> int | None:
    """Return the PID in a line; None if a name with blanks in a column before has moved it."""
    return int(words[place]) if len(words) > place and words[place].isdecimal() else None


def _all_processes(options: tuple[str, ...] | list[str]) -> str:
    import subprocess

    try:
        done = subprocess.run(["ps", *options], capture_output=True, text=True, check=False)
    except FileNotFoundError:
        raise NotFound("there is no ps on this machine", "", "Use --format json.") from None
    if done.returncode:
        raise InvalidRequest(f"ps {' '.join(options)} failed", done.stderr.strip())
    return done.stdout
