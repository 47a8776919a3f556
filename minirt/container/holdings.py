"""What a monitor holds, and the kernel takes back when it dies."""

from __future__ import annotations

import os
import socket
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from minirt.container.loop import Loop
from minirt.network import resolver_link
from minirt.network.ports import Binding


@dataclass(slots=True)
class Holdings:
    """Locks, leases, ports and DNS sockets: descriptors whose last copy the monitor has."""

    alive: tuple[Path, int]
    leases: dict[str, tuple[Path, int]] = field(default_factory=dict)  # network -> file, lock
    bindings: list[Binding] = field(default_factory=list)
    names: tuple[int, ...] = ()  # the sockets at 127.0.0.11: UDP, TCP
    introduction: dict[str, Any] = field(default_factory=dict)  # what the resolver is told
    link: socket.socket | None = None  # the connection to the resolver that reads the sockets
    shared: list[int] = field(default_factory=list)  # of the container whose network we joined

    def descriptors(self) -> set[int]:
        """Return all descriptors."""
        ports = {fd for one in self.bindings for fd in one.sockets}
        leases = {fd for _, fd in self.leases.values()}
        return {self.alive[1], *leases, *ports, *self.names, *self.shared}

    def take_names(self, message: dict[str, Any], fds: list[int]) -> None:
        """Take the DNS sockets, and perhaps the connection to their resolver, from a message."""
        if not message.get("introduction"):
            return
        self.introduction = message["introduction"]
        if message.get("sockets"):
            self.names = tuple(fds[:2])
            fds = fds[2:]
        if self.link is not None:
            self.link.close()
        self.link = socket.socket(fileno=fds[0]) if fds else None

    def keep_names_served(self, loop: Loop) -> None:
        """Introduce this container to its resolver, and again to the next one if that dies."""
        if self.introduction:
            link = self.link or resolver_link.connect(str(self.introduction["resolver"]))
            resolver_link.introduce(link, self.introduction, self.names)
            self.link = link
            loop.on_readable(link.fileno(), lambda: self._lost(loop))

    def _lost(self, loop: Loop) -> None:
        """The resolver has died; its queries wait in our sockets: start another one."""
        assert self.link is not None
        if self.link.recv(1):
            return
        loop.forget(self.link.fileno())
        self.link.close()
        self.link = None
        self.keep_names_served(loop)

    def answer(
        self, request: dict[str, Any], fds: list[int]
    ) -> tuple[dict[str, Any], tuple[int, ...]]:
        """Do what another command asks: hold or drop a lease, share all, rename."""
        match request["do"]:
            case "hold":
                self.leases[request["network"]] = (Path(request["path"]), fds[0])
            case "drop":
                path, fd = self.leases.pop(request["network"])
                path.unlink(missing_ok=True)
                os.close(fd)
            case "share":
                held = [fd for _, fd in self.leases.values()]
                return {"ok": True}, (*held, *self.names)
        return {"ok": True}, ()
