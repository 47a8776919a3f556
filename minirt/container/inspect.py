"""All that is known of a container, in the shape of ``docker inspect``."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from minirt.container import inspect_host, lifecycle, published, record
from minirt.container.record import Config, Endpoint, EndpointRequest, LastRun, Record
from minirt.container.templates.values import OpenMap
from minirt.container.times import NEVER

UNSET_ENDPOINT: dict[str, Any] = {
    "IPAMConfig": None,
    "Links": None,
    "Aliases": None,
    "MacAddress": "",
    "NetworkID": "",
    "EndpointID": "",
    "Gateway": "",
    "IPAddress": "",
    "IPPrefixLen": 0,
    "IPv6Gateway": "",
    "GlobalIPv6Address": "",
    "GlobalIPv6PrefixLen": 0,
    "DriverOpts": None,
    "GwPriority": 0,
    "DNSNames": None,
}
LIVING = ("running", "paused")
# What the flat fields of NetworkSettings show of the default network, and of no other.
FLAT = (
    *("EndpointID", "Gateway", "GlobalIPv6Address", "GlobalIPv6PrefixLen"),
    *("IPAddress", "IPPrefixLen", "IPv6Gateway", "MacAddress"),
)


def document(one: Record) -> dict[str, Any]:
    """Return what ``inspect`` prints of a container."""
    status, last = lifecycle.status(one), lifecycle.last_run(one)
    args = [*one.config.entrypoint, *one.config.command]
    folder = record.directory(one.id)
    return {
        "Id": one.id,
        "Created": one.created,
        "Path": args[0] if args else "",
        "Args": args[1:],
        "State": _state(one, status, last),
        "Image": one.image_id,
        "ResolvConfPath": str(folder / "resolv.conf"),
        "HostnamePath": str(folder / "hostname"),
        "HostsPath": str(folder / "hosts"),
        "LogPath": str(folder / "log") if one.host.log_driver == "json-file" else "",
        "Name": f"/{one.name}",
        "RestartCount": last.restarts,
        "Driver": "overlay",
        "Platform": "linux",
        "HostConfig": inspect_host.document(one),
        "GraphDriver": {
            "Name": "overlay",
            "Data": {"UpperDir": str(folder / "upper"), "WorkDir": str(folder / "work")},
        },
        "Mounts": _mounts(one),
        "Config": _config(one.config, one),
        "NetworkSettings": _network_settings(one, running=status in LIVING),
    }


def _state(one: Record, status: str, last: LastRun) -> dict[str, Any]:
    init = lifecycle.init_of(one)
    return {
        "Status": status,
        "Running": status in LIVING,
        "Paused": status == "paused",
        "Restarting": False,
        "OOMKilled": last.oom_killed,
        "Dead": False,
        "Pid": init[0] if init else 0,
        "ExitCode": 0 if status in LIVING else last.exit_code,
        "Error": last.error,
        "StartedAt": last.started or NEVER,
        "FinishedAt": last.finished or NEVER,
    }


def _config(config: Config, one: Record) -> dict[str, Any]:
    return {
        "Hostname": config.hostname,
        "Domainname": config.domainname,
        "User": config.user,
        "AttachStdin": config.open_stdin,
        "Tty": config.tty,
        "OpenStdin": config.open_stdin,
        "StdinOnce": config.open_stdin,
        "Env": config.env,
        "Cmd": config.command or None,
        "Image": one.image,
        "Volumes": OpenMap({path: {} for path in config.volumes}) or None,
        "WorkingDir": config.working_dir,
        "Entrypoint": config.entrypoint or None,
        "ExposedPorts": OpenMap({port: {} for port in _all_ports(one)}),
        "Labels": OpenMap(config.labels),
        "StopSignal": config.stop_signal,
        "StopTimeout": config.stop_timeout,
    }


def _mounts(one: Record) -> list[dict[str, Any]]:
    return [
        {
            "Type": mount.kind,
            **({"Name": mount.name} if mount.kind == "volume" else {}),
            "Source": mount.source,
            "Destination": mount.destination,
            **({"Driver": "local"} if mount.kind == "volume" else {}),
            "Mode": "ro" if mount.read_only else "",
            "RW": not mount.read_only,
            "Propagation": mount.propagation if mount.kind == "bind" else "",
        }
        for mount in one.mounts
    ]


def _all_ports(one: Record) -> list[str]:
    return sorted({*one.config.exposed_ports, *published.requests(one)})


def _network_settings(one: Record, *, running: bool) -> dict[str, Any]:
    made = record.load_endpoints(one.id)
    wanted = {request.network: request for request in one.endpoints}
    names = [*wanted, *(name for name in made if name not in wanted)]
    if one.host.network_mode in ("host", "none"):
        names.append(one.host.network_mode)
    networks: Mapping[str, dict[str, Any]] = OpenMap(
        {name: _endpoint(wanted.get(name), made.get(name), alive=running) for name in names}
    )
    flat = networks.get("bridge", UNSET_ENDPOINT)
    init = lifecycle.init_of(one)
    return {
        "Bridge": "",
        "SandboxID": one.id if init else "",
        "SandboxKey": f"/proc/{init[0]}/ns/net" if init else "",
        "Ports": published.ports(one) if running else OpenMap(),
        "HairpinMode": False,
        "LinkLocalIPv6Address": "",
        "LinkLocalIPv6PrefixLen": 0,
        "SecondaryIPAddresses": None,
        "SecondaryIPv6Addresses": None,
        **{key: flat[key] for key in FLAT},
        "Networks": networks,
    }


def _endpoint(
    request: EndpointRequest | None, made: Endpoint | None, *, alive: bool
) -> dict[str, Any]:
    """Return one plug: what was asked for, what it is, and after the end what is remembered."""
    shown = dict(UNSET_ENDPOINT)
    if request is not None:
        asked = {"IPv4Address": request.address, "IPv6Address": request.address6}
        shown |= {
            "IPAMConfig": {key: value for key, value in asked.items() if value} or None,
            "Aliases": request.aliases or None,
            "DriverOpts": OpenMap(request.driver_opts) or None,
        }
        shown |= {"MacAddress": request.mac, "GwPriority": request.gw_priority}
    if made is None:
        return shown
    shown |= {"NetworkID": made.network_id, "DNSNames": made.names or None}
    if not alive:
        return shown
    address, _, length = made.address.partition("/")
    address6, _, length6 = made.address6.partition("/")
    return shown | {
        "MacAddress": made.mac,
        "EndpointID": made.endpoint_id,
        "Gateway": made.gateway,
        "IPAddress": address,
        "IPPrefixLen": int(length or 0),
        "IPv6Gateway": made.gateway6,
        "GlobalIPv6Address": address6,
        "GlobalIPv6PrefixLen": int(length6 or 0),
    }
