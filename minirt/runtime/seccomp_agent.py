"""The supervisor of a seccomp filter: a program that answers system calls in the kernel's place.

seccomp(2) returns a *listener* to the process that loads a filter with SCMP_ACT_NOTIFY in it: a
descriptor that hears of these calls (seccomp_unotify(2)). It is sent to the supervisor's Unix
socket, together with the state of the container.

The filter may name any system call, sendmsg(2) too, and a call that the supervisor is to answer
waits until the supervisor has the listener. So a *courier* sends it, a child that is not filtered
because it is born before. It shares the table of descriptors (CLONE_FILES), and knows which number
the listener is going to have:

    init                                   courier
      |  -- clone3, CLONE_FILES ------------> |
      |  seccomp(2) opens descriptor N        |   looks until descriptor N is open
      |  (from now on any call may wait       |   sends it, and closes it
      |   for the supervisor's answer)        |
      |  <-- wait4(2): the exit code ---------|   0, or the errno of what went wrong

If it can't be sent it is closed: then the kernel answers such calls with ENOSYS, and nobody waits.

Source: OCI runtime-spec 1.2, config-linux.md, "The Container Process State".
"""

from __future__ import annotations

import errno
import fcntl
import json
import os
import socket
import struct
import time
from collections.abc import Callable, Mapping
from typing import Any

from minirt.errors import InvalidRequest
from minirt.kernel import clone, processes
from minirt.runtime.document import Place
from minirt.runtime.hooks import State
from minirt.runtime.spec import OCI_VERSION

_BETWEEN_LOOKS = 50e-6  # seconds


class Agent:
    """A connection to the supervisor."""

    __slots__ = ("_line", "_message", "_metadata")

    def __init__(self, line: socket.socket, metadata: str) -> None:
        self._line, self._metadata = line, metadata
        self._message = b""

    def __reduce__(self) -> tuple[Any, ...]:
        """Be sent to a process that has the same descriptor."""
        return _of_descriptor, (self.fileno(), self._metadata)

    def fileno(self) -> int:
        """Return the descriptor."""
        return self._line.fileno()

    def close(self) -> None:
        """Close this process's end."""
        self._line.close()

    def introduce(self, pid: int, state: State) -> None:
        """Write down who the descriptor is about: the process, and its container."""
        document = {
            "ociVersion": OCI_VERSION,
            "fds": ["seccompFd"],
            "pid": pid,
            "metadata": self._metadata,
            "state": state.document(),
        }
        self._message = json.dumps(document).encode()

    def hand_over(self, load: Callable[[], int]) -> None:
        """Load the filter by ``load``, and have the listener sent that it returns. Raises OSError.

        The caller must have no threads: they could open a descriptor meanwhile.
        """
        first = os.dup(self.fileno())  # The lowest free number: the pidfd of the courier takes it.
        listener = os.dup(self.fileno())  # The next one.
        os.close(first)
        os.close(listener)
        init = os.getpid()
        courier = clone.clone(lambda: self._deliver(listener, init), shares_files=True)
        try:
            load()
        except BaseException:
            processes.kill_by_pidfd(courier.pidfd)
            raise
        try:
            code = os.waitstatus_to_exitcode(os.waitpid(courier.pid, 0)[1])
        except OSError:
            return  # The filter forbids to wait. The courier keeps its table across our execve(2).
        self._line.detach()  # The courier has closed it.
        if code:
            code = code if code > 0 else errno.EIO
            raise OSError(code, os.strerror(code))

    def _deliver(self, listener: int, init: int) -> int:
        """Be the courier: return 0, or the errno of what went wrong."""
        while not _is_open(listener):
            if os.getppid() != init:
                return errno.ESRCH
            time.sleep(_BETWEEN_LOOKS)
        rights = [(socket.SOL_SOCKET, socket.SCM_RIGHTS, struct.pack("i", listener))]
        try:
            self._line.sendmsg([self._message], rights, socket.MSG_NOSIGNAL)
        except OSError as error:
            return error.errno or errno.EIO
        finally:
            os.close(listener)
            self._line.close()
        return 0


def _is_open(fd: int) -> bool:
    try:
        fcntl.fcntl(fd, fcntl.F_GETFD)
    except OSError:
        return False
    return True


def _of_descriptor(fd: int, metadata: str) -> Agent:
    return Agent(socket.socket(socket.AF_UNIX, socket.SOCK_STREAM, fileno=fd), metadata)


def connect(rules: Mapping[str, Any]) -> Agent:
    """Connect to linux.seccomp.listenerPath. Raises InvalidRequest."""
    place = Place(rules, "linux.seccomp")
    path = place.get("listenerPath").text("")
    if not path:
        place.get("listenerPath").refuse("is missing, and a rule has the action SCMP_ACT_NOTIFY")
    place.get("listenerPath").absolute()
    metadata = place.get("listenerMetadata").text("")
    line = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        line.setblocking(False)  # Nobody waits for a supervisor that does not accept.
        line.connect(path)
        line.setblocking(True)
    except OSError as error:
        line.close()
        why = error.strerror or str(error)
        raise InvalidRequest(f"Nobody supervises system calls at {path}", why) from error
    return Agent(line, metadata)
