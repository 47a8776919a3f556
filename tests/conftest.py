"""Unit tests need no root and touch nothing outside their temporary directory."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import settings

# An example that takes longer than 200 ms says something about a busy machine, not about code.
settings.register_profile("patient", deadline=None)
settings.load_profile("patient")


@pytest.fixture(autouse=True)
def own_directories(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MINIRT_ROOT", str(tmp_path / "root"))
    monkeypatch.setenv("MINIRT_RUNROOT", str(tmp_path / "run"))
