"""The command line, as the thin client understands it before anything is imported."""

from __future__ import annotations

import posix
import sys

import pytest

from minirt.server import client


@pytest.mark.parametrize(
    ("words", "folder"),
    [
        (["ps"], b"/run/minirt/server"),
        (["--runroot", "/a", "ps"], b"/a/server"),
        (["--runroot=/a", "ps"], b"/a/server"),
        (["--runroot", "/a", "--runroot=/b", "ps"], b"/b/server"),  # as click has it
        (["--root", "/a", "ps"], b"/run/minirt/server"),
        (["--root", "--runroot", "/a", "ps"], b"/run/minirt/server"),  # "/a" is the verb
        (["--explain", "--runroot", "/a", "ps"], b"/a/server"),
        (["ps", "--runroot", "/a"], b"/run/minirt/server"),
        (["--runroot"], b"/run/minirt/server"),
    ],
)
def test_the_server_is_that_of_the_state_that_is_meant(
    monkeypatch: pytest.MonkeyPatch, words: list[str], folder: bytes
) -> None:
    monkeypatch.delitem(posix.environ, b"MINIRT_RUNROOT", raising=False)
    monkeypatch.setattr(sys, "argv", ["minirt", *words])
    assert client.folder() == folder
