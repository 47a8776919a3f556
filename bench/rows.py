"""What is measured, in Docker's words, and what minirt is to reach."""

from __future__ import annotations

import json
import os
import re
import subprocess
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

from bench.world import PATIENCE, World

GIGABYTE = 1 << 30
LINE = "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcde"
OBEDIENT = """sh -c "trap 'exit 0' TERM; sleep 99 & wait" """
SHORT = "run -d --network mynet --name short busybox"
MILLISECONDS = "ms"
_SETTLING = 7  # seconds; minirt has a child ready for five, with pages of its own


@dataclass(frozen=True, slots=True)
class Row:
    """One line of the table. ``most`` of the ratios to a peer is the target; of rates the least."""

    title: str
    measure: Callable[[World, int], list[float]]
    most: Mapping[str, float] = field(default_factory=dict)
    unit: str = MILLISECONDS
    rounds: int = 5  # how often the engines take turns
    count: int = 5  # measurements in a round
    is_quick: bool = False  # also measured by "--quick"


def timed(
    words: str, *, before: str = "", after: str = "", quick: bool = False, **most: float
) -> Row:
    """Return a row of one command, timed by hyperfine(1) without a shell in between."""
    return Row(words.strip(), partial(_time, words, before, after), most, is_quick=quick)


def _time(words: str, before: str, after: str, world: World, count: int) -> list[float]:
    export = world.folder / "hyperfine.json"
    options = ["--shell=none", "--style=none", f"--export-json={export}", "--warmup=1"]
    program = " ".join(world.program)
    for option, around in (("--prepare", before), ("--conclude", after)):
        if around:
            options += [option, f"{program} {world.engine.words(around)}"]
    command = f"{program} {world.engine.words(words)}"
    subprocess.run(
        ["hyperfine", *options, "--runs", str(count), command],
        check=True,
        capture_output=True,
        timeout=PATIENCE,
    )
    times: list[float] = json.loads(export.read_text())["results"][0]["times"]
    return [one * 1000 for one in times]


def until_it_answers(world: World, count: int) -> list[float]:
    """Time "run -d" until another container finds it by its name and gets an answer."""
    found = []
    ask = "exec box sh -c 'until ping -c 1 -W 1 fresh >/dev/null 2>&1; do sleep 0.002; done'"
    for _ in range(count):
        with subprocess.Popen(world.spoken(ask)) as asker:
            time.sleep(0.3)  # It asks already when the container is born.
            begin = time.perf_counter()
            world.call("run -d --network mynet --name fresh busybox sleep 99")
            try:
                asker.wait(20)
                found.append((time.perf_counter() - begin) * 1000)
            except subprocess.TimeoutExpired:
                asker.kill()
        world.call("rm -f fresh")
    if len(found) < count:
        raise RuntimeError("it does not resolve, or does not answer, within 20 s")
    return found


def crowd(size: int, shells: int, world: World, count: int) -> list[float]:
    """Time ``size`` times "run -d" from so many shells at once, then the removal of all."""
    found = []
    for _ in range(count):
        names = [f"crowd{number}" for number in range(size)]
        start = [*world.program, "run", "-d", "--network", "mynet", "--name", "NAME", "busybox"]
        words = ["xargs", f"-P{shells}", "-INAME", *start, "sleep", "999"]
        begin = time.perf_counter()
        done = subprocess.run(
            words, input="\n".join(names), capture_output=True, text=True, check=False
        )
        world.call(f"rm -f {' '.join(names)}")
        found.append((time.perf_counter() - begin) * 1000)
        if done.returncode:
            raise RuntimeError(done.stderr[-300:])
    return found


def output(log: str, size: int, world: World, count: int) -> list[float]:
    """Return the megabytes in a second that a foreground run hands on into a pipe.

    Without a log by a program that prints as fast as it can: ``yes | head`` prints 300 MB/s on
    two processors, and would be what is measured. A log is of lines.
    """
    program = f"yes {LINE} | head -c {size}"
    if log == "none":
        program = f"dd if=/dev/zero bs=64k count={size >> 16} 2>/dev/null"
    words = f"run --rm --network none --log-driver {log} busybox sh -c '{program}'"
    found = []
    for _ in range(count):
        begin = time.perf_counter()
        with (
            subprocess.Popen(world.spoken(words), stdout=subprocess.PIPE) as run,
            subprocess.Popen(["wc", "-c"], stdin=run.stdout, stdout=subprocess.PIPE) as reader,
        ):
            assert run.stdout and reader.stdout
            run.stdout.close()
            if int(reader.stdout.read()) != size:
                raise RuntimeError("not all of it has arrived")
        found.append(size / 1e6 / (time.perf_counter() - begin))
    return found


