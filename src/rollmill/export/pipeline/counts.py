"""What an export did, in counts that add up.

rows read == filtered + without a model's message + used
samples   == written + dropped, by reason
messages of the model == learnt + masked + copied + cut + in dropped samples + in filtered rows
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any


@dataclass
class SplitCounts:
    """One written file."""

    name: str
    file: str
    samples: int = 0
    tokens: int = 0
    bytes: int = 0
    sha256: str = ""


@dataclass
class ExportSummary:
    """The counts of one run, growing while it goes on."""

    folder: Path
    rows: int = 0
    rows_filtered: int = 0
    rows_without_model: int = 0
    samples: int = 0
    dropped: Counter[str] = field(default_factory=Counter)
    """Samples that are not written, by reason."""
    model_messages: Counter[str] = field(default_factory=Counter)
    """What became of the messages that models wrote: ``learnt``, ``masked``, ``copied``, ``cut``, ``dropped``,
    ``filtered``."""
    masked: Counter[str] = field(default_factory=Counter)
    """Masked messages in written samples, by reason."""
    secrets: Counter[str] = field(default_factory=Counter)
    """Places where a secret was replaced, by kind."""
    tools: Counter[str] = field(default_factory=Counter)
    """Written samples by where their tool schemas are from."""
    systems: Counter[str] = field(default_factory=Counter)
    """Written samples by where their system prompt is from."""
    sources: Counter[str] = field(default_factory=Counter)
    """Rows used, by source kind."""
    models: Counter[str] = field(default_factory=Counter)
    """Learnt messages by the model that wrote them."""
    notes: Counter[str] = field(default_factory=Counter)
    """What the target had to leave out of written samples, and parts of contexts that are missing."""
    splits: dict[str, SplitCounts] = field(default_factory=dict)
    tasks: int = 0
    tokens_source: str = "estimate"
    input: dict[str, Any] = field(default_factory=dict)
    problems: list[str] = field(default_factory=list)
    seconds: float = 0.0

    @property
    def written(self) -> int:
        """Samples written, over all splits."""
        return sum(split.samples for split in self.splits.values())

    def lines(self) -> list[str]:
        """The counts for people."""
        used = self.rows - self.rows_filtered - self.rows_without_model
        lines = [f"{_counted(self.rows, 'row')} read"]
        lines += _parts(
            {"left out by --where": self.rows_filtered, "without a model's message": self.rows_without_model}
        )
        lines.append(f"{_counted(self.samples, 'sample')} in {_counted(used, 'row')} of {_counted(self.tasks, 'task')}")
        lines += _parts({f"dropped: {kind}{HINTS.get(kind, '')}": n for kind, n in sorted(self.dropped.items())})
        about = "about " if self.tokens_source == "estimate" else ""
        for split in self.splits.values():
            lines.append(f"  {split.samples:,} in {split.file}, {about}{split.tokens:,} tokens")
        lines.append(f"{self.model_messages.total():,} messages of models")
        lines += _parts({_MESSAGES[kind]: self.model_messages[kind] for kind in _MESSAGES})
        lines.append(f"{_counted(self.secrets.total(), 'secret')} replaced" + _in_brackets(self.secrets))
        lines.append(f"tool schemas: {_listed(self.tools)}; system prompts: {_listed(self.systems)}")
        lines += [f"note: {n:,} {note}" for note, n in self.notes.items()]
        lines += [f"problem: {problem}" for problem in self.problems[:10]]
        lines += [f"and {len(self.problems) - 10:,} problems more; the manifest has all"] if self.problems[10:] else []
        return [*lines, f"written to {self.folder}/" if self.written else f"no sample is left; see {self.folder}/"]

    def to_dict(self) -> dict[str, Any]:
        """The counts as plain data."""
        return {
            "rows": {
                "read": self.rows,
                "filtered": self.rows_filtered,
                "without_model": self.rows_without_model,
                "used": self.rows - self.rows_filtered - self.rows_without_model,
            },
            "samples": {"made": self.samples, "written": self.written, "dropped": dict(self.dropped)},
            "model_messages": {"total": self.model_messages.total(), **self.model_messages},
            "masked": dict(self.masked),
            "tasks": self.tasks,
            "splits": {name: vars(split) for name, split in self.splits.items()},
            "tokens": self.tokens_source,
            "secrets": dict(self.secrets),
            "tools": dict(self.tools),
            "systems": dict(self.systems),
            "sources": dict(self.sources),
            "models": dict(self.models),
            "notes": dict(self.notes),
            "problems": self.problems,
            "input": self.input,
        }


HINTS = {
    "media": " (--media placeholder keeps them, with [image] for each picture)",
    "too_long": " (more than --max-tokens)",
    "weights": " (a mask the target cannot say; dropped.jsonl has the reason)",
}
_MESSAGES = {
    "learnt": "learnt",
    "masked": "masked, context only",
    "copied": "copies of messages learnt elsewhere, context only",
    "cut": "cut off at an end without answer",
    "dropped": "in dropped samples",
    "filtered": "in rows left out",
}


def _counted(number: int, noun: str) -> str:
    return f"{number:,} {noun}{'s' * (number != 1)}"


def _parts(counts: dict[str, int]) -> list[str]:
    return [f"  {number:,} {what}" for what, number in counts.items() if number]


def _listed(counts: Counter[str]) -> str:
    return ", ".join(f"{number:,} {name}" for name, number in counts.most_common()) or "none"


def _in_brackets(counts: Counter[str]) -> str:
    return f" ({_listed(counts)})" if counts else ""
