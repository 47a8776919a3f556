"""A cgroup that its last process has left may be gone at any moment."""

from __future__ import annotations

from pathlib import Path

import pytest

from minirt.kernel import cgroup_signals


@pytest.mark.parametrize("is_seen_first", [False, True])
def test_a_cgroup_that_has_gone_needs_neither_thaw_nor_kill(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, is_seen_first: bool
) -> None:
    """It may go after a first look at it: in version 2 a frozen container can be killed."""
    gone = tmp_path / "gone"
    with monkeypatch.context() as patch:
        if is_seen_first:
            patch.setattr(Path, "exists", lambda _: True)
        cgroup_signals.thaw(gone)
        cgroup_signals.kill(gone, gone)
        cgroup_signals.kill(gone, None)
    assert list(tmp_path.iterdir()) == []


def test_another_error_of_a_cgroup_is_raised(tmp_path: Path) -> None:
    """The control for the test above."""
    (tmp_path / "cgroup.freeze").mkdir()
    with pytest.raises(IsADirectoryError):
        cgroup_signals.thaw(tmp_path)


def test_who_has_gone_cannot_be_frozen(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        cgroup_signals.freeze(tmp_path / "gone")
