"""Who talks to whom: a server that tells each client its address, and the client.

peer.py serve PORT              TCP and UDP, IPv4 and IPv6; prints "up"
peer.py ask tcp|udp HOST PORT   prints how the server sees us, "timeout" or why not
"""

from __future__ import annotations

import contextlib
import os
import selectors
import socket
import sys

PATIENCE = float(os.environ.get("MINIRT_TEST_PATIENCE") or 1)


def serve(port: int) -> None:
    """Answer for ever."""
    chooser = selectors.DefaultSelector()
    for kind in (socket.SOCK_STREAM, socket.SOCK_DGRAM):
        one = socket.socket(socket.AF_INET6, kind)
        one.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        one.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0)
        one.bind(("::", port))
        if kind == socket.SOCK_STREAM:
            one.listen()
        chooser.register(one, selectors.EVENT_READ, kind)
    print("up", flush=True)
    while True:
        for key, _ in chooser.select():
            assert isinstance(key.fileobj, socket.socket)
            answer(key.fileobj, key.data)


def answer(listener: socket.socket, kind: int) -> None:
    """Tell one client how we see it."""
    if kind == socket.SOCK_DGRAM:
        _, client = listener.recvfrom(100)
        with contextlib.suppress(OSError):  # There may be no way back, at this moment.
            listener.sendto(plain(client[0]), client)
        return
    stream, client = listener.accept()
    with stream:
        stream.sendall(plain(client[0]))


def plain(address: str) -> bytes:
    """Write an IPv4 address as such."""
    return address.removeprefix("::ffff:").encode()


def ask(protocol: str, host: str, port: int) -> str:
    """Return the server's answer."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    kind = socket.SOCK_STREAM if protocol == "tcp" else socket.SOCK_DGRAM
    with socket.socket(family, kind) as one:
        one.settimeout(0.7 * PATIENCE)
        try:
            one.connect(socket.getaddrinfo(host, port, family, kind)[0][4])  # fe80::1%eth0 too
            if protocol == "udp":
                one.send(b"?")
            return one.recv(100).decode() or "closed"
        except TimeoutError:
            return "timeout"
        except OSError as error:
            return str(error.strerror)


if __name__ == "__main__":
    match sys.argv[1:]:
        case ["serve", number]:
            serve(int(number))
        case ["ask", protocol, host, number]:
            print(ask(protocol, host, int(number)))
