"""What a process leaves behind before it goes among strangers.

It was forked from a process of the host, and carries that one's descriptors, signal
handling, memory and ways to import code. Each of them has been the way out of some container.
"""

from __future__ import annotations

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


def with_standard(kept: Collection[int]) -> set[int]:
    """Return ``kept``, the standard streams, and what it takes to tell steps."""
    return {0, 1, 2, *kept, *steps.descriptors()}


def _forget_imports() -> None:
    """Import nothing any more: soon "/usr/lib" will be the container's."""
    sys.path[:] = []
    sys.path_hooks[:] = []
    sys.path_importer_cache.clear()
    sys.meta_path[:] = [importlib.machinery.BuiltinImporter, importlib.machinery.FrozenImporter]


def _reset_signals() -> None:
    """Undo what execve(2) would hand on: ignored signals (Python ignores SIGPIPE), the mask."""
    for number in signal.valid_signals() - {signal.SIGKILL, signal.SIGSTOP}:
        try:
            signal.signal(number, signal.SIG_DFL)
        except (OSError, ValueError):
            continue  # The two that the C library keeps for itself.
    signal.pthread_sigmask(signal.SIG_SETMASK, ())
