"""Processes: be born, be watched, be killed (fork(2), pidfd_open(2), wait(2), prctl(2))."""

from __future__ import annotations

import ctypes
import os
import select
import signal
import sys
import time
from collections.abc import Callable
from pathlib import Path

from minirt.kernel import libc
from minirt.kernel.steps import step

SIGNAL_BASE = 128  # A shell says 128 + N for "killed by signal N" (bash(1), EXIT STATUS).
_CPUCLOCK_SCHED = 2  # linux/posix-timers_types.h: all threads', user's and kernel's time
CRASHED = 70  # EX_SOFTWARE of sysexits(3).


def fork(main: Callable[[], int]) -> int:
    """Run ``main`` in a child process and return the child's PID.

    The child never returns into the caller's code: it exits with what ``main``
    returns, without the parent's exit handlers.
    """
    sys.stdout.flush()
    sys.stderr.flush()
    pid = os.fork()
    if pid != 0:
        return pid
    status = CRASHED
    try:
        status = main()
    except KeyboardInterrupt:
        status = SIGNAL_BASE + signal.SIGINT
    except BaseException:
        sys.excepthook(*sys.exc_info())  # what traceback would print
    finally:
        os._exit(status)


def exit_code(status: int) -> int:
    """Return a wait(2) status as a shell would tell it."""
    code = os.waitstatus_to_exitcode(status)
    return code if code >= 0 else SIGNAL_BASE - code


def wait(pid: int) -> int:
    """Wait for the child ``pid``; return its exit status as a shell would."""
    return exit_code(os.waitpid(pid, 0)[1])


def collect(pidfd: int) -> int:
    """Wait for the child of ``pidfd``; return its exit status as a shell would (waitid(2)).

    While another process traces the dead child, its status goes to that one (ptrace(2)): then it
    is that of a process that was killed.
    """
    wait_until_dead(pidfd)
    found = os.waitid(os.P_PIDFD, pidfd, os.WEXITED | os.WNOHANG)
    if found is None:
        return SIGNAL_BASE + signal.SIGKILL
    return found.si_status + (0 if found.si_code == os.CLD_EXITED else SIGNAL_BASE)


def processor_time(pid: int) -> float:
    """Return the seconds that ``pid`` has had of processors (clock_getcpuclockid(3)).

    Raises OSError if there is no such process.
    """
    return time.clock_gettime(~pid << 3 | _CPUCLOCK_SCHED)


def start_time(pid: int) -> int:
    """Return when ``pid`` was born, in clock ticks since boot (proc_pid_stat(5), field 22).

    With the PID it names a process for ever: PIDs are used again, the pair is not.
    Raises ProcessLookupError.
    """
    try:
        text = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace")
    except FileNotFoundError:
        raise ProcessLookupError(pid) from None
    return int(text.rpartition(")")[2].split()[19])


def open_pidfd(pid: int, born: int | None = None) -> int:
    """Open a descriptor that names the process, pidfd_open(2).

    With ``born``, its :func:`start_time`, only that very process will do. The descriptor is
    opened first and the time compared afterwards: it can't change hands in between.
    Raises ProcessLookupError.
    """
    fd = os.pidfd_open(pid)
    if born is not None:
        try:
            if start_time(pid) != born:
                raise ProcessLookupError(pid)
        except ProcessLookupError:
            os.close(fd)
            raise
    return fd


def wait_until_dead(pidfd: int, seconds: float | None = None) -> bool:
    """Wait until the process of ``pidfd`` has ended; say whether it has (poll(2))."""
    poll = select.poll()
    poll.register(pidfd, select.POLLIN)
    return bool(poll.poll(None if seconds is None else seconds * 1000))


def pid_as_seen_from_proc(pidfd: int) -> int:
    """Return the PID of ``pidfd`` in the PID namespace of the mounted /proc (proc(5), fdinfo).

    A process in a PID namespace of its own sees other numbers than those that its /proc,
    mounted outside, shows.
    """
    for line in Path(f"/proc/self/fdinfo/{pidfd}").read_text().splitlines():
        if line.startswith("Pid:"):
            return int(line.split()[1])
    raise ProcessLookupError(pidfd)


def close_all_but(kept: set[int]) -> None:
    """Close every descriptor that is not in ``kept``, close_range(2)."""
    lowest = 0
    for fd in [*sorted(kept), 1 << 31]:
        if fd > lowest:
            libc.syscall("close_range", lowest, fd - 1, 0)
        lowest = fd + 1


def own_pid_as_seen_from_proc() -> int:
    """Return this process's PID in the PID namespace of the mounted /proc (proc(5), self)."""
    return int(Path("/proc/self").readlink().name)


def parent_as_seen_from_proc() -> int:
    """Return the PID of this process's parent in the PID namespace of the mounted /proc."""
    _, _, fields = Path("/proc/self/stat").read_text().rpartition(")")
    return int(fields.split()[1])


def kill(pid: int) -> int:
    """Kill the child ``pid`` and reap it.

    A child keeps its PID until it is reaped, so the signal cannot hit a stranger.
    """
    with step("kill it", "kill", "-KILL", pid):
        os.kill(pid, signal.SIGKILL)
    return wait(pid)


def kill_by_pidfd(pidfd: int, seconds: float | None = None) -> None:
    """Kill the process that ``pidfd`` names, wait for its end, and close the descriptor.

    A child is reaped, too, unless another process traces it. It is waited for no longer than
    ``seconds``: a tracer can keep a process from its end (ptrace(2), PTRACE_EVENT_EXIT).
    """
    try:
        signal.pidfd_send_signal(pidfd, signal.SIGKILL)
    except ProcessLookupError:
        pass  # Dead already, or even collected.
    wait_until_dead(pidfd, seconds)
    try:
        os.waitid(os.P_PIDFD, pidfd, os.WEXITED | os.WNOHANG)
    except ChildProcessError:
        pass  # Somebody else's child, or collected before.
    os.close(pidfd)


def hide_command_line(title: str) -> None:
    """Replace the words that this process was started with by ``title``, as far as there is room.

    Every process that sees this one can read them (proc_pid_cmdline(5)), and children inherit them.
    They are at the addresses in fields 48 and 49 of proc_pid_stat(5).
    """
    fields = Path("/proc/self/stat").read_text(errors="replace").rpartition(")")[2].split()
    start, end = int(fields[45]), int(fields[46])
    if start and end > start:
        ctypes.memset(start, 0, end - start)
        shown = os.fsencode(title)[: end - start - 1]
        ctypes.memmove(start, shown, len(shown))


def is_stopped(pid: int) -> bool:
    """Say whether a process is stopped by a signal or by a tracer (proc_pid_stat(5), field 3)."""
    try:
        text = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace")
    except (FileNotFoundError, ProcessLookupError):
        return False
    return text.rpartition(")")[2].split()[0] in "Tt"
