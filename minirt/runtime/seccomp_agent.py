"""The supervisor of a seccomp filter: a program that answers system calls in the kernel's place.

Who loads a filter with SCMP_ACT_NOTIFY in it gets a descriptor that hears of these calls
(seccomp_unotify(2)). It is sent to a Unix socket, together with who it is about.

Source: OCI runtime-spec 1.2, config-linux.md, "The Container Process State".
"""

from __future__ import annotations

import json
import os
import socket
import struct
from collections.abc import Mapping
from typing import Any

from minirt.errors import InvalidRequest
from minirt.runtime.document import Place
from minirt.runtime.hooks import State
from minirt.runtime.spec import OCI_VERSION

CALLS = ("sendmsg", "close")  # What it takes when the filter is in force already.


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

    def hand_over(self, listener: int) -> None:
        """Send the descriptor; nobody here keeps it. Raises OSError."""
        rights = [(socket.SOL_SOCKET, socket.SCM_RIGHTS, struct.pack("i", listener))]
        self._line.sendmsg([self._message], rights, socket.MSG_NOSIGNAL)
        self._line.close()
        os.close(listener)


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
        line.connect(path)
    except OSError as error:
        line.close()
        why = error.strerror or str(error)
        raise InvalidRequest(f"Nobody supervises system calls at {path}", why) from error
    return Agent(line, metadata)
