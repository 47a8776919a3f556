"""IPv4 ports of the host while they lead nowhere: who connects is turned away at once.

The packet filter leads what comes to a published port elsewhere. What arrives at the socket that
holds it comes after somebody emptied the filter; the kernel would accept it, and nobody would
ever answer.
"""

from __future__ import annotations

import os
import socket
import struct
from collections.abc import Callable

from minirt.container.loop import Loop
from minirt.network.port_binding import Binding

_RESET = struct.pack("ii", 1, 0)  # struct linger: close(2) sends RST rather than FIN


def guard(loop: Loop, binding: Binding) -> None:
    """Turn away who connects to the socket of an IPv4 port, rather than let him wait."""
    if binding.protocol == "tcp" and not binding.is_v6:
        for fd in binding.sockets:
            os.set_blocking(fd, False)
            loop.on_readable(fd, _turning_away(fd))


def _turning_away(fd: int) -> Callable[[], None]:
    def turn_away() -> None:
        listener = socket.socket(fileno=fd)
        try:
            client, _ = listener.accept()
            client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)
            client.close()
        except OSError:
            pass  # He has gone already.
        finally:
            listener.detach()

    return turn_away
