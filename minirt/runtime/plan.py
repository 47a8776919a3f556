"""What a container needs besides its config.json, and all of it together, as init gets it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from minirt.kernel.cgroups import Cgroup
from minirt.kernel.inheritance import NOTHING, Inheritance
from minirt.runtime.filters import Filters
from minirt.runtime.rootfs import Overlay
from minirt.runtime.spec import Spec


@dataclass(frozen=True, slots=True)
class Setting:
    """What a container needs besides its config.json.

    ``user`` is Docker's "user[:group]", to be looked up in the image; None: the config's ids
    stand. ``groups`` are further ones of that user, by name or number. ``keep_fds`` further
    descriptors, from 3 on, are handed through. ``gate`` is where a socket is made at which init
    waits if its creator leaves before the start. ``shm_of`` is the mount namespace whose /dev/shm
    it shows.
    """

    bundle: Path
    stdio: tuple[int, int, int] | None = None
    overlay: Overlay | None = None
    cgroup: Cgroup | None = None
    user: str | None = None
    groups: tuple[str, ...] = ()
    keep_fds: int = 0
    id: str = ""  # for hooks; "": the name of the bundle's folder
    gate: Path | None = None
    shm_of: str = ""


@dataclass(frozen=True, slots=True)
class Plan:
    """All that init needs; it may be born before that is known (``birth``)."""

    spec: Spec
    setting: Setting
    handed_on: tuple[int, ...]
    filters: Filters
    gate: int | None = None  # a descriptor of the listening socket
    inherited: Inheritance = NOTHING  # that its parent does not have

    def descriptors(self) -> set[int]:
        """Return all descriptors that it names."""
        named = (
            *(self.setting.stdio or ()),
            *self.handed_on,
            *self.filters.descriptors(),
            self.gate,
        )
        return {fd for fd in named if fd is not None}
