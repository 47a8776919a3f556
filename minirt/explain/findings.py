"""What a look at the host's networks finds: an ailment, and how to mend it."""

from __future__ import annotations

from dataclasses import dataclass

from minirt.explain.terrain import Ground, Terrain
from minirt.kernel.netlink.survey import Device
from minirt.network.facts import Facts
from minirt.network.spec import Network


@dataclass(frozen=True, slots=True)
class Finding:
    """Something that is not as it should be, or (no ``is_fault``) that is good to know."""

    code: str  # a word for programs
    where: str  # the network's name; "host"
    what: str
    mend: str = ""  # a command
    is_fault: bool = True


@dataclass(frozen=True, slots=True)
class Patient:
    """One network, with what of it was found in the kernel."""

    network: Network
    ground: Ground
    living: dict[str, Facts]  # by address

    @property
    def host(self) -> Terrain:
        """Return the host."""
        return self.ground.host

    @property
    def bridge(self) -> Device | None:
        """Return the network's bridge; None: it is missing."""
        return self.host.named(self.network.bridge)

    @property
    def ports(self) -> list[Device]:
        """Return the bridge's ports."""
        bridge = self.bridge
        return [one for one in self.host.devices if bridge and one.master == bridge.index]

    def finding(self, code: str, what: str, mend: str = "", *, is_fault: bool = True) -> Finding:
        """Return a finding about this network."""
        name = self.network.name
        return Finding(code, name, what, mend or f"minirt network reload {name}", is_fault)
