"""What ``--cap-add``, ``--cap-drop`` and ``--security-opt`` say."""

from __future__ import annotations

import json
from pathlib import Path

from minirt.container.flags import refused


def capability(name: str, flag: str) -> str:
    """Return ``ALL`` or a name like ``CAP_NET_ADMIN`` (capabilities(7)). Raises InvalidRequest."""
    plain = name.upper().removeprefix("CAP_")
    if not plain.replace("_", "").isalpha() or not plain.isascii():
        raise refused(flag, name, f'unknown capability: "{name}"')
    return plain if plain == "ALL" else f"CAP_{plain}"


def security_option(text: str) -> str:
    """Return one ``--security-opt``; a file of seccomp rules is replaced by what it says.

    Raises InvalidRequest.
    """
    if text in ("no-new-privileges", "no-new-privileges=true", "no-new-privileges:true"):
        return "no-new-privileges"
    key, value = text.replace(":", "=", 1).split("=", 1) if set(text) & set("=:") else (text, "")
    if (key, value) in _NO_EFFECT or (key, value) == ("systempaths", "unconfined"):
        return f"{key}={value}"
    if key != "seccomp" or not value:
        known = "no-new-privileges, seccomp=FILE, seccomp=unconfined, systempaths=unconfined"
        raise refused("--security-opt", text, "minirt doesn't have it", f"There are {known}.")
    if value in ("unconfined", "builtin"):
        return f"seccomp={value}"
    try:
        return "seccomp=" + json.dumps(json.loads(Path(value).read_bytes()), separators=(",", ":"))
    except OSError as error:
        why = f"opening seccomp profile ({value}) failed: {error.strerror}"
        raise refused("--security-opt", text, why) from None
    except ValueError as error:
        raise refused("--security-opt", text, f"{value} is not JSON: {error}") from None


_NO_EFFECT = {("no-new-privileges", "false"), ("apparmor", "unconfined"), ("label", "disable")}
