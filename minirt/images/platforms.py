"""Which image of an index is the one for this machine."""

from __future__ import annotations

import platform
import re
from typing import Any

from minirt.errors import InvalidRequest, in_quotes

# What Go, and therefore OCI, calls the machines of uname(2).
_ARCHITECTURES = {
    "x86_64": "amd64",
    "aarch64": "arm64",
    "armv7l": "arm",
    "i686": "386",
    "ppc64le": "ppc64le",
    "riscv64": "riscv64",
    "s390x": "s390x",
}


def architecture() -> str:
    """Return this machine's architecture, as OCI calls it."""
    return _ARCHITECTURES.get(platform.machine(), platform.machine())


def parse(text: str) -> dict[str, str]:
    """Read ``linux/arm64``, ``arm64/v8`` or ``linux`` into the fields of an image configuration.

    Empty is this machine. Raises InvalidRequest.
    """
    words = text.lower().split("/") if text else []
    if words and words[0] != "linux" and (words[0] in _OS or len(words) == 3):
        raise InvalidRequest(
            f"Cannot make an image for {text[:80]}", "minirt has Linux images only"
        )
    words = words[1:] if words[:1] == ["linux"] else words
    if len(words) > 2 or not all(re.fullmatch("[a-z0-9_.-]+", word) for word in words):
        raise InvalidRequest(
            f"Invalid platform {in_quotes(text[:80])}", "", "Write it like linux/arm64."
        )
    name = words[0] if words else architecture()
    found = {"architecture": _ARCHITECTURES.get(name, name), "os": "linux"}
    return found | ({"variant": words[1]} if len(words) == 2 else {})


_OS = ("windows", "darwin", "freebsd")


def chosen(index: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Return the descriptors in an index that are for this machine, or don't say what they are for.

    Builders also list attestations there, which are no images: they go. A single image is
    taken whatever it is for. Raises InvalidRequest.
    """
    images = [one for one in index if not _is_attestation(one)]
    fitting = [one for one in images if _platform(one) in ("", f"linux/{architecture()}")]
    if fitting or len(images) <= 1:
        return fitting or images
    there = ", ".join(sorted({_platform(one)[:40] for one in images}))
    why = f"this machine is linux/{architecture()}, and it has {there}"
    raise InvalidRequest("The archive has no image for this machine", why)


def _platform(descriptor: dict[str, Any]) -> str:
    wanted = descriptor.get("platform") or {}
    words = [str(wanted[key]) for key in ("os", "architecture") if wanted.get(key)]
    return "/".join(words)


def _is_attestation(descriptor: dict[str, Any]) -> bool:
    kind = (descriptor.get("annotations") or {}).get("vnd.docker.reference.type")
    return kind == "attestation-manifest" or _platform(descriptor) == "unknown/unknown"
