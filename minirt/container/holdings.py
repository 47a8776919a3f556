"""What a monitor holds, and the kernel takes back when it dies."""

from __future__ import annotations

import os
import socket
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from ipaddress import IPv4Interface, IPv6Interface, ip_interface
from pathlib import Path
from typing import Any

from minirt.container import closed_ports, joining, name_service
from minirt.container.datagrams import Relays
from minirt.container.joining import Joined
from minirt.container.loop import Loop
from minirt.container.splice import MOST, Splices
from minirt.errors import MinirtError
from minirt.kernel import descriptors, rlimits
from minirt.network import lending, port_binding, resolver_link
from minirt.network.port_binding import Binding

RETRY = 1.0  # seconds until a resolver that could not be started is tried again


@dataclass(slots=True)
class Holdings:
    """Locks, leases, ports and DNS sockets: descriptors whose last copy the monitor has."""

    container: str
    lock: int  # that says that the container lives
    # network -> file and lock of each address there
    leases: dict[str, list[tuple[Path, int]]] = field(default_factory=dict)
    bindings: list[Binding] = field(default_factory=list)
    names: tuple[int, ...] = ()  # the sockets at 127.0.0.11: UDP, TCP
    introduction: dict[str, Any] = field(default_factory=dict)  # what the resolver is told
    link: socket.socket | None = None  # the connection to the resolver that reads the sockets
    is_introduced: bool = False  # that resolver knows whom it serves
    # where the bindings lead: an address of each family that there is
    published_to: tuple[IPv4Interface | IPv6Interface, ...] = ()
    loop: Loop | None = None  # of the monitor, when it serves
    relays: dict[str, Splices | Relays] = field(default_factory=dict)  # by protocol
    joined: Joined | None = None  # what belongs to the container whose network we share
    heirs: list[str] = field(default_factory=list)  # ids of those who share ours
    ids: tuple[Path, int] | None = None  # the file and lock of the range of user ids

    def descriptors(self) -> set[int]:
        """Return all descriptors."""
        held = {fd for one in self.bindings for fd in one.sockets}
        held |= {fd for _, fd in self.locked()}
        joined = self.joined.descriptors() if self.joined else set()
        held |= {self.ids[1]} if self.ids else set()
        return {self.lock, *held, *self.names, *joined}

    def locked(self) -> list[tuple[Path, int]]:
        """Return the files of all leases, with their locks."""
        return [lease for network in self.leases.values() for lease in network]

    def take_names(self, introduction: dict[str, Any], fds: Sequence[int]) -> None:
        """Take the DNS sockets and the connection to their resolver."""
        self.introduction = introduction
        if fds:
            self.names = (fds[0], fds[1])
            self.link = socket.socket(fileno=fds[2])

    def drop_names(self) -> None:
        """Close them again."""
        self._drop_link()
        descriptors.close(self.names)
        self.names = ()

    def serve_ports(self, loop: Loop, bindings: list[Binding]) -> None:
        """Hand on what arrives at IPv6 ports although no rule leads it to the container."""
        for one in bindings:
            closed_ports.guard(loop, one)
        six = [one for one in bindings if one.is_v6]
        if six and not self.relays:
            _, limit = rlimits.read("nofile")
            rlimits.write("nofile", limit, limit)
            most = min(MOST, limit // 4)  # A connection takes two of them.
            self.relays["tcp"] = Splices(loop, self._where, most)
            self.relays["udp"] = Relays(loop, self._where)
        for one in six:
            for fd in one.sockets:
                self.relays[one.protocol].add(fd, one.container_port)

    def end_ports(self) -> None:
        """Pass on what the container said last; the ports are still held."""
        for one in self.relays.values():
            one.end()

    def free_ports(self) -> None:
        """Give the host ports back: the container has no network any more that could have them."""
        self.end_ports()
        self.relays = {}  # Those that have ended don't begin again.
        for binding in self.bindings:
            for fd in binding.sockets:
                if self.loop is not None:
                    self.loop.forget(fd)
                os.close(fd)
        self.bindings = []

    def _where(self) -> str:
        """Return the address that the ports lead to: of IPv6 if there is one."""
        return str(self.published_to[-1].ip) if self.published_to else ""

    def watch_host(self, loop: Loop) -> None:
        """Wait for the end of the container whose network this one shares, to take its place."""
        joined, container = self.joined, self.container
        if joined is None:
            return

        def inherit() -> None:
            loop.forget(joined.line)
            joining.take_over(joined, container)
            self.names = joined.names
            if joined.names:
                self.introduction = joined.introduction | {"container": container}
                self.is_introduced = False
            self.keep_names_served(loop)

        loop.on_readable(joined.line, inherit)

    def keep_names_served(self, loop: Loop) -> None:
        """Introduce this container to its resolver, and to the next one when that has died."""
        self.loop = loop
        self.introduce_names()
        if self.link is not None:
            loop.on_readable(self.link.fileno(), lambda: self._hear_resolver(loop))
        elif self.introduction:
            loop.call_after(RETRY, lambda: self.keep_names_served(loop))

    def introduce_names(self) -> None:
        """Tell the resolver whom it serves, unless that is done; ``link`` says whether it was."""
        if self.is_introduced or not self.introduction:
            return
        try:
            if self.link is None:
                self.link = resolver_link.connect(self.introduction["resolver"])
            name_service.introduce(self.link, self.introduction, self.names)
            self.is_introduced = True
        except (OSError, MinirtError):
            self._drop_link()

    def _hear_resolver(self, loop: Loop) -> None:
        """Lend what it asks for. If it is dead, its queries wait in our sockets: start another."""
        assert self.link is not None
        try:
            request = self.link.recv(lending.LONGEST)
            if request:
                lending.lend(self.link, request, self.names[0])
                return
        except BlockingIOError:
            return
        except OSError:
            pass
        loop.forget(self.link.fileno())
        self._drop_link()
        self.keep_names_served(loop)

    def _drop_link(self) -> None:
        if self.link is not None:
            self.link.close()
        self.link, self.is_introduced = None, False

    def answer(
        self, request: dict[str, Any], fds: list[int]
    ) -> tuple[dict[str, Any], tuple[int, ...]]:
        """Do what another command asks of a living container.

        ``tell``: what is held. ``share``: the leases and DNS sockets, for one that joins this
        network. ``change``: take and drop what a changed plug needs (plugging.py).
        """
        match request["do"]:
            case "tell":
                held = [port_binding.to_json(one) for one in self.bindings]
                return {"bindings": held, "introduction": self.introduction}, ()
            case "share":
                return self._share(request["container"])
            case "change":
                self._change(request, fds)
                return {"ok": True}, ()
        descriptors.close(fds)
        return {"error": "unknown request"}, ()

    def _share(self, heir: str) -> tuple[dict[str, Any], tuple[int, ...]]:
        """Share what is our own, or what we share ourselves."""
        self.heirs.append(heir)
        leases, names, introduction = self.locked(), self.names, self.introduction
        if self.joined is not None:
            leases, names = self.joined.leases, self.joined.names
            introduction = self.joined.introduction
        paths = [str(path) for path, _ in leases]
        fds = [fd for _, fd in leases]
        return {"leases": paths, "introduction": introduction}, (*fds, *names)

    def _change(self, request: dict[str, Any], fds: list[int]) -> None:
        """Take descriptors in the order of Change.send(), and drop leases."""
        for path, fd in self.leases.pop(request["dropped"], []):
            path.unlink(missing_ok=True)
            os.close(fd)
        if request["network"]:
            paths = map(Path, request["leases"])
            self.leases[request["network"]] = [(path, fds.pop(0)) for path in paths]
        if request["has_sockets"]:
            self.names = (fds.pop(0), fds.pop(0))
        link = socket.socket(fileno=fds.pop(0)) if request["has_link"] else None
        held = [
            replace(port_binding.from_json(one), sockets=(fds.pop(0),))
            for one in request["bindings"]
        ]
        if request["frees_ports"]:
            self.free_ports()
        self.bindings += held
        if self.loop is not None:
            self.serve_ports(self.loop, held)
        if request["published_to"] is not None:
            self.published_to = tuple(map(ip_interface, request["published_to"]))
        if request["introduction"] and self.loop is not None:
            self.introduction = request["introduction"]
            if link is not None and self.link is not None:
                self.loop.forget(self.link.fileno())
                self._drop_link()
            self.link, self.is_introduced = link or self.link, False
            self.keep_names_served(self.loop)
