"""What an export is asked to do, and what follows from it before anything is read."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, Literal

from rollmill.curate.redaction import PLACEHOLDER
from rollmill.curate.sample import Mode, Sample
from rollmill.curate.splits import Split
from rollmill.errors import ConfigError
from rollmill.export import FileType, Settings, load_target
from rollmill.formats import Branches

REQUIREMENTS: dict[str, Callable[[Sample], bool]] = {
    "tools": lambda sample: bool(sample.tools),
    "known-tools": lambda sample: bool(sample.tools) and sample.tools_source in ("recorded", "catalogue"),
    "system": lambda sample: sample.system_source != "absent",
    "whole-context": lambda sample: sample.context_complete,
}
"""What ``--require`` can demand of a sample, by name."""

DEFAULT_SPLITS = (Split("train", 0.98), Split("validation", 0.02))


@dataclass(frozen=True)
class ExportPlan:
    """Everything a run is asked to do; ``docs/training-data.md`` explains each field under its option's name."""

    target: str = "trl"
    path: Path | None = None
    format: str = "auto"
    branches: Branches = "live"
    mode: Mode = "trajectory"
    masks: tuple[str, ...] = ("all-assistant",)
    where: str | None = None
    splits: tuple[Split, ...] = DEFAULT_SPLITS
    seed: int = 0
    max_tokens: int | None = None
    tokenizer: Path | None = None
    redact: bool = True
    tools: Path | None = None
    system: Path | None = None
    require: tuple[str, ...] = ()
    media: Literal["refuse", "placeholder"] = "refuse"
    train_summaries: bool = False
    file_type: FileType | None = None
    license: str | None = None

    def settings(self) -> Settings:
        """What the target needs to know of it. Raises ``ConfigError`` for a file type it cannot be written as."""
        return Settings(
            mode=self.mode,
            masks=self.masks,
            file_type=self._file_type(),
            tokenizer=self.tokenizer,
            max_tokens=self.max_tokens,
            media=self.media,
            train_summaries=self.train_summaries,
            redacted=PLACEHOLDER,
        )

    def _file_type(self) -> FileType:
        known = load_target(self.target).FILE_TYPES
        if self.file_type is not None and self.file_type not in known:
            raise ConfigError(
                f"{self.target} is not written as {self.file_type}; it is written as {' or '.join(known)}"
            )
        return self.file_type or known[0]

    def told(self, clean: Callable[[str], str]) -> ExportPlan:
        """The plan as the card and the manifest may tell it: its paths and its filter without secrets and names."""
        texts = {name: getattr(self, name) for name in ("path", "tokenizer", "tools", "system", "where")}
        return replace(self, **{name: type(text)(clean(str(text))) for name, text in texts.items() if text is not None})

    def to_dict(self) -> dict[str, Any]:
        """The plan as plain data, without the fields that are as they are by default."""
        plain = ExportPlan()
        changed = {name: value for name, value in asdict(self).items() if getattr(self, name) != getattr(plain, name)}
        return {"target": self.target} | {name: _plain(value) for name, value in changed.items()}


def _plain(value: Any) -> Any:
    return str(value) if isinstance(value, Path) else value
