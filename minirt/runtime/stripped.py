"""What a process leaves behind before it goes among strangers.

It was forked from a process of the host, and carries that one's descriptors, signal
handling, memory and ways to import code. Each of them has been the way out of some container.
"""

from __future__ import annotations

import _signal  # its types are those of ``signal``
import fcntl
import gc
import importlib.machinery
import os
import signal
import sys
from collections.abc import Collection

from minirt.kernel import libc, processes, steps

_PR_SET_DUMPABLE = 4  # include/uapi/linux/prctl.h
_FIRST_FREE = 3
_KEPT = (32, 33)  # signals that the C library uses itself and gives to nobody, nptl(7)
_SIGACTION, _SIGSET = 32, 8  # bytes of the kernel's struct sigaction (all 0: SIG_DFL), of a mask


def strip(stdio: tuple[int, int, int] | None, kept: Collection[int]) -> None:
    """Keep ``stdio`` as descriptors 0 to 2, ``kept``, and nothing else.

    Not dumpable, no other process can look at its memory, its descriptors or its binary
    (ptrace(2), "Ptrace access mode checking"); execve(2) ends that.
    """
    gc.disable()  # Nothing lives long enough to be collected, and pauses would be the only effect.
    libc.prctl(_PR_SET_DUMPABLE, 0)
    _forget_imports()
    if stdio:
        above = [fcntl.fcntl(fd, fcntl.F_DUPFD_CLOEXEC, _FIRST_FREE) for fd in stdio]
        for number, fd in enumerate(above):
            os.dup2(fd, number)
    processes.close_all_but(with_standard(kept))
    _reset_signals()


def to_hand_on(count: int, own: Collection[int] = ()) -> tuple[int, ...]:
    """Return those of the ``count`` descriptors from 3 on that the caller has handed on to us.

    Without ``own``, and without what this process has opened: that is closed on exec, and what
    came here through execve(2) is not. ``count`` may be a billion: what is open is looked through.
    """
    if count <= 0:
        return ()
    others = {*own, *steps.descriptors()}
    asked = range(_FIRST_FREE, _FIRST_FREE + count)
    listed = sorted(int(name) for name in os.listdir("/proc/self/fd"))  # noqa: PTH208
    return tuple(fd for fd in listed if fd in asked and fd not in others and _came_by_exec(fd))


def _came_by_exec(fd: int) -> bool:
    try:
        return not fcntl.fcntl(fd, fcntl.F_GETFD) & fcntl.FD_CLOEXEC
    except OSError:
        return False  # It was the descriptor of the list itself.


def with_standard(kept: Collection[int]) -> set[int]:
    """Return ``kept``, the standard streams, and what it takes to tell steps."""
    return {0, 1, 2, *kept, *steps.descriptors()}


def _forget_imports() -> None:
    """Import nothing any more: soon "/usr/lib" will be the container's.

    Without its path finder the interpreter looks for modules in itself only.
    """
    sys.path[:] = []
    sys.meta_path[:] = [importlib.machinery.BuiltinImporter, importlib.machinery.FrozenImporter]


def _reset_signals() -> None:
    """Undo what execve(2) would hand on: ignored signals (Python ignores SIGPIPE), the mask.

    By the module below ``signal``, which doesn't make an enumeration of each number: 0.3 ms less.
    """
    for number in range(1, signal.NSIG):
        try:
            _signal.signal(number, 0)  # SIG_DFL
        except OSError:
            continue  # SIGKILL, SIGSTOP, and those of the C library.
    for number in _KEPT:
        libc.syscall("rt_sigaction", number, bytes(_SIGACTION), None, _SIGSET)
    _signal.pthread_sigmask(signal.SIG_SETMASK, ())
