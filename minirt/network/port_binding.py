"""A port of the host that leads to a port of a container."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

ANY = ("0.0.0.0", "::")  # all addresses of the host, of either family


@dataclass(frozen=True, slots=True)
class Binding:
    """A port of the host, held by a socket, that leads to a port of a container."""

    protocol: str
    container_port: int
    host_ip: str  # "0.0.0.0", "::", or one address
    host_port: int
    sockets: tuple[int, ...] = ()  # descriptors that hold it; none: read from a file

    @property
    def is_v6(self) -> bool:
        """Whether the host's address is an IPv6 one."""
        return ":" in self.host_ip

    def __str__(self) -> str:
        """Return what ``docker port`` prints after its arrow."""
        return f"[{self.host_ip}]:{self.host_port}" if self.is_v6 else self._plain()

    def _plain(self) -> str:
        return f"{self.host_ip}:{self.host_port}"


def to_json(binding: Binding) -> dict[str, Any]:
    """Return what a lease file says of a binding: all but the descriptors."""
    document = asdict(binding)
    del document["sockets"]
    return document


def from_json(document: dict[str, Any]) -> Binding:
    """Read a binding from a lease file."""
    return Binding(
        document["protocol"],
        document["container_port"],
        document["host_ip"],
        document["host_port"],
    )
