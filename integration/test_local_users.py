"""What a local user without rights sees and reaches of minirt's processes: only that they exist.

Such a user may look at /proc, at the names of sockets, and at folders that every user may enter.
"""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from integration.conftest import Minirt
from integration.containers import monitor_of, pid_of
from integration.naming import resolver_pid
from integration.sandbox import shell, started, wait_until
from integration.traces import Ground
from integration.warm import servers

NOBODY = 65534
SECRET = "PASSWORD=hunter2-in-memory"

# Prints what it could open, read, signal or connect to: RUN PID….
LOCAL_USER = f"""
import os, socket, sys
os.setgroups([])
os.setresgid({NOBODY}, {NOBODY}, {NOBODY})
os.setresuid({NOBODY}, {NOBODY}, {NOBODY})
def attempt(what, call, *words):
    try:
        call(*words)
    except OSError:
        return
    print(what, *words)
run, *pids = sys.argv[1:]
for pid in pids:
    for name in ("environ", "maps", "mem", "auxv", "stack", "syscall", "io", "pagemap"):
        attempt("read", lambda path: open(path, "rb").read(1), f"/proc/{{pid}}/{{name}}")
    for name in ("exe", "cwd", "root", "ns/net", "ns/mnt", "ns/pid"):
        attempt("follow", os.stat, f"/proc/{{pid}}/{{name}}")
    for name in ("fd", "fdinfo", "map_files"):
        attempt("list", os.listdir, f"/proc/{{pid}}/{{name}}")
    attempt("signal", os.kill, int(pid), 0)
names = [line.split()[7] for line in open("/proc/net/unix") if len(line.split()) > 7]
ours = [name for name in names if name.startswith(run)]
for name in [*ours, *(f"{{where}}/{{one}}" for where, _, files in os.walk(run) for one in files)]:
    for kind in (socket.SOCK_STREAM, socket.SOCK_SEQPACKET):
        attempt("connect", lambda path: socket.socket(socket.AF_UNIX, kind).connect(path), name)
attempt("list", os.listdir, run)
print("cmdlines", *(open(f"/proc/{{pid}}/cmdline").read().count("hunter2") for pid in pids))
"""


def open_to_others(run: Path, *pids: int) -> list[str]:
    """Return what a local user could do, a line for each thing."""
    *found, cmdlines = shell(sys.executable, "-c", LOCAL_USER, run, *pids).stdout.splitlines()
    assert cmdlines.split()[1:] == ["0"] * len(pids)
    return found


@pytest.fixture
def in_reach(ground: Ground) -> None:
    """Let every user come as far as the run folder, as on a host whose /run is open."""
    for above in ground.run.parents[:-1]:
        above.chmod(above.stat().st_mode | 0o011)


@pytest.mark.usefixtures("in_reach")
def test_local_user_reaches_neither_processes_nor_sockets(
    minirt: Minirt, image: str, ground: Ground
) -> None:
    minirt("network", "create", "net1")
    words = ("--net", "net1", "-p", "8080:80", "-e", SECRET, image, "sleep", "1000")
    minirt("run", "-d", "--name", "one", *words)
    helpers = (monitor_of(minirt, "one"), resolver_pid("net1"), *servers(ground.run))
    assert len(helpers) == 3
    assert open_to_others(ground.run, *helpers, pid_of(minirt, "one")) == []


@pytest.mark.usefixtures("in_reach")
def test_processes_and_folders_of_the_same_user_are_open(
    minirt: Minirt, image: str, ground: Ground
) -> None:
    """The control: a process of that very user, and a run folder that is not closed."""
    minirt("run", "-d", "--name", "one", "--net", "none", image, "sleep", "1000")
    ground.run.chmod(0o755)
    words = ("setpriv", f"--reuid={NOBODY}", f"--regid={NOBODY}", "--clear-groups", "sleep", "100")
    with started(*words) as theirs:
        comm = Path(f"/proc/{theirs.pid}/comm")
        wait_until(lambda: comm.read_text() == "sleep\n", "the end of setpriv's work")
        found = open_to_others(ground.run, theirs.pid)
    assert f"list {ground.run}" in found
    assert f"read /proc/{theirs.pid}/environ" in found
    assert f"signal {theirs.pid} 0" in found
