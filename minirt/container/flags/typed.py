"""The flags of ``run`` and ``create`` as they were typed, before anybody has read them."""

from __future__ import annotations

from dataclasses import dataclass

from minirt.errors import BadFlag, InvalidRequest


@dataclass(frozen=True, slots=True)
class Flags:
    """One field for each flag; the name is the flag's, with ``-`` written ``_``."""

    image: str
    command: tuple[str, ...] = ()
    name: str = ""
    detach: bool = False
    interactive: bool = False
    tty: bool = False
    rm: bool = False
    network: tuple[str, ...] = ()
    ip: str = ""
    ip6: str = ""
    mac_address: str = ""
    network_alias: tuple[str, ...] = ()
    publish: tuple[str, ...] = ()
    publish_all: bool = False
    expose: tuple[str, ...] = ()
    env: tuple[str, ...] = ()
    env_file: tuple[str, ...] = ()
    volume: tuple[str, ...] = ()
    mount: tuple[str, ...] = ()
    tmpfs: tuple[str, ...] = ()
    workdir: str = ""
    user: str = ""
    group_add: tuple[str, ...] = ()
    hostname: str = ""
    domainname: str = ""
    entrypoint: str | None = None  # "": the image's is not wanted either
    read_only: bool = False
    init: bool = False
    privileged: bool = False
    cap_add: tuple[str, ...] = ()
    cap_drop: tuple[str, ...] = ()
    security_opt: tuple[str, ...] = ()
    memory: str = ""
    memory_swap: str = ""
    cpus: str = ""
    pids_limit: int = 0
    ulimit: tuple[str, ...] = ()
    sysctl: tuple[str, ...] = ()
    shm_size: str = ""
    memory_reservation: str = ""
    cpu_shares: int = 0
    cpuset_cpus: str = ""
    cpuset_mems: str = ""
    blkio_weight: int = 0
    oom_kill_disable: bool = False
    oom_score_adj: int = 0
    cgroup_parent: str = ""
    device: tuple[str, ...] = ()
    device_cgroup_rule: tuple[str, ...] = ()
    volumes_from: tuple[str, ...] = ()
    pid: str = ""
    ipc: str = ""
    uts: str = ""
    cgroupns: str = ""
    userns: str = ""
    annotation: tuple[str, ...] = ()
    dns: tuple[str, ...] = ()
    dns_search: tuple[str, ...] = ()
    dns_option: tuple[str, ...] = ()
    add_host: tuple[str, ...] = ()
    label: tuple[str, ...] = ()
    label_file: tuple[str, ...] = ()
    log_driver: str = "json-file"
    stop_signal: str = ""
    stop_timeout: int | None = None
    cidfile: str = ""
    restart: str = ""
    pull: str = ""
    platform: str = ""
    link: tuple[str, ...] = ()
    no_healthcheck: bool = False
    health_cmd: str = ""
    health_interval: str = ""
    health_timeout: str = ""
    health_retries: str = ""


def refused(flag: str, text: str, why: str, remedy: str = "") -> BadFlag:
    """Say in Docker's words that ``text`` is no value for ``flag``: the exit code is 125."""
    return BadFlag(_invalid(flag, text), why, remedy)


def unusable(flag: str, text: str, why: str, remedy: str = "") -> InvalidRequest:
    """Say the same of a value that can be read: of ``create`` the exit code is 1.

    With Docker these are the values that its client passes on, and that the daemon refuses.
    """
    return InvalidRequest(_invalid(flag, text), why, remedy)


def _invalid(flag: str, text: str) -> str:
    return f'Invalid argument "{text}" for {flag}'


def fields_of(text: str, flag: str) -> list[str]:
    """Split a line of comma-separated values, which may be quoted (RFC 4180).

    Raises InvalidRequest.
    """
    import csv

    try:
        rows = list(csv.reader([text], strict=True))
    except csv.Error as error:
        raise refused(flag, text, str(error)) from None
    return rows[0] if rows else []
