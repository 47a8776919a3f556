"""All that is known of a container, in the shape of ``docker inspect``."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from minirt.container import inspect_host, lifecycle, listing, published, record, rights
from minirt.container.record import Config, Endpoint, EndpointRequest, LastRun, Mount, Record
from minirt.container.templates.structs import NIL_LIST, NIL_MAP, NIL_POINTER, Struct, struct
from minirt.container.templates.values import OpenMap
from minirt.container.times import NEVER
from minirt.errors import NotFound

UNSET_ENDPOINT: dict[str, Any] = {
    "IPAMConfig": NIL_POINTER,
    "Links": NIL_LIST,
    "Aliases": NIL_LIST,
    "MacAddress": "",
    "NetworkID": "",
    "EndpointID": "",
    "Gateway": "",
    "IPAddress": "",
    "IPPrefixLen": 0,
    "IPv6Gateway": "",
    "GlobalIPv6Address": "",
    "GlobalIPv6PrefixLen": 0,
    "DriverOpts": NIL_MAP,
    "GwPriority": 0,
    "DNSNames": NIL_LIST,
}
LIVING = ("running", "paused")
# What the flat fields of NetworkSettings show of the default network, and of no other.
FLAT = (
    *("EndpointID", "Gateway", "GlobalIPv6Address", "GlobalIPv6PrefixLen"),
    *("IPAddress", "IPPrefixLen", "IPv6Gateway", "MacAddress"),
)


def document(one: Record, *, size: int | None = None) -> Struct:
    """Return what ``inspect`` prints of a container.

    ``size``: the bytes of its own files, if they were counted.
    """
    status, last = lifecycle.status(one), lifecycle.last_run(one)
    args = [*one.config.entrypoint, *one.config.command]
    folder = record.directory(one.id)
    fields = {
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
        "MountLabel": "",
        "ProcessLabel": "",
        "AppArmorProfile": rights.chosen_apparmor(one.host),
        "ExecIDs": NIL_LIST,
        "HostConfig": inspect_host.document(one),
        "GraphDriver": struct({"Data": _folders(one), "Name": "overlay"}),
        **_sizes(one, size),
        "Mounts": _mounts(one),
        "Config": _config(one.config, one),
        "NetworkSettings": _network_settings(one, running=status in LIVING),
        "Node": NIL_POINTER,
    }
    return struct(fields, omit_empty=("Node",) if size is not None else ("Node", *_SIZES))


_SIZES = ("SizeRw", "SizeRootFs")


def _sizes(one: Record, size: int | None) -> dict[str, Any]:
    """Return the bytes of the container's own files, and of those with the image's."""
    if size is None:
        return dict.fromkeys(_SIZES, NIL_POINTER)
    return {"SizeRw": size, "SizeRootFs": size + listing.image_size(one)}


def _folders(one: Record) -> dict[str, str]:
    """Return the folders of the overlay; it is mounted in the container's namespace only."""
    from minirt.images import store

    folder, init = record.directory(one.id), lifecycle.init_of(one)
    try:
        lower = ":".join(map(str, store.find(one.image_id).layers))
    except NotFound:  # It was removed by force.
        lower = ""
    return {
        "LowerDir": lower,
        "MergedDir": f"/proc/{init[0]}/root" if init else "",
        "UpperDir": str(folder / "upper"),
        "WorkDir": str(folder / "work"),
    }


def _state(one: Record, status: str, last: LastRun) -> Struct:
    init = lifecycle.init_of(one)
    fields = {
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
        "Health": NIL_POINTER,
    }
    return struct(fields, omit_empty=("Health",))


