"""The names of images: ``repository[:tag]``, as Docker reads them.

``busybox`` is short for ``busybox:latest``, and that for ``docker.io/library/busybox:latest``:
archives made by other programs hold the long form. The short one is what is kept and shown.
Grammar: the distribution project's reference.go.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from minirt.errors import InvalidRequest, in_quotes

DIGEST = re.compile(r"sha256:[0-9a-f]{64}")
_LONGEST = 255  # of a repository: distribution's NameTotalLengthMax

# Written so that a text can be matched in one way only: "re" tries them all (CWE-1333).
_LABEL = r"[a-zA-Z0-9]+(?:-+[a-zA-Z0-9]+)*"
_HOST = rf"{_LABEL}(?:\.{_LABEL})*(?::[0-9]+)?"
_COMPONENT = r"[a-z0-9]+(?:(?:\.|_|__|-+)[a-z0-9]+)*"
_ID = re.compile(r"[0-9a-f]{64}")
_PATH = re.compile(rf"{_COMPONENT}(?:/{_COMPONENT})*")
_HOST_ALONE = re.compile(_HOST)
_TAG = re.compile(r"[a-zA-Z0-9_][a-zA-Z0-9_.-]{0,127}")
_HUB = ("docker.io", "index.docker.io")


@dataclass(frozen=True, slots=True)
class Name:
    """One name of an image."""

    repository: str  # without the host and "library/" of Docker Hub
    tag: str = "latest"

    def __str__(self) -> str:
        return f"{self.repository}:{self.tag}"

    @property
    def full(self) -> str:
        """Return the name with nothing left out: what containerd and Docker write down."""
        first, slash, _ = self.repository.partition("/")
        if slash and _is_host(first):
            return str(self)
        return f"docker.io/{'' if slash else 'library/'}{self}"


def parse(text: str) -> Name:
    """Read a name. Raises InvalidRequest."""
    rest, colon, tag = text.rpartition(":")
    if not colon or "/" in tag:  # A colon before a slash belongs to a host's port.
        rest, tag = text, "latest"
    repository = _without_hub(rest)
    if len(text) > _LONGEST or not _is_repository(repository) or not _TAG.fullmatch(tag):
        why = "a name is REPOSITORY[:TAG], the repository in lower case letters, digits and . _ - /"
        raise InvalidRequest(f"Invalid image name ({in_quotes(text[:80])})", why)
    if _ID.fullmatch(repository):
        raise InvalidRequest(
            f"Invalid image name ({in_quotes(text)})", "it would look like an image's id"
        )
    return Name(repository, tag)


def _is_repository(text: str) -> bool:
    first, slash, rest = text.partition("/")
    if slash and _is_host(first):
        return bool(_HOST_ALONE.fullmatch(first) and _PATH.fullmatch(rest))
    return bool(_PATH.fullmatch(text))


def _is_host(first: str) -> bool:
    return "." in first or ":" in first or first == "localhost" or first.lower() != first


def _without_hub(text: str) -> str:
    host, slash, path = text.partition("/")
    if host == "library" and "/" not in path:
        return path
    if not slash or host not in _HUB:
        return text
    return path.removeprefix("library/") if path.count("/") == 1 else path
