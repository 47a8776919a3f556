"""Whose namespaces a container has, kind by kind: its own, the host's, another container's."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import replace

from minirt.container import lifecycle, record
from minirt.container.record import HostConfig, Record
from minirt.errors import Conflict, InvalidRequest
from minirt.kernel.namespaces import Namespace, together
from minirt.runtime.spec import NAMESPACES

OWN = ("mount", "uts", "ipc", "pid", "cgroup", "network")  # kinds of namespace by default
SHAREABLE = ("shareable", "host")


def namespaces_of(one: Record) -> dict[str, str]:
    """Return the namespaces that it gets: "" for a new one, else the path of the one to join.

    Those of the host are left out. Raises NotFound or Conflict if another container that it
    shares one with doesn't run.
    """
    kinds = dict.fromkeys(OWN, "")
    files = {"network": "net"}
    for kind, mode in _modes(one.host).items():
        if mode == "host":
            del kinds[kind]
        elif other := container_of(mode):
            kinds[kind] = f"/proc/{init_of(other, kind)}/ns/{files.get(kind, kind)}"
    return kinds


@contextmanager
def reporting_ends(host: HostConfig) -> Iterator[None]:
    """Raise Conflict if the body fails because a container that is to be joined has just ended."""
    with ExitStack() as reporting:
        for reference in filter(None, map(container_of, _modes(host).values())):
            target = lifecycle.find(reference)
            what = f"Cannot join the namespaces of {target.name}"
            reporting.enter_context(lifecycle.reporting_its_end(target, what))
        yield


def new_for(host: HostConfig) -> Namespace | None:
    """Return the kinds of namespaces that its init can be born in before all else is known.

    None: there is no telling. Ids of its own come by a birth of another kind, and into an
    existing PID namespace another way leads (``runtime.birth``).
    """
    if host.userns_mode or not is_around(host):
        return None
    shared = {kind for kind, mode in _modes(host).items() if mode == "host" or container_of(mode)}
    return together(NAMESPACES[kind] for kind in OWN if kind not in {"cgroup", *shared})


def is_around(host: HostConfig) -> bool:
    """Say whether its monitor can have a PID namespace around the container's.

    Not where that is the host's or another one's: an inner one can't be left (setns(2)).
    """
    return not host.pid_mode


def _modes(host: HostConfig) -> dict[str, str]:
    return {
        "network": host.network_mode,
        "pid": host.pid_mode,
        "ipc": host.ipc_mode,
        "uts": host.uts_mode,
        "cgroup": host.cgroupns_mode,
    }


def container_of(mode: str) -> str:
    """Return the container that "container:ID" names; "" for another mode."""
    kind, colon, target = mode.partition(":")
    return target if colon and kind == "container" else ""


def init_of(container_id: str, kind: str) -> int:
    """Return the pid of the init of a container whose namespace is to be joined.

    Raises NotFound, Conflict.
    """
    target = lifecycle.find_running(container_id)
    init = lifecycle.init_of(target)
    if init is None:
        what = f"Cannot join the {kind} namespace of {target.name}"
        raise Conflict(what, "it is just starting or ending")
    return init[0]


def by_id(host: HostConfig) -> HostConfig:
    """Write the containers of all modes down by their ids. Raises NotFound, InvalidRequest."""
    ipc = _by_id(host.ipc_mode)
    if other := container_of(ipc):
        mode = record.load(other).host.ipc_mode
        if mode not in SHAREABLE and not container_of(mode):
            what = f"Cannot join IPC of a container {other}: non-shareable IPC"
            raise InvalidRequest(what, "", "Start that one with --ipc shareable.")
    return replace(
        host,
        network_mode=_by_id(host.network_mode),
        pid_mode=_by_id(host.pid_mode),
        uts_mode=_by_id(host.uts_mode),
        ipc_mode=ipc,
    )


def _by_id(mode: str) -> str:
    other = container_of(mode)
    return f"container:{lifecycle.find(other).id}" if other else mode
