"""What ``--pid``, ``--ipc``, ``--uts`` and ``--cgroupns`` say: whose namespaces it has."""

from __future__ import annotations

import re

from minirt.container.flags.typed import Flags, refused
from minirt.errors import InvalidRequest

HIGHEST_ID = (1 << 32) - 2  # user_namespaces(7)
IPC = ("", "private", "shareable", "host", "none")


def pid(text: str) -> str:
    """Return "", "host" or "container:NAME". Raises InvalidRequest."""
    if text in ("", "host") or _names_container(text):
        return text
    raise refused("--pid", text, "invalid PID mode", "There are host and container:NAME.")


def ipc(text: str) -> str:
    """Return "private", "shareable", "host", "none" or "container:NAME". Raises InvalidRequest."""
    if text in IPC or _names_container(text):
        return text or "private"
    known = "private, shareable, host, none and container:NAME"
    raise refused("--ipc", text, "invalid IPC mode", f"There are {known}.")


def uts(flags: Flags) -> str:
    """Return "", "host" or "container:NAME". Raises InvalidRequest, also for a name of its own."""
    if flags.uts not in ("", "host") and not _names_container(flags.uts):
        known = "There are host and container:NAME."
        raise refused("--uts", flags.uts, "invalid UTS mode", known)
    if flags.uts and (flags.hostname or flags.domainname):
        raise InvalidRequest("Conflicting options", "hostname and the UTS mode")
    return flags.uts


def cgroup(text: str) -> str:
    """Return "private" or "host". Raises InvalidRequest."""
    if text in ("", "private", "host"):
        return text or "private"
    raise refused("--cgroupns", text, "invalid CGROUP mode", "There are host and private.")


def user(flags: Flags) -> str:
    """Return "", "private" or "FIRST:COUNT", ids of the host. Raises InvalidRequest."""
    text = flags.userns
    if text in ("", "host"):
        return ""
    mode = "private" if text in ("private", "auto") else _range(text)
    if _names_container(flags.pid):
        why = "ids of its own, and the processes of a container that has others (--pid)"
        raise InvalidRequest("Conflicting options", why)
    return mode


def _range(text: str) -> str:
    """Check "FIRST:COUNT". Raises InvalidRequest."""
    from minirt.container import user_ids

    found = re.fullmatch(r"(\d{1,10}):(\d{1,10})", text, re.ASCII)
    if found is None:
        known = "There are host, private (or auto), and FIRST:COUNT, ids of the host."
        raise refused("--userns", text, "invalid USER mode", known)
    first, count = int(found[1]), int(found[2])
    if count < 1 or first + count > HIGHEST_ID + 1:
        raise refused("--userns", text, f"ids go from 0 to {HIGHEST_ID}, and one is the least")
    start, beyond = user_ids.pool()
    if first < beyond and start < first + count:
        why = f"the ids from {start} to {beyond - 1} are for containers with --userns private"
        raise refused("--userns", text, why)
    return f"{first}:{count}"


def _names_container(text: str) -> bool:
    kind, _, name = text.partition(":")
    return kind == "container" and bool(name)
