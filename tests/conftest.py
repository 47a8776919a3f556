"""Unit tests need no root and touch nothing outside their temporary directory."""

from __future__ import annotations

from pathlib import Path

import pytest


@pytest.fixture(autouse=True)
def own_directories(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MINIRT_ROOT", str(tmp_path / "root"))
    monkeypatch.setenv("MINIRT_RUNROOT", str(tmp_path / "run"))
