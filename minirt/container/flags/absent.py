"""Flags that Docker has and minirt hasn't, refused with what does the same."""

from __future__ import annotations

from minirt.container.flags.typed import Flags, refused, unusable
from minirt.errors import InvalidRequest
from minirt.images import platforms


def check(flags: Flags) -> None:
    """Refuse what is not to be had, and accept what is so anyway. Raises InvalidRequest."""
    if flags.restart not in ("", "no"):
        why = "nobody stays who could start it again: minirt has no daemon"
        remedy = "Let a unit of systemd do it: ExecStart=minirt start -a NAME, Restart=on-failure."
        raise unusable("--restart", flags.restart, why, remedy)
    for name in ("health_cmd", "health_interval", "health_timeout", "health_retries"):
        if getattr(flags, name):
            flag = f"--{name.replace('_', '-')}"
            why = "minirt has no daemon that would run the checks"
            raise refused(flag, getattr(flags, name), why, "Run them with minirt exec.")
    if flags.link:
        why = "links are of the past: containers of one network find each other by name"
        remedy = "minirt network create NET, and --network NET for both; --network-alias for more."
        raise unusable("--link", flags.link[0], why, remedy)
    if flags.pull not in ("", "missing", "never"):
        why = "minirt pulls no images"
        raise refused("--pull", flags.pull, why, "skopeo copy, and minirt image load.")
    if flags.platform and not _is_own(flags.platform):
        why = f"this machine is linux/{platforms.architecture()}"
        raise InvalidRequest(f"Cannot run a container for {flags.platform}", why)


def _is_own(text: str) -> bool:
    """Say whether ``linux/amd64``, ``amd64`` or ``linux`` names this machine."""
    own = platforms.architecture()
    return text.lower() in (f"linux/{own}", "linux", own)
