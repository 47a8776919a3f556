"""A cgroup that its last process has left may be gone at any moment."""

from __future__ import annotations

from pathlib import Path

import pytest

from minirt.kernel import cgroup_signals


def test_who_has_gone_needs_neither_thaw_nor_kill(tmp_path: Path) -> None:
    gone = tmp_path / "gone"
    cgroup_signals.thaw(gone)
    cgroup_signals.kill(gone, gone)
    cgroup_signals.kill(gone, None)


def test_who_has_gone_between_two_looks_needs_no_thaw_either(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In version 2 a killed container is gone although it was frozen: before it is thawed."""
    monkeypatch.setattr(cgroup_signals, "is_version_2", lambda _: True)
    cgroup_signals.thaw(tmp_path / "gone")


def test_who_has_gone_cannot_be_frozen(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        cgroup_signals.freeze(tmp_path / "gone")
