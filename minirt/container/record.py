"""What is known of a container.

    ROOT/containers/ID/record.json     what it is: written by create, changed by rename, connect
    ROOT/containers/ID/last.json       its last run: started, finished, exit code
    ROOT/containers/ID/endpoints.json  its plugs in networks: true while it lives, remembered after
    ROOT/names/NAME -> ID              its name: only one symlink of a name can be made
    RUN/containers/ID/alive            locked by the monitor: the container lives
    RUN/containers/ID/state.json       pids of init and monitor, and their times of birth

The record is written first, then the name: a name whose record is missing is half-made, and
may be replaced. "Running" is nowhere written down: it means that the lock is held.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass, field, fields
from functools import cache
from ipaddress import IPv4Interface, IPv6Interface, ip_interface
from pathlib import Path
from typing import Any

from minirt.kernel import block_groups
from minirt.state import made, read_json, root_dir, run_dir, write_json

DAMAGED = (AttributeError, KeyError, TypeError, ValueError)  # JSON that isn't, or says otherwise


@dataclass(frozen=True, slots=True)
class Config:
    """What runs: the image's configuration with the operator's words over it."""

    hostname: str = ""
    domainname: str = ""
    user: str = ""
    env: list[str] = field(default_factory=list)
    entrypoint: list[str] = field(default_factory=list)
    command: list[str] = field(default_factory=list)
    working_dir: str = ""
    labels: dict[str, str] = field(default_factory=dict)
    exposed_ports: list[str] = field(default_factory=list)  # "80/tcp"
    volumes: list[str] = field(default_factory=list)  # paths: VOLUME of the image, `-v PATH`
    tty: bool = False
    open_stdin: bool = False
    attached: bool = False  # made by a command that attaches its output
    # HEALTHCHECK of the image, which minirt does not run yet: "Healthcheck" of its configuration
    health_check: dict[str, Any] = field(default_factory=dict)
    stop_signal: str = ""  # "": SIGTERM
    stop_timeout: int | None = None  # seconds; None: 10


@dataclass(frozen=True, slots=True)
class HostConfig:
    """What it may use of the host."""

    network_mode: str = "bridge"  # "bridge", "host", "none", "container:ID" or a network's name
    auto_remove: bool = False
    privileged: bool = False
    read_only: bool = False
    init: bool = False
    cap_add: list[str] = field(default_factory=list)
    cap_drop: list[str] = field(default_factory=list)
    security_opt: list[str] = field(default_factory=list)
    group_add: list[str] = field(default_factory=list)  # names or numbers, of the container
    memory: int = 0  # bytes; 0: no limit
    memory_swap: int = 0  # bytes of memory and swap together; 0: twice the memory
    nano_cpus: int = 0  # thousand-millionths of a CPU
    pids_limit: int = 0
    shm_size: int = 64 << 20  # bytes
    ulimits: list[dict[str, Any]] = field(default_factory=list)  # {"name", "soft", "hard"}
    sysctls: dict[str, str] = field(default_factory=dict)
    dns: list[str] = field(default_factory=list)
    dns_search: list[str] = field(default_factory=list)
    dns_options: list[str] = field(default_factory=list)
    extra_hosts: list[str] = field(default_factory=list)  # "name:address"
    tmpfs: dict[str, str] = field(default_factory=dict)  # path -> options
    ports: list[dict[str, Any]] = field(default_factory=list)  # network.port_syntax.PortRequest
    publish_all: bool = False
    log_driver: str = "json-file"  # or "none"
    cgroup_parent: str = ""  # with "/" before it: below the top of the hierarchies
    memory_reservation: int = 0  # bytes
    cpu_shares: int = 0
    cpuset_cpus: str = ""
    cpuset_mems: str = ""
    blkio_weight: int = 0
    oom_kill_disable: bool = False
    oom_score_adj: int = 0
    devices: list[dict[str, str]] = field(default_factory=list)  # {"host", "inside", "access"}
    device_cgroup_rules: list[str] = field(default_factory=list)  # "c 42:* rwm"
    volumes_from: list[str] = field(default_factory=list)  # "NAME[:ro]"
    pid_mode: str = ""  # "host" or "container:ID"
    ipc_mode: str = "private"  # "shareable", "host", "none" or "container:ID"
    uts_mode: str = ""  # "host" or "container:ID"
    cgroupns_mode: str = "private"  # or "host"
    userns_mode: str = ""  # "private" or "FIRST:COUNT", ids of the host
    annotations: dict[str, str] = field(default_factory=dict)
    binds: list[str] = field(default_factory=list)  # each `-v SOURCE:PATH[:MODE]`, as given
    mounts: list[dict[str, Any]] = field(default_factory=list)  # each `--mount`, as in Docker's API
    cidfile: str = ""


@dataclass(frozen=True, slots=True)
class Mount:
    """A folder of the host, or a volume, seen inside."""

    kind: str  # "bind" or "volume"
    source: str  # a path of the host; of a volume its folder
    destination: str
    name: str = ""  # the volume's
    read_only: bool = False
    propagation: str = "rprivate"
    options: list[str] = field(default_factory=list)
    mode: str = ""  # what `-v` said after the second colon


@dataclass(frozen=True, slots=True)
class EndpointRequest:
    """A plug that was asked for: the network by id, and what was said of it."""

    network_id: str
    network: str  # its name, for messages
    address: str = ""  # --ip
    address6: str = ""  # --ip6
    mac: str = ""
    aliases: list[str] = field(default_factory=list)
    gw_priority: int = 0  # of several plugs, the one with the highest is the way out
    driver_opts: dict[str, str] = field(default_factory=dict)  # plug_options.py


@dataclass(frozen=True, slots=True)
class Record:
    """One container, as the next command will find it."""

    id: str
    name: str
    created: str  # RFC 3339, with nanoseconds, in UTC
    image: str  # as the operator named it
    image_id: str  # sha256:…, of the image's configuration
    config: Config = field(default_factory=Config)
    host: HostConfig = field(default_factory=HostConfig)
    mounts: list[Mount] = field(default_factory=list)
    endpoints: list[EndpointRequest] = field(default_factory=list)
    by_run: bool = False  # made by ``run``: if it could not be started, nothing shall be left


@dataclass(frozen=True, slots=True)
class LastRun:
    """When it ran last, and how that ended. No ``finished``: it runs, or its monitor was killed."""

    started: str = ""
    finished: str = ""
    exit_code: int = 0
    oom_killed: bool = False
    error: str = ""
    restarts: int = 0
    is_restarting: bool = False  # ended by ``restart``: with --rm it is not removed either


@dataclass(frozen=True, slots=True)
class Endpoint:
    """A plug as it was made."""

    network_id: str
    endpoint_id: str
    interface: str  # inside: eth0
    address: str  # with its prefix length: 10.0.0.2/24
    gateway: str
    mac: str
    names: list[str] = field(default_factory=list)
    is_way_out: bool = False  # the default route, and the published ports, lead through it
    address6: str = ""
    gateway6: str = ""

    def addresses(self) -> list[IPv4Interface | IPv6Interface]:
        """Return its addresses, IPv4 first."""
        return [ip_interface(one) for one in (self.address, self.address6) if one]


def directory(container_id: str) -> Path:
    """Return the directory of what a container keeps across reboots."""
    return _folder(root_dir(), container_id)


def run_directory(container_id: str) -> Path:
    """Return the directory of what only a living container has."""
    return _folder(run_dir(), container_id)


@cache
def _folder(top: Path, container_id: str) -> Path:
    return top / "containers" / container_id


def cgroup_name(container_id: str, host: HostConfig) -> str:
    """Return the name of its cgroup, as :func:`minirt.kernel.cgroups.find` wants it."""
    parent = host.cgroup_parent
    return f"{parent.rstrip('/')}/{container_id}" if parent else container_id


def save(record: Record, *, lasting: bool = True) -> None:
    """Write the record, replacing the old one at once; ``lasting``: also across a power cut.

    After one nobody asks for a ``--rm`` container any more.
    """
    folder = directory(record.id)
    if not folder.parent.is_dir():
        block_groups.spread(made(folder.parent))
    durable = lasting and not record.host.auto_remove
    write_json(made(folder) / "record.json", asdict(record), durable=durable)


def load(container_id: str) -> Record:
    """Read a record. Raises FileNotFoundError; for one that was damaged any of DAMAGED."""
    document = read_json(directory(container_id) / "record.json")
    return Record(
        **{
            **known(Record, document),
            "config": Config(**known(Config, document["config"])),
            "host": HostConfig(**known(HostConfig, document["host"])),
            "mounts": [Mount(**known(Mount, one)) for one in document["mounts"]],
            "endpoints": [
                EndpointRequest(**known(EndpointRequest, one)) for one in document["endpoints"]
            ],
        }
    )


def save_last(container_id: str, last: LastRun) -> None:
    """Write what is known of the last run. It need not outlive a crash of the machine."""
    write_json(directory(container_id) / "last.json", asdict(last), durable=False)


def load_last(container_id: str) -> LastRun:
    """Read what is known of the last run; an empty one if there was none."""
    try:
        return LastRun(**known(LastRun, read_json(directory(container_id) / "last.json")))
    except FileNotFoundError:
        return LastRun()


def save_endpoints(container_id: str, endpoints: dict[str, Endpoint]) -> None:
    """Write the plugs that were made, by the name of their network."""
    document = {name: asdict(one) for name, one in endpoints.items()}
    write_json(directory(container_id) / "endpoints.json", document, durable=False)


def load_endpoints(container_id: str) -> dict[str, Endpoint]:
    """Read the plugs of the current or the last run, by the name of their network."""
    try:
        document = read_json(directory(container_id) / "endpoints.json")
    except FileNotFoundError:
        return {}
    return {name: Endpoint(**known(Endpoint, one)) for name, one in document.items()}


def known(kind: type[Any], document: dict[str, Any]) -> dict[str, Any]:
    """Keep the keys that ``kind`` has, so that an older minirt reads what a newer one wrote."""
    names = {one.name for one in fields(kind)}
    return {key: value for key, value in document.items() if key in names}
