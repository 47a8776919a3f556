"""What the server has of a command process that it forked (child.py)."""

from __future__ import annotations

import os
import socket
from dataclasses import dataclass


@dataclass(slots=True, eq=False)
class Child:
    """A process for a command, and the line to who typed it; None: it waits for one."""

    pidfd: int
    house: socket.socket
    line: socket.socket | None = None
    until: float = 0  # on the monotonic clock: when it is to have followed its client
    spare: socket.socket | None = None  # the line to a monitor, as long as it may take that

    def numbers(self) -> list[int]:
        """Return its descriptors."""
        lines = [self.house] if self.line is None else [self.house, self.line]
        return [self.pidfd, *(line.fileno() for line in lines)]

    def close(self) -> None:
        """Close all."""
        os.close(self.pidfd)
        self.house.close()
        for line in (self.line, self.spare):
            if line is not None:
                line.close()
