"""What ``--volume``, ``--mount`` and ``--tmpfs`` say."""

from __future__ import annotations

import os
import posixpath
import re
from collections.abc import Iterable
from typing import Any

from minirt.container.flags.typed import fields_of, refused, unusable
from minirt.container.record import Mount
from minirt.errors import InvalidRequest
from minirt.state import LONGEST_NAME, NAME

PROPAGATIONS = ("private", "rprivate", "shared", "rshared", "slave", "rslave")
# What may follow the path of -v, one of each kind: who may write; SELinux; propagation; whether
# a new volume gets the image's files; macOS; and podman's word for files that are shown with the
# ids of the container, as all of them are here.
MODES = (
    ("ro", "rw"),
    ("z", "Z"),
    PROPAGATIONS,
    ("nocopy",),
    ("cached", "delegated", "consistent"),
    ("idmap",),
)
TMPFS_OPTION = (  # mount(8) "filesystem-independent mount options", tmpfs(5)
    "ro|rw|(no)?(exec|suid|dev|atime|diratime|mand)|(no)?(rel|strict)atime|a?sync|dirsync|defaults"
    "|(size|uid|gid|nr_inodes|nr_blocks|mpol)=.+|mode=[0-7]+"
)
KEYS = {"src": "source", "dst": "target", "destination": "target", "ro": "readonly"}


def volume(text: str) -> Mount:
    """Read one ``-v``: ``SOURCE:PATH[:modes]``, ``VOLUME:PATH[:modes]`` or ``PATH``.

    Raises InvalidRequest; also when the source is not there, which Docker would make.
    """
    parts = text.split(":")
    if len(parts) > 3 or not all(parts):
        raise unusable("--volume", text, f"invalid volume specification: '{text}'")
    if len(parts) == 1:
        return Mount("volume", "", destination(text, "--volume", text))
    source, target = parts[0], destination(parts[1], "--volume", text)
    modes = parts[2].split(",") if len(parts) == 3 else []
    if not all(sum(mode in kind for mode in modes) <= 1 for kind in MODES) or not (
        set(modes) <= {mode for kind in MODES for mode in kind}
    ):
        raise unusable("--volume", text, f"invalid mode: {parts[2]}")
    propagation = next((mode for mode in modes if mode in PROPAGATIONS), "")
    read_only = "ro" in modes
    if source.startswith(("/", "./", "../")) or source in (".", ".."):
        path = existing(os.path.abspath(source), "--volume", text)  # noqa: PTH100 - not resolved
        if "nocopy" in modes:
            raise unusable("--volume", text, "nocopy is for volumes: a folder is never copied into")
        propagation = propagation or "rprivate"
        return Mount("bind", path, target, "", read_only, propagation, mode=",".join(modes))
    if propagation:
        raise unusable("--volume", text, f"{propagation} is for folders of the host, not volumes")
    name = volume_name(source, "--volume", text)
    options = ["nocopy"] if "nocopy" in modes else []
    return Mount("volume", "", target, name, read_only, options=options, mode=",".join(modes))


def bind_text(one: Mount) -> str:
    """Return a mount that :func:`volume` has read as ``inspect`` shows it in HostConfig.Binds."""
    return ":".join(part for part in (one.name or one.source, one.destination, one.mode) if part)


def volumes_from(text: str) -> str:
    """Check one ``--volumes-from``: ``NAME[:ro|rw|z|Z]``. Raises InvalidRequest."""
    name, colon, mode = text.partition(":")
    if not name or (colon and mode not in ("ro", "rw", "z", "Z")):
        raise unusable("--volumes-from", text, f"invalid mode: {mode}" if name else "it is empty")
    return text


def mount(text: str) -> Mount:
    """Read one ``--mount``: ``type=bind,source=…,target=…[,readonly]``; type tmpfs too.

    Raises InvalidRequest.
    """
    values: dict[str, str] = {}
    for field in fields_of(text, "--mount"):
        key, equals, value = field.partition("=")
        key = key.strip().lower()
        key = KEYS.get(key, key)
        if not equals and key not in ("readonly", "volume-nocopy", "bind-nonrecursive"):
            raise refused("--mount", text, f"invalid field '{field}' must be a key=value pair")
        values[key] = value if equals else "true"
    kind = values.pop("type", "volume").lower()
    if kind not in _KINDS:
        why = f"mount type {kind} is not known"
        raise unusable("--mount", text, why, "There are bind, volume and tmpfs.")
    target = destination(values.pop("target", ""), "--mount", text)
    source = values.pop("source", "")
    read_only = _truth(values.pop("readonly", "false"), text)
    values.pop("consistency", None)
    unknown = values.keys() - _KINDS[kind]
    if unknown:
        raise unusable("--mount", text, f"unexpected key '{min(unknown)}' for type {kind}")
    if kind == "tmpfs":
        return _tmpfs_mount(values, source, target, read_only, text)
    if kind == "bind":
        return _bind_mount(values, source, target, read_only, text)
    name = volume_name(source, "--mount", text) if source else ""
    options = ["nocopy"] if _truth(values.get("volume-nocopy", "false"), text) else []
    return Mount("volume", "", target, name, read_only, options=options)


