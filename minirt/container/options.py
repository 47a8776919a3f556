"""From the flags of ``run`` and ``create`` to what a container shall be.

:func:`read` understands the words, without asking anybody but the files that they name;
:func:`merge` lays them over the configuration of the image (OCI image-spec, config.md).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from minirt.container import signals
from minirt.container.flags import (
    absent,
    devices,
    environment,
    limits,
    namespaces,
    network,
    ports,
    security,
)
from minirt.container.flags import mounts as mount_flags
from minirt.container.flags.typed import Flags, refused, unusable
from minirt.container.record import Config, EndpointRequest, HostConfig, Mount
from minirt.errors import InvalidRequest

LONGEST_HOSTNAME = 64  # sethostname(2): HOST_NAME_MAX
LOG_DRIVERS = ("json-file", "none")
NO_HEALTH_CHECK: dict[str, Any] = {"Test": ["NONE"]}  # as the image specification has it


@dataclass(frozen=True, slots=True)
class Request:
    """What was asked of ``run`` or ``create``, understood and checked."""

    image: str
    command: list[str]
    name: str
    detach: bool
    cidfile: Path | None
    host: HostConfig
    mounts: list[Mount]  # of volumes only the names are known
    endpoints: list[EndpointRequest]  # of networks only the names are known
    entrypoint: list[str] | None = None  # None: the image's
    env: list[str] = field(default_factory=list)
    labels: dict[str, str] = field(default_factory=dict)
    exposed_ports: list[str] = field(default_factory=list)
    volumes: list[str] = field(default_factory=list)  # paths of `-v PATH`
    user: str = ""
    working_dir: str = ""
    hostname: str = ""
    domainname: str = ""
    tty: bool = False
    open_stdin: bool = False
    stop_signal: str = ""
    stop_timeout: int | None = None
    no_healthcheck: bool = False


def read(flags: Flags, outside: Mapping[str, str]) -> Request:
    """Understand the flags; ``outside`` is the caller's environment.

    Raises InvalidRequest, naming the flag.
    """
    absent.check(flags)
    mode, endpoints = network.networking(flags)
    if flags.stop_signal:
        signals.number(flags.stop_signal)
    if flags.stop_timeout is not None and flags.stop_timeout < -1:
        raise refused("--stop-timeout", str(flags.stop_timeout), "it is negative")
    by_volume = [mount_flags.volume(text) for text in flags.volume]
    by_mount = [mount_flags.mount(text) for text in flags.mount]
    mounts = mount_flags.distinct([*by_volume, *by_mount, *map(mount_flags.tmpfs, flags.tmpfs)])
    host = replace(
        _host(flags, mode, mounts),
        binds=[mount_flags.bind_text(one) for one in by_volume if one.source or one.name],
        mounts=[mount_flags.api_form(one) for one in by_mount],
    )
    return Request(
        image=flags.image,
        command=list(flags.command),
        name=flags.name.removeprefix("/"),
        detach=flags.detach,
        cidfile=_cidfile(flags.cidfile),
        host=host,
        mounts=[one for one in mounts if one.kind != "tmpfs"],
        endpoints=endpoints,
        entrypoint=None if flags.entrypoint is None else [e for e in [flags.entrypoint] if e],
        env=environment.variables(flags.env_file, flags.env, outside),
        labels=environment.labels(flags.label_file, flags.label),
        volumes=[one.destination for one in by_volume if not (one.source or one.name)],
        exposed_ports=[port for text in flags.expose for port in ports.exposed(text)],
        user=flags.user,
        working_dir=_working_dir(flags.workdir),
        hostname=_hostname(flags.hostname, "--hostname"),
        domainname=_hostname(flags.domainname, "--domainname"),
        tty=flags.tty,
        open_stdin=flags.interactive,
        stop_signal=flags.stop_signal,
        stop_timeout=flags.stop_timeout,
        no_healthcheck=flags.no_healthcheck,
    )


def warnings(request: Request) -> list[str]:
    """Return what is done as asked, and will probably not do what was meant."""
    host = request.host
    found = []
    if host.network_mode in ("host", "none") and (host.ports or host.publish_all):
        found.append(f"Published ports are discarded when using {host.network_mode} network mode")
    found += [
        f"Localhost DNS setting (--dns={server}) may fail in containers."
        for server in host.dns
        if server.startswith("127.") or server == "::1"
    ]
    return found


def merge(image: Mapping[str, Any], request: Request) -> Config:
    """Lay the request over ``image``, the "config" object of an OCI image configuration.

    Raises InvalidRequest if there is nothing to run.
    """
    entrypoint, command = request.entrypoint, request.command
    if entrypoint is None:  # A new entrypoint makes nothing of the image's arguments.
        entrypoint, command = image.get("Entrypoint") or [], command or image.get("Cmd") or []
    if not [*entrypoint, *command]:
        why = f"neither {request.image} nor the command line names one"
        raise InvalidRequest("No command specified", why, "Write it after the image.")
    return Config(
        hostname=request.hostname,
        domainname=request.domainname,
        user=request.user or image.get("User") or "",
        env=environment.overridden(image.get("Env") or [], request.env),
        entrypoint=list(entrypoint),
        command=list(command),
        working_dir=request.working_dir or image.get("WorkingDir") or "",
        labels={**(image.get("Labels") or {}), **request.labels},
        exposed_ports=sorted({*(image.get("ExposedPorts") or {}), *request.exposed_ports}),
        volumes=sorted({*(image.get("Volumes") or {}), *request.volumes}),
        health_check=NO_HEALTH_CHECK if request.no_healthcheck else _health_check(image),
        tty=request.tty,
        open_stdin=request.open_stdin,
        attached=not request.detach,
        stop_signal=request.stop_signal or image.get("StopSignal") or "",
        stop_timeout=request.stop_timeout,
    )


def _health_check(image: Mapping[str, Any]) -> dict[str, Any]:
    """Return the health check of an image; {} if it has none, or one that nobody can read."""
    found = image.get("Healthcheck")
    is_one = isinstance(found, dict) and isinstance(found.get("Test"), list) and found["Test"]
    return dict(found) if is_one and isinstance(found, dict) else {}


def ignored(config: Config) -> list[str]:
    """Return warnings about what the image asks for and does not get."""
    if config.health_check.get("Test", ["NONE"])[0] == "NONE":
        return []
    why = "The image's HEALTHCHECK is ignored: minirt does not run health checks yet."
    return [f"{why} --no-healthcheck turns this warning off."]


def _host(flags: Flags, mode: str, mounts: list[Mount]) -> HostConfig:
    if flags.log_driver not in LOG_DRIVERS:
        why = f"no log driver named '{flags.log_driver}' is registered"
        raise refused("--log-driver", flags.log_driver, why, "There are json-file and none.")
    sysctls = dict(map(limits.sysctl, flags.sysctl))
    if mode == "host" and any(name.startswith("net.") for name in sysctls):
        why = "sysctls of net.* are not allowed in the host's network namespace"
        raise InvalidRequest("Conflicting options", why)
    return HostConfig(
        network_mode=mode,
        auto_remove=flags.rm,
        privileged=flags.privileged,
        read_only=flags.read_only,
        init=flags.init,
        cap_add=[security.capability(name, "--cap-add") for name in flags.cap_add],
        cap_drop=[security.capability(name, "--cap-drop") for name in flags.cap_drop],
        security_opt=[security.security_option(text) for text in flags.security_opt],
        group_add=list(flags.group_add),
        **limits.fields(flags),
        **_shared(flags),
        devices=[devices.device(text) for text in flags.device],
        device_cgroup_rules=[devices.rule(text) for text in flags.device_cgroup_rule],
        volumes_from=[mount_flags.volumes_from(text) for text in flags.volumes_from],
        annotations=environment.labels([], flags.annotation),
        sysctls=sysctls,
        dns=[network.dns_server(text) for text in flags.dns],
        dns_search=[network.search_domain(text) for text in flags.dns_search],
        dns_options=list(flags.dns_option),
        extra_hosts=[network.extra_host(text) for text in flags.add_host],
        tmpfs={one.destination: ",".join(one.options) for one in mounts if one.kind == "tmpfs"},
        ports=ports.published(flags.publish),
        publish_all=flags.publish_all,
        log_driver=flags.log_driver,
        cidfile=flags.cidfile,
    )


def _shared(flags: Flags) -> dict[str, Any]:
    """Return the fields of HostConfig that say whose namespaces it has, but for the network."""
    return {
        "pid_mode": namespaces.pid(flags.pid),
        "ipc_mode": namespaces.ipc(flags.ipc),
        "uts_mode": namespaces.uts(flags),
        "cgroupns_mode": namespaces.cgroup(flags.cgroupns),
        "userns_mode": namespaces.user(flags),
    }


def _working_dir(path: str) -> str:
    if path and not path.startswith("/"):
        raise unusable("--workdir", path, "it needs to be an absolute path")
    return path


def _hostname(name: str, flag: str) -> str:
    if len(name.encode()) > LONGEST_HOSTNAME:
        raise refused(flag, name, f"it may have {LONGEST_HOSTNAME} characters")
    if any(character.isspace() or not character.isprintable() for character in name):
        raise refused(flag, name, "it contains white space or a control character")
    return name


def _cidfile(text: str) -> Path | None:
    if text and Path(text).exists():
        why = "the file is there already, perhaps of a container that still runs"
        raise unusable("--cidfile", text, why, f"Delete it: rm {text}")
    return Path(text).absolute() if text else None
