"""Docker, containerd and runc: setup.sh unpacks them into a folder, for tests alone."""

from __future__ import annotations

import os

import pytest

from integration.sandbox import REPOSITORY, needs_tool

FOLDERS = [str(REPOSITORY / ".peers/usr" / name) for name in ("bin", "sbin")]


def needs_peer(*names: str) -> pytest.MarkDecorator:
    """Skip a test where one of these programs is neither unpacked nor installed."""
    on_path()
    return needs_tool(*names)


def on_path() -> None:
    """Let this process, and what it starts, find them: they call each other by their names."""
    path = os.environ["PATH"].split(os.pathsep)
    os.environ["PATH"] = os.pathsep.join([*path, *(one for one in FOLDERS if one not in path)])
