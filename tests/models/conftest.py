"""What tests of models share: no configuration of whoever runs them, and requests."""

from __future__ import annotations

from pathlib import Path

import pytest


@pytest.fixture(autouse=True)
def config(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty configuration folder."""
    folder = tmp_path / "config"
    folder.mkdir()
    monkeypatch.setenv("ROLLMILL_CONFIG_DIR", str(folder))
    return folder
