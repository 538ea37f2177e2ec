"""What tests of the command line share."""

from __future__ import annotations

from pathlib import Path

import pytest

from rollmill.cli import main
from tests.command_line import Ran, Run


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty home, and an empty folder to work in."""
    home, work = tmp_path / "home", tmp_path / "work"
    home.mkdir()
    work.mkdir()
    monkeypatch.setenv("HOME", str(home))
    for name in ("CLAUDE_CONFIG_DIR", "CODEX_HOME", "_ROLLMILL_COMPLETE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.chdir(work)
    return home


@pytest.fixture
def run(home: Path, capfd: pytest.CaptureFixture[str]) -> Run:
    """Runs a command line in this process."""

    def run(*arguments: str | Path) -> Ran:
        capfd.readouterr()
        with pytest.raises(SystemExit) as stopped:
            main([str(argument) for argument in arguments])
        out, err = capfd.readouterr()
        return Ran(int(stopped.value.code or 0), out, err)

    return run


@pytest.fixture
def by_workers(monkeypatch: pytest.MonkeyPatch) -> None:
    """With several workers nothing is worked out in this process until they have started: all of it is theirs."""
    monkeypatch.setattr("rollmill.engine.workers._meanwhile", lambda *_: ())
