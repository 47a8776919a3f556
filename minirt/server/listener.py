"""The socket at which the server is called (unix(7))."""

from __future__ import annotations

import os
import socket
from pathlib import Path

from minirt.kernel import sockets


def listen(place: Path, name: str) -> socket.socket:
    """Return the listening socket FOLDER/NAME, for root alone; a dead server's is replaced."""
    (place / name).unlink(missing_ok=True)
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    with sockets.name_in(place, name) as path:
        before = os.umask(0o177)
        listener.bind(path)
        os.umask(before)
    listener.listen(128)
    return listener