@contextmanager
def _idle(number: int, world: World) -> Iterator[None]:
    """Keep ``number`` idle containers during the body, which begins when all has settled."""
    names = " ".join(f"idle{one}" for one in range(number))
    for name in names.split():
        world.call(f"run -d --network mynet --name {name} busybox sleep 999")
    time.sleep(_SETTLING)
    yield
    world.call(f"rm -f {names}")


def memory(size: int, world: World, count: int) -> list[float]:
    """Return the megabytes (Pss of proc_pid_smaps(5)) that idle containers cost, but their own."""
    with _idle(size, world):
        return [sum(map(_pss, _others())) / 1024 for _ in range(count)]


def wakeups(size: int, world: World, count: int) -> list[float]:
    """Return how often in a second an engine's processes are woken up, with idle containers."""
    found = []
    with _idle(size, world):
        for _ in range(count):
            before, seconds = {pid: _switches(pid) for pid in _others()}, 10
            time.sleep(seconds)
            found.append(sum(_switches(pid) - was for pid, was in before.items()) / seconds)
    return found


def _others() -> list[int]:
    """Return the processes of this world that are neither ours nor the containers' own."""
    pids = [int(one.name) for one in Path("/proc").iterdir() if one.name.isdigit()]
    own = {1, os.getpid(), os.getppid()}
    return [pid for pid in pids if pid not in own and not _words(pid).startswith(b"sleep\0")]


def _words(pid: int) -> bytes:
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes()
    except OSError:
        return b""


def _pss(pid: int) -> int:
    try:
        text = Path(f"/proc/{pid}/smaps_rollup").read_text()
    except OSError:
        return 0
    return int(re.findall(r"^Pss:\s+(\d+)", text, re.MULTILINE)[0])


def _switches(pid: int) -> int:
    """Return how often the threads of a process have got a processor (/proc/PID/schedstat)."""
    tasks = Path(f"/proc/{pid}/task")
    try:
        return sum(int((one / "schedstat").read_text().split()[2]) for one in tasks.iterdir())
    except OSError:
        return 0


ROWS = (
    timed("run --rm --network mynet busybox true", quick=True, docker=0.12, podman=0.18),
    timed("run --rm --network mynet -p 8080:80 busybox true", docker=0.12),
    timed("run --rm --network bridge busybox true"),
    timed("run --rm --network none busybox true", quick=True, docker=0.15),
    timed("exec box true", quick=True, docker=0.30, podman=0.15),
    timed(f"{SHORT} sleep 99", after="rm -f short", quick=True),
    timed("stop short", before=f"{SHORT} {OBEDIENT}", after="rm -f short", docker=0.2),
    timed("rm -f short", before=f"{SHORT} sleep 99", quick=True, docker=0.2),
    timed("network create other", after="network rm other", docker=0.3),
    timed("network rm other", before="network create other", docker=0.35),
    timed("ps"),
    timed("inspect box"),
    timed("--help", quick=True),
    Row("run -d until it resolves and answers", until_it_answers, {"docker": 0.15}),
    Row("20 × run -d, then rm -f", partial(crowd, 20, 1), rounds=1, count=1, is_quick=True),
    Row("100 × run -d, then rm -f", partial(crowd, 100, 1), {"docker": 0.12}, rounds=2, count=1),
    Row("100 × run -d from 4 shells, rm -f", partial(crowd, 100, 4), rounds=2, count=1),
    Row("printing, without a log", partial(output, "none", GIGABYTE), {"docker": 3}, "MB/s", 3, 1),
    Row("printing, with a log", partial(output, "json-file", GIGABYTE // 8), {}, "MB/s", 3, 1),
    Row("20 idle containers", partial(memory, 20), {"docker": 0.3}, "MB", rounds=1, count=1),
    Row("50 idle containers, woken up", partial(wakeups, 50), {}, "1/s", rounds=1, count=1),
)
