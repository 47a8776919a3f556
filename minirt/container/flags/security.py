"""What ``--cap-add``, ``--cap-drop`` and ``--security-opt`` say."""

from __future__ import annotations

from pathlib import Path

from minirt.container.flags.typed import refused, unusable
from minirt.state import read_json


def capability(name: str, flag: str) -> str:
    """Return ``ALL`` or a name like ``CAP_NET_ADMIN`` (capabilities(7)). Raises InvalidRequest."""
    plain = name.upper().removeprefix("CAP_")
    if plain == "ALL":
        return plain
    from minirt.kernel.capabilities import NAMES

    if f"CAP_{plain}" not in NAMES:
        raise unusable(
            flag, name, f'unknown capability: "{name}"', "man 7 capabilities lists them."
        )
    return f"CAP_{plain}"


def security_option(text: str) -> str:
    """Return one ``--security-opt``: with ``=`` after its name, a file by its whole path.

    Raises InvalidRequest.
    """
    key, _, value = text.replace(":", "=", 1).partition("=")
    if key == "no-new-privileges" and value in ("", "true"):
        return key
    if (key, value) in _NO_EFFECT or (key, value) == ("seccomp", "unconfined"):
        return f"{key}={value}"
    if (key, value) == ("systempaths", "unconfined") or (key == "apparmor" and value):
        return f"{key}={value}"
    if key == "label":
        why = "minirt gives no labels of SELinux"
        raise refused("--security-opt", text, why, "label=disable is accepted.")
    if key != "seccomp" or not value:
        known = "no-new-privileges, seccomp=…, apparmor=… and systempaths=unconfined"
        raise refused("--security-opt", text, "minirt doesn't have it", f"There are {known}.")
    try:
        read_json(Path(value))
    except OSError as error:
        why = f"opening seccomp profile ({value}) failed: {error.strerror}"
        raise refused("--security-opt", text, why) from None
    except ValueError as error:
        raise refused("--security-opt", text, f"{value} is not JSON: {error}") from None
    return f"seccomp={Path(value).absolute()}"


# What Docker's users turn off, and minirt never turns on.
_NO_EFFECT = {("no-new-privileges", "false"), ("apparmor", "unconfined"), ("label", "disable")}
