"""``minirt-oci ps``: the processes of a container, as ps(1) shows them."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterable, Iterator
from io import TextIOWrapper

from minirt.errors import InvalidRequest, MinirtError, NotFound, in_quotes
from minirt.oci import groups, records
from minirt.oci.words import Asked

_DEFAULT = ("-ef",)


def run(asked: Asked) -> int:
    """Print them. Further words are ps's own options."""
    form = asked.text("format", "table")
    if form not in ("table", "json"):
        raise InvalidRequest(f"invalid format option {in_quotes(form)}", "it is table or json")
    record = records.load(asked.id)
    group = groups.of(record.cgroup)
    if group is None:
        raise MinirtError(f"cannot list the processes of {asked.id}", "it has no cgroup")
    pids = sorted(group.pids())
    if form == "json":
        sys.stdout.write(json.dumps(pids, separators=(",", ":")) + "\n")
    else:
        for line in only(_all_processes(asked.words[1:] or _DEFAULT), set(pids)):
            sys.stdout.write(line)
    return 0


def only(shown: Iterable[str], pids: set[int]) -> Iterator[str]:
    """Yield the lines of ps(1) that are about these processes, after their header."""
    lines = iter(shown)
    header = next(lines, "")
    names = header.split()
    if "PID" not in names:
        raise InvalidRequest("cannot find the column PID in what ps says", "", "Ask ps for it.")
    place = names.index("PID")
    yield header
    wanted = {str(pid) for pid in pids}
    # A process may have written anything into a column before that of its PID, also more digits
    # than int() reads. So the texts are compared.
    yield from (line for line in lines if wanted.intersection(line.split()[place : place + 1]))


def _all_processes(options: tuple[str, ...] | list[str]) -> Iterator[str]:
    """Yield the lines that ps(1) prints, one at a time: command lines may be long, and many."""
    import subprocess

    try:
        ps = subprocess.Popen(["ps", *options], stdout=subprocess.PIPE)
    except FileNotFoundError:
        raise NotFound("there is no ps on this machine", "", "Use --format json.") from None
    with ps:
        assert ps.stdout
        # A carriage return in a process's name, which ps lets through, ends no line.
        yield from TextIOWrapper(ps.stdout, errors="replace", newline="\n")
    if ps.returncode:
        raise InvalidRequest(f"ps {' '.join(options)} failed", f"exit code {ps.returncode}")
