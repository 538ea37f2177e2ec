"""Export targets: one module each, and this folder is their list: a module with a ``DESCRIPTION`` is a target.

A target module has these names and nothing else that the rest of Rollmill looks at:

    DESCRIPTION              one line for ``--help``
    FILE_TYPES               the file types it can be written as, the preferred one first
    projection(settings)     a ``Projection`` for one run; ``ConfigError`` for settings it can never carry

The order of a run: ``survey`` sees every sample once, then ``row`` makes one row of each, or raises ``Refused``.
Nothing is imported to list names.
"""

from __future__ import annotations

import importlib
import re
from collections import Counter
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, Protocol, cast

from rollmill.curate.sample import Mode, Sample
from rollmill.errors import ConfigError

if TYPE_CHECKING:
    import pyarrow as pa

FileType = Literal["jsonl", "parquet"]


@dataclass(frozen=True)
class Settings:
    """What a run asks of its target.

    ``masks`` are the presets in use. ``media`` says what becomes of images, sounds and files: a sample that has one is
    refused, or it becomes ``[image]``. ``redacted`` matches the names that stand for secrets, so that a target which
    can tell tokens apart keeps them out of the loss.
    """

    mode: Mode = "trajectory"
    masks: tuple[str, ...] = ("all-assistant",)
    file_type: FileType = "jsonl"
    tokenizer: Path | None = None
    max_tokens: int | None = None
    media: Literal["refuse", "placeholder"] = "refuse"
    train_summaries: bool = False
    redacted: re.Pattern[str] | None = None


class Refused(Exception):
    """A sample the target cannot carry: left out and counted. ``kind`` is a short stable word, the text says why."""

    def __init__(self, kind: str, text: str) -> None:
        super().__init__(text)
        self.kind = kind


class Projection(Protocol):
    """The rows of one run. ``counts`` is what had to be left out of rows that were made.

    With a tokenizer there is a ``count_tokens`` too, which takes a sample and may raise ``Refused``."""

    counts: Counter[str]

    def survey(self, sample: Sample) -> None:
        """Look at a sample before the first row is made."""

    def row(self, sample: Sample) -> dict[str, Any]:
        """The sample's row, ready for ``msgspec.json.encode`` and, with ``schema()``, for ``_columns.record_batch``.

        Raises ``Refused``."""

    def schema(self) -> pa.Schema:
        """The columns, once all samples have been surveyed. JSON columns are Arrow's ``json``."""

    def notes(self) -> str:
        """Markdown for the dataset card: how to train with these rows."""


class Target(Protocol):
    """What a target module offers."""

    DESCRIPTION: str
    FILE_TYPES: tuple[FileType, ...]

    @staticmethod
    def projection(settings: Settings) -> Projection: ...


@cache
def target_names() -> tuple[str, ...]:
    """The targets in this folder, by file name. What carries out a run lies beside them and describes no target."""
    modules = [path for path in Path(__file__).parent.glob("*.py") if not path.name.startswith("_")]
    return tuple(sorted(path.stem for path in modules if b"\nDESCRIPTION = " in path.read_bytes()))


@cache
def load_target(name: str) -> Target:
    """The target module of that name. Raises ``ConfigError`` with the known names when there is none."""
    if name not in target_names():
        raise ConfigError(f"no export target is called {name!r}; known targets: {', '.join(target_names())}")
    return cast(Target, importlib.import_module(f"{__name__}.{name}"))