def _config(config: Config, one: Record) -> Struct:
    fields = {
        "Hostname": config.hostname,
        "Domainname": config.domainname,
        "User": config.user,
        "AttachStdin": config.open_stdin and config.attached,
        "AttachStdout": config.attached,
        "AttachStderr": config.attached,
        "ExposedPorts": OpenMap(dict.fromkeys(_all_ports(one), struct({}))),
        "Tty": config.tty,
        "OpenStdin": config.open_stdin,
        "StdinOnce": config.open_stdin and config.attached,
        "Env": config.env or NIL_LIST,
        "Cmd": config.command or NIL_LIST,
        "Healthcheck": _health_check(config.health_check),
        "ArgsEscaped": False,
        "Image": one.image,
        "Volumes": OpenMap(dict.fromkeys(config.volumes, struct({}))) or NIL_MAP,
        "WorkingDir": config.working_dir,
        "Entrypoint": config.entrypoint or NIL_LIST,
        "NetworkDisabled": False,
        "MacAddress": "",
        "OnBuild": NIL_LIST,
        "Labels": OpenMap(config.labels),
        "StopSignal": config.stop_signal,
        "StopTimeout": NIL_POINTER if config.stop_timeout is None else config.stop_timeout,
        "Shell": NIL_LIST,
    }
    omitted = ["ExposedPorts", "Healthcheck", "ArgsEscaped", "NetworkDisabled", "MacAddress"]
    omitted += ["StopSignal", "Shell"]
    omitted += ["StopTimeout"] if config.stop_timeout is None else []
    return struct(fields, omit_empty=omitted)


def _health_check(check: Mapping[str, Any]) -> Any:
    keys = ("Test", "Interval", "Timeout", "StartPeriod", "StartInterval", "Retries")
    return struct({key: check[key] for key in keys if key in check}) if check else NIL_POINTER


def _mounts(one: Record) -> list[Struct]:
    shown = [_mount(mount, one.config) for mount in one.mounts]
    for asked in one.host.mounts:
        if asked["Type"] == "tmpfs":  # One of --tmpfs is in HostConfig.Tmpfs alone.
            read_only = asked.get("ReadOnly", False)
            shown.append(_mount(Mount("tmpfs", "", asked["Target"], "", read_only), one.config))
    return shown


def _mount(mount: Mount, config: Config) -> Struct:
    is_volume, is_anonymous = mount.kind == "volume", mount.destination in config.volumes
    fields = {
        "Type": mount.kind,
        "Name": mount.name,
        "Source": mount.source,
        "Destination": mount.destination,
        "Driver": "local" if is_volume else "",
        "Mode": mount.mode or ("z" if is_volume and not is_anonymous else ""),
        "RW": not mount.read_only,
        "Propagation": mount.propagation if mount.kind == "bind" else "",
    }
    return struct(fields, omit_empty=("Name", "Driver"))


def _all_ports(one: Record) -> list[str]:
    return sorted({*one.config.exposed_ports, *published.requests(one)})


def _network_settings(one: Record, *, running: bool) -> Struct:
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
    fields = {
        "Bridge": "",
        "SandboxID": one.id if init else "",
        "SandboxKey": f"/proc/{init[0]}/ns/net" if init else "",
        "Ports": published.ports(one) if running else OpenMap(),
        "HairpinMode": False,
        "LinkLocalIPv6Address": "",
        "LinkLocalIPv6PrefixLen": 0,
        "SecondaryIPAddresses": NIL_LIST,
        "SecondaryIPv6Addresses": NIL_LIST,
        **{key: flat[key] for key in FLAT},
        "Networks": networks,
    }
    return struct(fields)


def _endpoint(request: EndpointRequest | None, made: Endpoint | None, *, alive: bool) -> Struct:
    """Return one plug: what was asked for, what it is, and after the end what is remembered."""
    shown = dict(UNSET_ENDPOINT)
    if request is not None:
        asked = {"IPv4Address": request.address, "IPv6Address": request.address6}
        shown |= {
            "IPAMConfig": {key: value for key, value in asked.items() if value} or NIL_POINTER,
            "Aliases": request.aliases or NIL_LIST,
            "DriverOpts": OpenMap(request.driver_opts) or NIL_MAP,
        }
        shown |= {"MacAddress": request.mac, "GwPriority": request.gw_priority}
    if made is None:
        return struct(shown)
    shown |= {"NetworkID": made.network_id, "DNSNames": made.names or NIL_LIST}
    if not alive:
        return struct(shown)
    address, _, length = made.address.partition("/")
    address6, _, length6 = made.address6.partition("/")
    shown |= {
        "MacAddress": made.mac,
        "EndpointID": made.endpoint_id,
        "Gateway": made.gateway,
        "IPAddress": address,
        "IPPrefixLen": int(length or 0),
        "IPv6Gateway": made.gateway6,
        "GlobalIPv6Address": address6,
        "GlobalIPv6PrefixLen": int(length6 or 0),
    }
    return struct(shown)