def api_form(one: Mount) -> dict[str, Any]:
    """Return a mount that :func:`mount` has read as ``inspect`` shows it in HostConfig.Mounts.

    That is the object "Mount" of the Docker Engine API: fields that are empty are left out.
    """
    propagation = {} if one.propagation == "rprivate" else {"Propagation": one.propagation}
    alone = {"NonRecursive": True} if one.kind == "bind" and "bind" in one.options else {}
    fields = {
        "Type": one.kind,
        "Source": one.name or one.source,
        "Target": one.destination,
        "ReadOnly": one.read_only or "ro" in one.options,
        "BindOptions": propagation | alone,
        "VolumeOptions": {"NoCopy": True, "DriverConfig": {}} if "nocopy" in one.options else {},
        "TmpfsOptions": _tmpfs_options(one) if one.kind == "tmpfs" else {},
    }
    return {key: value for key, value in fields.items() if value}


def _tmpfs_options(one: Mount) -> dict[str, int]:
    given = dict(text.split("=", 1) for text in one.options if "=" in text)
    size = {"SizeBytes": int(given["size"])} if "size" in given else {}
    return size | ({"Mode": int(given["mode"], 8)} if "mode" in given else {})


_KINDS = {
    "bind": {"bind-propagation", "bind-nonrecursive"},
    "volume": {"volume-nocopy"},
    "tmpfs": {"tmpfs-size", "tmpfs-mode"},
}


def _bind_mount(
    values: dict[str, str], source: str, target: str, read_only: bool, text: str
) -> Mount:
    if not source:
        raise refused("--mount", text, "a bind mount needs a source")
    propagation = values.get("bind-propagation", "rprivate")
    if propagation not in PROPAGATIONS:
        raise refused("--mount", text, f"invalid propagation value: {propagation}")
    alone = _truth(values.get("bind-nonrecursive", "false"), text)
    path = existing(os.path.abspath(source), "--mount", text)  # noqa: PTH100 - not resolved
    options = ["bind"] if alone else []
    return Mount("bind", path, target, "", read_only, propagation, options)


def _tmpfs_mount(
    values: dict[str, str], source: str, target: str, read_only: bool, text: str
) -> Mount:
    from minirt.container.flags.limits import size

    if source:
        raise refused("--mount", text, "a tmpfs has no source")
    options = ["ro"] if read_only else []
    if "tmpfs-size" in values:
        options.append(f"size={size(values['tmpfs-size'], '--mount')}")
    if "tmpfs-mode" in values:
        options.append(f"mode={values['tmpfs-mode']}")
    _check_tmpfs(options, "--mount", text)
    return Mount("tmpfs", "", target, options=options)


def tmpfs(text: str) -> Mount:
    """Read one ``--tmpfs``: ``PATH[:options]``.

    Raises InvalidRequest.
    """
    path, _, words = text.partition(":")
    options = words.split(",") if words else []
    _check_tmpfs(options, "--tmpfs", text)
    return Mount("tmpfs", "", destination(path, "--tmpfs", text), options=options)


def _check_tmpfs(options: Iterable[str], flag: str, text: str) -> None:
    for option in options:
        if not re.fullmatch(TMPFS_OPTION, option):
            raise unusable(flag, text, f'invalid tmpfs option "{option}"')


def destination(path: str, flag: str, text: str) -> str:
    """Return the path inside, in its shortest form. Raises InvalidRequest."""
    if not path:
        raise unusable(flag, text, "target is required")
    if not path.startswith("/"):
        raise unusable(flag, text, f"invalid mount path: '{path}' mount path must be absolute")
    clean = posixpath.normpath("/" + path.lstrip("/"))
    if clean == "/":
        raise unusable(flag, text, "invalid specification: destination can't be '/'")
    return clean


def existing(path: str, flag: str, text: str) -> str:
    """Return the path of the host if something is there. Raises InvalidRequest."""
    if os.path.lexists(path):
        return path
    remedy = f"Make it first: mkdir -p {path}"
    raise unusable(flag, text, f"bind source path does not exist: {path}", remedy)


def volume_name(name: str, flag: str, text: str) -> str:
    """Return the name of a volume. Raises InvalidRequest."""
    if (
        name.isalnum() and len(name) == 1
    ):  # Docker's client takes it for the letter of a drive of Windows.
        raise unusable(flag, text, "volume name is too short, names have at least two characters")
    if NAME.fullmatch(name) and len(name) <= LONGEST_NAME:
        return name
    why = f'"{name}" includes invalid characters for a volume name'
    raise unusable(flag, text, why, "For a folder of the host, write its absolute path.")


def distinct(mounts: Iterable[Mount]) -> list[Mount]:
    """Return the mounts if no two have one destination. Raises InvalidRequest."""
    found: dict[str, Mount] = {}
    for one in mounts:
        if one.destination in found:
            raise InvalidRequest(f"Duplicate mount point: {one.destination}")
        found[one.destination] = one
    return list(found.values())


def _truth(word: str, text: str) -> bool:
    if word.lower() in ("1", "t", "true"):
        return True
    if word.lower() in ("0", "f", "false"):
        return False
    raise refused("--mount", text, f"'{word}' is neither true nor false")
