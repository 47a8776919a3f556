"""Readiness (sd_notify(3)): what the container says of it goes on to the supervisor.

The supervisor's socket is not shown inside: who reaches it can name another main process, or
leave descriptors there. The container has a socket of its own, and of all that comes by it only
"READY=1" goes on, with the PID that ours is not. As with runc, whoever lets the command run
waits for that word, or for the container's end.
"""

from __future__ import annotations

import os
import select
import socket
from dataclasses import replace
from pathlib import Path

from minirt.kernel import sockets
from minirt.oci import log
from minirt.oci.records import Record
from minirt.runtime.spec import Mount, Spec

_PLACE, _NAME = "/run/notify", "notify.sock"  # where runc has it
_LONGEST = 1 << 16  # bytes of a message
_BARRIER = 30.0  # seconds for a supervisor to have read what it was sent


def told(spec: Spec, folder: Path) -> Spec:
    """Show the container the folder of its socket, and tell its command."""
    options = ("bind", "nosuid", "noexec", "nodev", "ro")
    mount = Mount(_PLACE, "bind", str(folder), options)
    env = (*spec.process.env, f"NOTIFY_SOCKET={_PLACE}/{_NAME}")
    return replace(spec, mounts=(*spec.mounts, mount), process=replace(spec.process, env=env))


def listen(folder: Path) -> socket.socket:
    """Open the container's socket, which any of its users may write to."""
    listening = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
    with sockets.name_in(folder, _NAME) as name:
        place = Path(name)
        place.unlink(missing_ok=True)
        listening.bind(name)
        place.chmod(0o777)
    return listening


def pass_on(listening: socket.socket, pidfd: int, record: Record) -> None:
    """Wait until the container is ready, and say so; or until it has ended."""
    poll = select.poll()
    for fd in (listening.fileno(), pidfd):
        poll.register(fd, select.POLLIN)
    with listening:
        while listening.fileno() in dict(poll.poll()):
            # Descriptors that come along are closed by the kernel: nobody asks for them.
            if b"READY=1" in listening.recv(_LONGEST).split(b"\n"):
                _tell(os.environ["NOTIFY_SOCKET"], record.pid)
                return


def _tell(supervisor: str, pid: int) -> None:
    try:
        _say(supervisor, pid)
    except OSError as error:
        log.warning(f"cannot tell {supervisor} of the readiness: {error.strerror or error}")


def _say(supervisor: str, pid: int) -> None:
    """Tell the supervisor, and wait until it has read it: it asks then who we are."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as line:
        line.settimeout(_BARRIER)  # Its queue may be full.
        line.connect("\0" + supervisor[1:] if supervisor.startswith("@") else supervisor)
        line.send(f"READY=1\nMAINPID={pid}\n".encode())
        read, write = os.pipe()
        socket.send_fds(line, [b"BARRIER=1"], [write])
        os.close(write)
        select.select([read], [], [], _BARRIER)  # until the last copy of the other end is closed
        os.close(read)
