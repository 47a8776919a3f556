"""What ``--device`` and ``--device-cgroup-rule`` say."""

from __future__ import annotations

import posixpath
import re
from pathlib import Path
from typing import Any

from minirt.container.flags.typed import refused

RULE = r"([acb]) (\d+|\*):(\d+|\*) ([rwm]{1,3})"  # cgroup-v1/devices.rst


def device(text: str) -> dict[str, str]:
    """Read ``SOURCE[:PATH][:rwm]``; a folder stands for all devices in it.

    Raises InvalidRequest.
    """
    parts = text.split(":")
    source, rest = parts[0], parts[1:]
    access = rest.pop() if len(rest) == 2 or (len(rest) == 1 and _is_access(rest[0])) else "rwm"
    if len(rest) > 1 or not source:
        raise refused("--device", text, f"bad format for path: {text}")
    if not _is_access(access):
        raise refused("--device", text, f"bad mode specified: {access}")
    target = rest[0] if rest else source
    for path in (source, target):
        if not path.startswith("/"):
            raise refused("--device", text, f"{path} is not an absolute path")
    if not Path(source).exists():
        why = f'error gathering device information while adding custom device "{source}"'
        raise refused("--device", text, f"{why}: no such file or directory")
    return {"host": source, "inside": posixpath.normpath(target), "access": access}


def _is_access(text: str) -> bool:
    return 0 < len(text) == len(set(text)) and not text.strip("rwm")


def rule(text: str) -> str:
    """Check one ``--device-cgroup-rule``: ``c 42:* rwm``. Raises InvalidRequest."""
    if re.fullmatch(RULE, text) is None:
        raise refused("--device-cgroup-rule", text, f"invalid device cgroup format '{text}'")
    return text


def parsed(rule: str) -> dict[str, Any]:
    """Return a rule as linux.resources.devices has it (config-linux.md)."""
    match = re.fullmatch(RULE, rule)
    assert match is not None, "it was checked when it was read"
    kind, major, minor, access = match.groups()
    numbers = {"major": major, "minor": minor}
    known = {key: int(value) for key, value in numbers.items() if value != "*"}
    return {"allow": True, "type": kind, **known, "access": access}
