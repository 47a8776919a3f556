"""What the operator grants a container: capabilities and system calls."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from minirt.container import defaults
from minirt.container.record import HostConfig
from minirt.errors import InvalidRequest, in_quotes
from minirt.kernel import capabilities
from minirt.runtime import seccomp_profile
from minirt.state import read_json

APPARMOR = Path("/sys/module/apparmor/parameters/enabled")


def everything() -> list[str]:
    """Return all capabilities that this process may hand on: those of its bounding set."""
    return capabilities.names(capabilities.bounding())


def sets(allowed: list[str]) -> dict[str, list[str]]:
    """Return the five sets of capabilities(7).

    Nothing is inheritable or ambient: a program that isn't root's gets no capability by files
    that say "inheritable" (CVE-2022-24769).
    """
    return {
        "bounding": allowed,
        "effective": allowed,
        "permitted": allowed,
        "inheritable": [],
        "ambient": [],
    }


def granted(host: HostConfig) -> list[str]:
    """Return the capabilities of a container's root. Raises InvalidRequest for unknown ones."""
    if host.privileged:
        return everything()
    added = {_capability(name) for name in host.cap_add}
    dropped = {_capability(name) for name in host.cap_drop}
    granted = set(defaults.CAPABILITIES)
    if "CAP_ALL" in dropped:
        granted = set()
    if "CAP_ALL" in added:
        granted = set(everything())
    granted = (granted | added) - dropped if "CAP_ALL" not in dropped else granted | added
    return sorted(granted - {"CAP_ALL"})


def seccomp(host: HostConfig, allowed: list[str]) -> dict[str, Any] | None:
    """Return the seccomp profile: minirt's own, the operator's file, or none."""
    chosen = _chosen(host, "seccomp")
    if chosen == "unconfined" or (host.privileged and not chosen):
        return None
    if not chosen:
        return seccomp_profile.default(allowed)
    try:
        document = read_json(Path(chosen))
    except (OSError, ValueError) as error:
        raise InvalidRequest(f"Cannot use the seccomp profile {chosen}", str(error)) from error
    return seccomp_profile.adapt(document, allowed)


def apparmor(host: HostConfig) -> str:
    """Return the profile that was asked for; "" for none. Raises InvalidRequest."""
    chosen = chosen_apparmor(host)
    if not chosen:
        return ""
    if not APPARMOR.exists() or APPARMOR.read_text().strip() != "Y":
        why = "AppArmor is not enabled on this machine"
        raise InvalidRequest(f"Cannot use the profile {chosen}", why)
    return chosen


def chosen_apparmor(host: HostConfig) -> str:
    """Return the profile of ``--security-opt apparmor=…``, whether there is AppArmor or not."""
    chosen = _chosen(host, "apparmor")
    return "" if chosen == "unconfined" else chosen


def sees_system_paths(host: HostConfig) -> bool:
    """Say whether nothing of /proc and /sys is hidden, or forbidden to be written."""
    return host.privileged or _chosen(host, "systempaths") == "unconfined"


def _chosen(host: HostConfig, wanted: str) -> str:
    """Return the last value of a ``--security-opt``."""
    pairs = (option.replace(":", "=", 1).partition("=") for option in host.security_opt)
    return ([""] + [value for key, _, value in pairs if key == wanted])[-1]


def _capability(name: str) -> str:
    upper = name.upper()
    full = upper if upper.startswith("CAP_") else f"CAP_{upper}"
    if full != "CAP_ALL" and full not in capabilities.NUMBERS:
        raise InvalidRequest(
            f"Unknown capability {in_quotes(name)}", "", "capabilities(7) lists them."
        )
    return full


def no_new_privileges(host: HostConfig) -> bool:
    """Say whether ``--security-opt no-new-privileges`` was given."""
    words = {option.replace(":", "=") for option in host.security_opt}
    return bool(words & {"no-new-privileges", "no-new-privileges=true"})
