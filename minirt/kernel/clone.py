"""A child born into new namespaces, and into its cgroup, with one call (clone3(2)).

Python has no wrapper. The call is made as os.fork() makes it: the interpreter's own
preparations around it, and the interpreter's lock kept throughout (see ``libc``).
"""

from __future__ import annotations

import ctypes
import os
import signal
import struct
from collections.abc import Callable
from dataclasses import dataclass
from typing import NoReturn

from minirt.kernel import libc, namespaces
from minirt.kernel.namespaces import Namespace
from minirt.kernel.processes import CRASHED

NONE = Namespace(0)
_CLONE_FILES = 0x400
_CLONE_PIDFD = 0x1000
_CLONE_PARENT = 0x8000
_CLONE_INTO_CGROUP = 1 << 33
# struct clone_args: flags, pidfd, child_tid, parent_tid, exit_signal, stack, stack_size, tls,
# set_tid, set_tid_size, cgroup.
_CLONE_ARGS = struct.Struct("11Q")


@dataclass(frozen=True, slots=True)
class Child:
    """A process that was just born: its PID here, and a descriptor that names it for ever."""

    pid: int
    pidfd: int


def clone(
    main: Callable[[], int],
    kinds: Namespace = NONE,
    *,
    cgroup: int | None = None,
    as_sibling: bool = False,
    shares_files: bool = False,
) -> Child:
    """Run ``main`` in a child that is born in new namespaces of these ``kinds``.

    ``cgroup``: the open directory of a cgroup of version 2 to be born in. ``as_sibling``: the
    child of the caller's parent, CLONE_PARENT. ``shares_files``: it has the caller's table of
    descriptors and no copy, CLONE_FILES. The child exits with what ``main`` returns. Raises
    OSError, whose words name the limit or the switch that forbids the namespaces.
    """
    flags = int(kinds) | _CLONE_PIDFD
    flags |= 0 if cgroup is None else _CLONE_INTO_CGROUP
    flags |= _CLONE_PARENT if as_sibling else 0
    flags |= _CLONE_FILES if shares_files else 0
    pidfd = ctypes.c_int(-1)
    exit_signal = 0 if as_sibling else signal.SIGCHLD  # A sibling takes over its own parent's.
    words = (flags, ctypes.addressof(pidfd), 0, 0, exit_signal, 0, 0, 0, 0, 0, cgroup or 0)
    arguments = ctypes.create_string_buffer(_CLONE_ARGS.pack(*words), _CLONE_ARGS.size)
    python = ctypes.pythonapi
    python.PyOS_BeforeFork()
    try:
        pid = libc.syscall("clone3", arguments, _CLONE_ARGS.size)
    except BaseException as error:
        python.PyOS_AfterFork_Parent()
        if isinstance(error, OSError):
            raise namespaces.refusal(error, kinds) from None
        raise
    if pid:
        python.PyOS_AfterFork_Parent()
        return Child(pid, pidfd.value)
    python.PyOS_AfterFork_Child()
    return _live(main)


def _live(main: Callable[[], int]) -> NoReturn:
    status = CRASHED
    try:
        status = main()
    finally:
        os._exit(status)
