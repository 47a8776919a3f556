"""Images, networks and volumes as Go structs, with all fields that Docker's users name.

What :mod:`minirt.images`, :mod:`minirt.network` and :mod:`volume_rows` know of them gets the
fields that Docker has besides, with Docker's empty values.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from minirt.container.templates.structs import NIL_LIST, NIL_MAP, NIL_POINTER, Struct, struct
from minirt.container.templates.values import OpenMap

# Of "Config" of an image: what JSON leaves out where it is empty, and what it shows always.
_CONFIG_OMITTED: dict[str, Any] = {
    "Healthcheck": NIL_POINTER,
    "ArgsEscaped": False,
    "NetworkDisabled": False,
    "MacAddress": "",
    "StopSignal": "",
    "StopTimeout": NIL_POINTER,
    "Shell": NIL_LIST,
    "ExposedPorts": NIL_MAP,
}
_CONFIG: dict[str, Any] = {
    **dict.fromkeys(("Hostname", "Domainname", "User", "Image", "WorkingDir"), ""),
    **dict.fromkeys(("AttachStdin", "AttachStdout", "AttachStderr"), False),
    **dict.fromkeys(("Tty", "OpenStdin", "StdinOnce"), False),
    **dict.fromkeys(("Env", "Cmd", "Entrypoint", "OnBuild"), NIL_LIST),
    **dict.fromkeys(("Volumes", "Labels"), NIL_MAP),
}


def image(document: Mapping[str, Any]) -> Struct:
    """Return an image as ``docker image inspect`` knows it."""
    given = {key: _open(one) for key, one in document["Config"].items() if one is not None}
    config = struct({**_CONFIG, **_CONFIG_OMITTED, **given}, omit_empty=_CONFIG_OMITTED)
    omitted = {
        "VirtualSize": 0,  # only API versions before 1.44 tell it
        "Container": "",
        "ContainerConfig": NIL_POINTER,
        "Variant": "",
        "OsVersion": "",
    }
    return struct({**omitted, **document, "Config": config}, omit_empty=omitted)


def network(document: Mapping[str, Any]) -> Struct:
    """Return a network as ``docker network inspect`` knows it."""
    omitted = {"Peers": NIL_LIST, "Services": NIL_MAP}
    maps = {key: OpenMap(document[key]) for key in ("Containers", "Options", "Labels")}
    config_from = struct({"Network": document["ConfigFrom"]["Network"]})
    fields = {**document, **maps, "ConfigFrom": config_from, **omitted}
    return struct(fields, omit_empty=omitted)


def volume(document: Mapping[str, Any]) -> Struct:
    """Return a volume as ``docker volume inspect`` knows it."""
    omitted = {"ClusterVolume": NIL_POINTER, "Status": NIL_MAP, "UsageData": NIL_POINTER}
    maps = {key: _open(document[key]) or NIL_MAP for key in ("Labels", "Options")}
    return struct({**document, **maps, **omitted}, omit_empty=omitted)


def _open(value: Any) -> Any:
    """Let a template ask a map for a key that it lacks."""
    return OpenMap(value) if isinstance(value, dict) else value
