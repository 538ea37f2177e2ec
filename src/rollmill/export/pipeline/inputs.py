"""What an export reads: rows that were written before, or rollouts as agents left them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from rollmill.errors import ConfigError
from rollmill.files import is_inside
from rollmill.formats import Branches
from rollmill.reading import read
from rollmill.rollout import Rollout
from rollmill.stored import StoredRollouts, row_files


@dataclass
class Input:
    """Rollouts, one at a time, and how far they were read. Without a path: every agent's own default folder."""

    path: Path | None
    format: str = "auto"
    branches: Branches = "live"
    rows: list[Path] = field(init=False)
    """The files of rows; empty when rollouts are read."""

    def __post_init__(self) -> None:
        if self.path is not None and not self.path.exists():
            raise ConfigError(f"there is no {self.path}; give a file of rows, or a file or folder of rollouts")
        self.rows = row_files(self.path) if self.path is not None and self.format == "auto" else []
        self._rollouts = (
            StoredRollouts(self.rows) if self.rows else read(self.path, self.format, branches=self.branches)
        )

    def refuse_output(self, file: Path) -> None:
        """Raise ``ConfigError`` when writing ``file`` would replace what is read."""
        if self._rollouts.holds(file):
            raise ConfigError(f"{file} is what is to be read; write to another")

    def refuse_folder(self, folder: Path) -> None:
        """Raise ``ConfigError`` when the output lies below the rollouts, where the next run would take it for some, or
        what is read lies in a folder that will be replaced."""
        if not self.rows and self.path is not None and self.path.is_dir() and is_inside(folder, self.path):
            raise ConfigError(f"{folder} lies inside {self.path}, which is read; choose a folder outside with -o")
        if self.path is not None and is_inside(self.path, folder):
            raise ConfigError(f"{self.path}, which is read, lies inside {folder}; choose another folder with -o")

    def __iter__(self) -> Iterator[Rollout]:
        return self._rollouts

    @property
    def bytes_total(self) -> int:
        """Size of all that is to be read."""
        return self._rollouts.bytes_total

    @property
    def bytes_done(self) -> int:
        """About how much of it was read."""
        return self._rollouts.bytes_done

    def counts(self) -> dict[str, Any]:
        """What became of the files: those of rows by name, those of rollouts as counts and problems."""
        if isinstance(self._rollouts, StoredRollouts):
            return {"rows_from": [file.name for file in self.rows]}
        return self._rollouts.summary.to_dict()

    def problems(self) -> list[str]:
        """One line for each file that could not be read."""
        return [] if isinstance(self._rollouts, StoredRollouts) else list(map(str, self._rollouts.summary.problems))
