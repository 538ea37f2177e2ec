"""A data set in groups: what ``rollmill stats`` counts, row by row, in memory that grows with the groups alone."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from difflib import get_close_matches
from typing import Any, NamedTuple

from rollmill.curate.signals import SIGNALS, Signals
from rollmill.errors import ConfigError
from rollmill.rollout import COLUMNS, Rollout

NONE = "(none)"
DEFAULT_BY = ("model", "source_kind")
_TIMES = {"day": 10, "month": 7}
_NO_GROUPS = {"messages", "source_meta", "final_assistant_message"}

COUNTS = (
    "messages",
    "model_turns",
    "human_turns",
    "tool_calls",
    "tool_errors",
    "repeats",
    "edits",
    "commands",
    "test_runs",
    "commits",
    "corrections",
    "interruptions",
    "refusals",
    "api_errors",
)
TOKENS = ("input_tokens", "cached_tokens", "output_tokens", "reasoning_tokens")
OUTCOMES = ("success", "failure", "unknown")
ENDINGS = ("complete", "interrupted", "aborted", "out_of_budget", "unknown")


class Rate(NamedTuple):
    """A share, and the bounds between which it lies with 95 % confidence (Wilson); all None of nothing."""

    part: int
    of: int
    share: float | None
    low: float | None
    high: float | None


def rate(part: int, of: int) -> Rate:
    """``part`` of ``of`` with its 95 % interval, which stays between 0 and 1 and is of use for few rows too."""
    if not of:
        return Rate(part, of, None, None, None)
    z, share = 1.959964, part / of
    middle = share + z * z / (2 * of)
    spread = z * math.sqrt(share * (1 - share) / of + z * z / (4 * of * of))
    whole = 1 + z * z / of
    low, high = (middle - spread) / whole, (middle + spread) / whole
    return Rate(part, of, share, min(max(0.0, low), share), max(min(1.0, high), share))


@dataclass
class Group:
    """What the rows of a group add up to."""

    key: tuple[str, ...]
    rows: int = 0
    counts: Counter[str] = field(default_factory=Counter)
    tokens: Counter[str] = field(default_factory=Counter)
    outcomes: Counter[str] = field(default_factory=Counter)
    endings: Counter[str] = field(default_factory=Counter)
    last_tests: Counter[str] = field(default_factory=Counter)
    with_human: int = 0
    with_correction: int = 0

    def add(self, rollout: Rollout, signals: Signals) -> None:
        """Count one more row."""
        self.rows += 1
        own = {"messages": rollout.message_count, "tool_calls": rollout.tool_call_count}
        self.counts.update({name: own[name] if name in own else getattr(signals, name) for name in COUNTS})
        self.tokens.update({name: getattr(signals, name) or 0 for name in TOKENS})
        self.outcomes[signals.outcome] += 1
        self.endings[signals.ended] += 1
        self.last_tests[signals.last_test or "none"] += 1
        self.with_human += signals.human_turns > 0
        self.with_correction += signals.corrections > 0

    def rates(self) -> dict[str, Rate]:
        """The group's rates by name. Calls of one row are alike, so the interval of ``tool_errors`` is too narrow."""
        judged = self.outcomes["success"] + self.outcomes["failure"]
        tested = self.last_tests["passed"] + self.last_tests["failed"]
        return {
            "success": rate(self.outcomes["success"], judged),
            "tests_passed": rate(self.last_tests["passed"], tested),
            "complete": rate(self.endings["complete"], self.rows),
            "corrected": rate(self.with_correction, max(self.with_human, self.with_correction)),
            "tool_errors": rate(self.counts["tool_errors"], max(self.counts["tool_calls"], self.counts["tool_errors"])),
        }

    def to_dict(self, by: tuple[str, ...]) -> dict[str, Any]:
        """The group as JSON has it."""
        return {
            "group": dict(zip(by, self.key, strict=True)),
            "rows": self.rows,
            **{name: self.counts[name] for name in COUNTS},
            **{name: self.tokens[name] for name in TOKENS},
            "outcomes": {name: self.outcomes[name] for name in OUTCOMES},
            "ended": {name: self.endings[name] for name in ENDINGS},
            "rates": {name: value._asdict() for name, value in self.rates().items()},
        }


@dataclass
class Stats:
    """The groups of a data set by the columns ``by``, and their sum."""

    by: tuple[str, ...]
    total: Group = field(init=False)
    filtered: int = 0
    _groups: dict[tuple[str, ...], Group] = field(default_factory=dict)

    def __post_init__(self) -> None:
        _check(self.by)
        self.total = Group(("total",) * len(self.by))

    def add(self, rollout: Rollout, signals: Signals) -> None:
        """Count one more row, in its group and in the sum."""
        key = tuple(_value(name, rollout, signals) for name in self.by)
        self._groups.setdefault(key, Group(key)).add(rollout, signals)
        self.total.add(rollout, signals)

    @property
    def groups(self) -> list[Group]:
        """The groups, those with most rows first; in order of time when that is what they are grouped by first."""
        by_time = self.by[0] in _TIMES
        return sorted(self._groups.values(), key=lambda group: (0 if by_time else -group.rows, group.key))

    def to_dict(self) -> dict[str, Any]:
        """Everything, as JSON has it."""
        groups = [group.to_dict(self.by) for group in self.groups]
        total = {key: value for key, value in self.total.to_dict(self.by).items() if key != "group"}
        return {"by": list(self.by), "groups": groups, "total": total, "rows_left_out_by_where": self.filtered}

    def table(self) -> Iterator[list[Any]]:
        """Everything as a flat table with a head, a line for each group and one for the sum."""
        head = [*self.by, "rows", *COUNTS, *TOKENS, *(f"outcome_{name}" for name in OUTCOMES)]
        head += [f"ended_{name}" for name in ENDINGS]
        yield [*head, *(f"{name}_{what}" for name in self.total.rates() for what in ("rate", "low", "high"))]
        for group in [*self.groups, self.total]:
            yield [*group.key, group.rows, *_figures(group)]


def _figures(group: Group) -> Iterable[int | float | None]:
    yield from (group.counts[name] for name in COUNTS)
    yield from (group.tokens[name] for name in TOKENS)
    yield from (group.outcomes[name] for name in OUTCOMES)
    yield from (group.endings[name] for name in ENDINGS)
    for value in group.rates().values():
        yield from (value.share, value.low, value.high)


def parse_by(text: str) -> tuple[str, ...]:
    """The column names in a comma list. Raises ``ConfigError`` for one that there is not."""
    by = tuple(dict.fromkeys(name for part in text.split(",") if (name := part.strip())))
    if not by:
        raise ConfigError(
            f"no column to group by in {text!r}; give one, or several with commas: {','.join(DEFAULT_BY)}"
        )
    _check(by)
    return by


def _check(by: tuple[str, ...]) -> None:
    known = [*(name for name in COLUMNS if name not in _NO_GROUPS), *(signal.name for signal in SIGNALS), *_TIMES]
    for name in by:
        if name not in known:
            near = get_close_matches(name, known, 1)
            hint = f"did you mean {near[0]}? " if near else ""
            raise ConfigError(f"rows cannot be grouped by {name!r}: {hint}there are {', '.join(known)}")


def _value(name: str, rollout: Rollout, signals: Signals) -> str:
    if name in _TIMES:
        return (rollout.started_at or "")[: _TIMES[name]] or NONE
    value = getattr(signals, name) if hasattr(signals, name) else getattr(rollout, name)
    if value is None or value == "":
        return NONE
    return str(value).lower() if isinstance(value, bool) else str(value)
