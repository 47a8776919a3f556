"""What a monitor is told when a plug of its container has changed."""

from __future__ import annotations

import os
from contextlib import ExitStack, closing, suppress
from typing import Any

from minirt.container import etc_files, name_service, protocol, record
from minirt.container.name_service import Service
from minirt.container.record import Record
from minirt.errors import Conflict
from minirt.kernel.namespaces import Netns
from minirt.network import port_binding, ports
from minirt.network.leases import Lease
from minirt.network.port_binding import Binding
from minirt.network.spec import Network


class Change:
    """One message, with the descriptors that go along; ``held`` closes our copies of them."""

    def __init__(self, one: Record, held: ExitStack) -> None:
        self._one, self._held = one, held
        try:
            self._line = held.enter_context(closing(protocol.connect(record.run_directory(one.id))))
            now = self._ask({"do": "tell"}, ())
        except (OSError, EOFError):
            raise Conflict(f"Cannot change the networks of {one.name}", "it is ending") from None
        self.bindings: list[Binding] = [port_binding.from_json(known) for known in now["bindings"]]
        self.published_to: list[str] | None = None  # addresses; None: they stay as they are
        self.frees_ports = False  # all host ports, since no network can have them now
        self.dropped = ""
        self._known: dict[str, Any] = now["introduction"]
        self._introduction: dict[str, Any] = {}
        self._leases: list[Lease] = []
        self._new_bindings: list[Binding] = []
        self._sockets: tuple[int, ...] = ()
        self._link: tuple[int, ...] = ()

    def take_leases(self, leases: list[Lease]) -> None:
        """Give the monitor the leases of a plug."""
        self._leases = leases
        for lease in leases:
            self._held.callback(os.close, lease.fd)

    def take_ports(self, bindings: list[Binding]) -> None:
        """Give the monitor host ports."""
        self.bindings = self._new_bindings = bindings
        self._held.callback(ports.close, bindings)

    def free_ports(self) -> None:
        """Let the monitor give the host ports back."""
        self.published_to, self.frees_ports = [], True

    def serve_names(self, networks: list[Network], netns: Netns) -> None:
        """Tell the resolver of the networks that there are now; change it if it is another's."""
        service = name_service.plan(self._one, networks)
        asked = service.introduction
        if not asked and self._known:  # What it has stays, and knows no names any more.
            internal = all(network.internal for network in networks)
            asked = {**self._known, "networks": [], "internal": internal}
        if not asked or asked == self._known:
            return
        if not self._known:
            self._sockets = name_service.open_sockets(netns)
            with suppress(
                BlockingIOError
            ):  # The container has a lease on it, and keeps the old one.
                etc_files.write(record.directory(self._one.id), "resolv.conf", service.text)
        if asked["resolver"] != self._known.get("resolver"):
            self._link = (name_service.dial(Service("", asked)),)
        for fd in (*self._sockets, *self._link):
            self._held.callback(os.close, fd)
        self._introduction = asked

    def send(self) -> None:
        """Tell the monitor all of it. Raises Conflict if it has ended meanwhile."""
        leases = self._leases
        message = {
            "do": "change",
            "dropped": self.dropped,
            "network": leases[0].network.name if leases else "",
            "leases": [str(lease.path) for lease in leases],
            "has_sockets": bool(self._sockets),
            "has_link": bool(self._link),
            "frees_ports": self.frees_ports,
            "bindings": [port_binding.to_json(binding) for binding in self._new_bindings],
            "published_to": self.published_to,
            "introduction": self._introduction,
        }
        held_ports = [fd for binding in self._new_bindings for fd in binding.sockets]
        own = [lease.fd for lease in leases]
        try:
            self._ask(message, (*own, *self._sockets, *self._link, *held_ports))
        except (OSError, EOFError):
            raise Conflict(f"Cannot change the networks of {self._one.name}", "it ended") from None

    def _ask(self, message: dict[str, Any], fds: tuple[int, ...]) -> dict[str, Any]:
        protocol.tell(self._line, message, fds)
        return protocol.hear_json(self._line)[0]
