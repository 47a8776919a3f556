"""The processes of a container, as ps(1) lists them (proc_pid_stat(5), proc_pid_status(5))."""

from __future__ import annotations

import os
import pwd
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from minirt.container import lifecycle
from minirt.container.record import Record
from minirt.errors import InvalidRequest
from minirt.kernel import bounded_read

DEFAULT = ("UID", "PID", "PPID", "C", "STIME", "TTY", "TIME", "CMD")
TICKS = os.sysconf("SC_CLK_TCK")
PSEUDOTERMINALS = range(136, 144)  # major numbers, admin-guide/devices.txt
MOST = 10_000  # processes that are listed
LONGEST = 4096  # bytes of a command line that are shown
CROWD, LONGEST_IN_CROWD = 500, 128  # beyond so many processes, only so many bytes of each
_CUT = " …"  # stands after what is shown of a longer command line


@dataclass(frozen=True, slots=True)
class Process:
    """One process, with the PIDs that the host counts."""

    pid: int
    parent: int
    uid: int
    state: str
    terminal: int
    cpu: float  # seconds
    born: float  # seconds since 1970
    resident: int  # bytes
    virtual: int  # bytes
    name: str
    command: str


def processes(one: Record) -> tuple[list[Process], int]:
    """Return the processes in a container's cgroup, those of ``exec`` among them.

    The container decides how many there are, and how long their command lines: the first
    :data:`MOST` are returned, and how many more there are.
    """
    pids = sorted(lifecycle.group_of(one).pids())
    longest = LONGEST if len(pids) <= CROWD else LONGEST_IN_CROWD
    found = (read(pid, longest) for pid in pids[:MOST])
    return [process for process in found if process is not None], len(pids[MOST:])


def read(pid: int, longest: int = LONGEST) -> Process | None:
    """Read what /proc tells of a process; None if it has ended meanwhile.

    Of its command line, which can be gigabytes long, ``longest`` bytes are read.
    """
    place = Path("/proc", str(pid))
    try:
        before, _, rest = (place / "stat").read_text(errors="replace").rpartition(")")
        line = bounded_read.beginning(place / "cmdline", longest + 1)
        uid = place.stat().st_uid
    except (FileNotFoundError, ProcessLookupError):
        return None
    name = before.partition("(")[2]
    shown = line[:longest].rstrip(b"\0").replace(b"\0", b" ").decode(errors="replace")
    command = shown + (_CUT if shown and len(line) > longest else "")
    field = rest.split()  # field[0] is number 3 of the man page
    return Process(
        pid=pid,
        parent=int(field[1]),
        uid=uid,
        state=field[0],
        terminal=int(field[4]),
        cpu=(int(field[11]) + int(field[12])) / TICKS,
        born=_boot_time() + int(field[19]) / TICKS,
        resident=int(field[21]) * os.sysconf("SC_PAGE_SIZE"),
        virtual=int(field[20]),
        name=name,
        command=command or f"[{name}]",
    )


def _boot_time() -> float:
    return time.time() - time.clock_gettime(time.CLOCK_BOOTTIME)


def table(found: Sequence[Process], words: Sequence[str]) -> list[list[str]]:
    """Return heads and rows; ``words`` are like those of ps(1): ``-o pid,comm``, ``-ef``.

    Raises InvalidRequest.
    """
    keys = _columns(words)
    heads = [HEADS.get(key.upper(), key.upper()) for key in keys]
    return [heads, *([COLUMNS[key.upper()](one) for key in keys] for one in found)]


def _columns(words: Sequence[str]) -> list[str]:
    text = " ".join(words)
    option, _, rest = text.partition("o")
    if option.strip() in ("-", "-e", "-A") and rest:
        keys = [key.strip() for key in rest.replace(" ", ",").split(",") if key.strip()]
    elif text in ("", "-ef", "-e", "-f", "-A", "-Af"):
        keys = list(DEFAULT)
    elif text in ("aux", "-aux", "u"):
        keys = ["USER", "PID", "%CPU", "VSZ", "RSS", "TTY", "STAT", "STIME", "TIME", "CMD"]
    else:
        raise InvalidRequest(f"top doesn't know {text}", "", "Write -ef, aux, or -o pid,user,comm.")
    unknown = [key for key in keys if key.upper() not in COLUMNS]
    if unknown or not keys:
        known = ", ".join(key.lower() for key in COLUMNS)
        raise InvalidRequest(f"top has no column {unknown}", "", f"There are: {known}.")
    return keys


def user(uid: int) -> str:
    """Return the host's name of a user, or its number."""
    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:
        return str(uid)


def terminal(number: int) -> str:
    """Return the name of a terminal from its device number (makedev(3))."""
    major, minor = os.major(number), os.minor(number)
    return f"pts/{minor}" if major in PSEUDOTERMINALS else ("?" if not number else f"tty{minor}")


def clock(seconds: float) -> str:
    """Return an amount of processor time: 00:01:07."""
    minutes, rest = divmod(int(seconds), 60)
    return f"{minutes // 60:02}:{minutes % 60:02}:{rest:02}"


def start(born: float) -> str:
    """Return the hour of today, or the day."""
    moment = time.localtime(born)
    today = time.localtime()[:3] == moment[:3]
    return time.strftime("%H:%M" if today else "%b%d", moment)


def _share(one: Process) -> float:
    return 100 * one.cpu / max(time.time() - one.born, 1 / TICKS)


HEADS = {"COMM": "COMMAND", "ARGS": "COMMAND", "PCPU": "%CPU", "S": "S"}
COLUMNS: dict[str, Callable[[Process], str]] = {
    "UID": lambda one: user(one.uid),
    "USER": lambda one: user(one.uid),
    "PID": lambda one: str(one.pid),
    "PPID": lambda one: str(one.parent),
    "C": lambda one: str(int(_share(one))),
    "%CPU": lambda one: f"{_share(one):.1f}",
    "PCPU": lambda one: f"{_share(one):.1f}",
    "STIME": lambda one: start(one.born),
    "TTY": lambda one: terminal(one.terminal),
    "TIME": lambda one: clock(one.cpu),
    "CMD": lambda one: one.command,
    "ARGS": lambda one: one.command,
    "COMMAND": lambda one: one.command,
    "COMM": lambda one: one.name,
    "STAT": lambda one: one.state,
    "S": lambda one: one.state,
    "RSS": lambda one: str(one.resident >> 10),
    "VSZ": lambda one: str(one.virtual >> 10),
}
