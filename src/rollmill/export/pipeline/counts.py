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

MANY = 10
"""From so many samples on, a group that has most of them is worth a word."""


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
    rows_used: int = 0
    messages_read: int = 0
    """Messages that models wrote, in all rows that were read."""
    samples: int = 0
    dropped: Counter[str] = field(default_factory=Counter)
    """Samples that are not written, by reason."""
    dropped_messages: Counter[str] = field(default_factory=Counter)
    """Messages of models in them, by the same reason."""
    model_messages: Counter[str] = field(default_factory=Counter)
    """What became of the messages that models wrote: ``learnt``, ``masked``, ``copied``, ``cut``, ``dropped``,
    ``filtered``."""
    masked: Counter[str] = field(default_factory=Counter)
    """Masked messages in written samples, by reason."""
    all_masked: Counter[str] = field(default_factory=Counter)
    """Samples that are dropped because all in them is masked, by the reasons."""
    groups: Counter[str] = field(default_factory=Counter)
    """Written samples by the group of tasks and sessions that has to stay in one split."""
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
        lines = [f"{_counted(self.rows, 'row')} read"]
        lines += _parts(
            {"left out by --where": self.rows_filtered, "without a model's message": self.rows_without_model}
        )
        lines.append(f"{_counted(self.samples, 'sample')} in {_counted(self.rows_used, 'row')}")
        lines += [self._dropped(kind) for kind in sorted(self.dropped)]
        lines += [f"    {n:,} {reason}" for reason, n in self.all_masked.most_common(5)]
        about = "about " if self.tokens_source == "estimate" else ""
        for split in self.splits.values():
            lines.append(f"  {split.samples:,} in {split.file}, {about}{split.tokens:,} tokens")
        lines += [self._one_group()] if self._is_lopsided else []
        lines.append(f"{self.messages_read:,} messages of models")
        lines += _parts({_MESSAGES[kind]: self.model_messages[kind] for kind in _MESSAGES})
        lines.append(f"{_counted(self.secrets.total(), 'secret')} replaced" + _in_brackets(self.secrets))
        lines.append(f"tool schemas: {_listed(self.tools)}; system prompts: {_listed(self.systems)}")
        lines += [f"note: {n:,} {note}" for note, n in self.notes.items()]
        lines += [f"problem: {problem}" for problem in self.problems[:10]]
        lines += [f"and {len(self.problems) - 10:,} problems more; the manifest has all"] if self.problems[10:] else []
        return [*lines, *([f"written to {self.folder}/"] if self.written else [])]

    def _dropped(self, kind: str) -> str:
        messages = _counted(self.dropped_messages[kind], "message")
        return f"  {self.dropped[kind]:,} dropped with {messages} of models: {kind}{HINTS.get(kind, '')}"

    @property
    def _is_lopsided(self) -> bool:
        """Whether one group is so large that the shares of the splits cannot be kept."""
        largest = max(self.groups.values(), default=0)
        return self.written >= MANY and largest > self.written / 2

    def _one_group(self) -> str:
        largest = max(self.groups.values())
        return (
            f"note: {largest:,} of {self.written:,} samples belong to one task or session and stay in one split; "
            f"the shares of --split cannot be kept"
        )

    def to_dict(self) -> dict[str, Any]:
        """The counts as plain data."""
        return {
            "rows": {
                "read": self.rows,
                "filtered": self.rows_filtered,
                "without_model": self.rows_without_model,
                "used": self.rows_used,
            },
            "samples": {"made": self.samples, "written": self.written, "dropped": dict(self.dropped)},
            "dropped_messages": dict(self.dropped_messages),
            "model_messages": {"total": self.messages_read, **self.model_messages},
            "masked": dict(self.masked),
            "all_masked": dict(self.all_masked),
            "groups": len(self.groups),
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
    "weights": " (something is not to be learnt that the target cannot leave out; dropped.jsonl says what)",
    "no_prompt": " (other samples need prompt and completion, and these begin with what is to be learnt)",
    "server_call": " (the provider answered a call, and the log does not have the answer)",
    "tool_name": " (a name this target does not allow; --to trl takes any)",
    "arguments": " (a call's arguments are no JSON object)",
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
