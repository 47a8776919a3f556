"""What a lease file says of its holder: read by all, written in place by who holds the lock."""

from __future__ import annotations

import json
import os
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import Any

from minirt.state import parse_json


@dataclass(frozen=True, slots=True)
class Facts:
    """What a lease file says of its holder."""

    container: str  # its id
    name: str = ""
    pid: int = 0  # of init, as the host counts
    born: int = 0  # processes.start_time of it
    mac: str = ""
    endpoint: str = ""  # the endpoint's id
    trusted: bool = False  # it may have further addresses (spoofing.nft)
    names: list[str] = field(default_factory=list)  # what the resolver answers to
    ports: list[dict[str, Any]] = field(default_factory=list)  # port_binding.to_json of each


def parse(text: bytes) -> Facts | None:
    """Read what a lease file says; None: it is being written, or not ours."""
    try:
        document = parse_json(text)
        known = {one.name for one in fields(Facts)} & document.keys()
        return Facts(**{key: document[key] for key in known})
    except (ValueError, AttributeError, TypeError):
        return None


def read(path: Path) -> Facts | None:
    """Read a lease file; None if it is gone, or its holder has not written yet."""
    try:
        text = path.read_bytes()
    except FileNotFoundError:
        return None
    return parse(text)


def write_to(fd: int, facts: Facts) -> None:
    """Write in place: a new file would not be locked.

    One pwrite(2), padded with blanks over what was there, so that no reader meets a mixture.
    """
    text = json.dumps(asdict(facts)).encode()
    os.pwrite(fd, text.ljust(os.fstat(fd).st_size), 0)


def rewrite(path: Path, facts: Facts) -> None:
    """Change what a lease file says, for its holder: also in place, without the lock."""
    fd = os.open(path, os.O_RDWR | os.O_CLOEXEC)
    try:
        write_to(fd, facts)
    finally:
        os.close(fd)
