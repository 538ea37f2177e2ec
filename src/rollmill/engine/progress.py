"""How far a run is, what it asked and what that cost: counted as it goes, shown while it runs, kept in its summary."""

from __future__ import annotations

import time
from collections import Counter, deque
from collections.abc import Iterable, Mapping
from functools import reduce
from typing import Any

from msgspec import Struct, field, structs

from rollmill.models.types import Reply

SPEED_OVER = 30.0
"""Calls and tokens a second are those of the last so many seconds."""


class Usage(Struct):
    """What one column asked of one model. ``calls`` were answered now; ``reused`` replies were paid for before and
    are in no other figure. ``cost`` is in dollars, None when the model has no known price."""

    calls: int = 0
    reused: int = 0
    failed: int = 0
    input_tokens: int = 0
    cached_tokens: int = 0
    output_tokens: int = 0
    reasoning_tokens: int = 0
    cost: float | None = None

    def plus(self, other: Usage) -> Usage:
        """Both together."""
        both = zip(structs.astuple(self), structs.astuple(other), strict=True)
        return Usage(*(a if b is None else b if a is None else a + b for a, b in both))

    def add(self, reply: Reply, cost: float | None) -> None:
        if reply.from_journal:
            self.reused += 1
            return
        self.calls += 1
        for name in ("input_tokens", "cached_tokens", "output_tokens", "reasoning_tokens"):
            setattr(self, name, getattr(self, name) + getattr(reply.usage, name))
        if cost is not None:
            self.cost = (self.cost or 0.0) + cost


UsageBy = dict[tuple[str, str], Usage]
"""By column and model alias."""


def total_of(usages: Iterable[Usage]) -> Usage:
    """All of them together."""
    return reduce(Usage.plus, usages, Usage())


class Progress:
    """How far a run is."""

    def __init__(self, rows_total: int | None = None) -> None:
        self.rows_total = rows_total
        """How many rows there will be; None when that is not known."""
        self.rows = 0
        self.rows_kept = 0
        """Rows of parts that were there already."""
        self.rows_read = 0
        self.passes = 1
        """How often the seed was begun."""
        self.rows_in_flight = 0
        self.in_flight = 0
        """Calls that endpoints are working on."""
        self.usage: UsageBy = {}
        self.problems: Counter[str] = Counter()
        self.limit = 0
        """How many calls the endpoints take at a time, as found out so far."""
        self.retries = 0
        self.waiting = ""
        """Which endpoint gives nothing, in words; empty when none holds the run up."""
        self.paused = ""
        """What all calls under way wait for, in words; empty while one is being answered."""
        self.started = time.monotonic()
        self._recent: deque[tuple[float, int, int]] = deque([(self.started, 0, 0)])

    def used(self, column: str, alias: str) -> Usage:
        """The usage of a column and a model."""
        return self.usage.setdefault((column, alias), Usage())

    @property
    def total(self) -> Usage:
        """The usage of all columns and models together."""
        return total_of(self.usage.values())

    @property
    def seconds(self) -> float:
        return time.monotonic() - self.started

    @property
    def bytes_done(self) -> int:
        """For the bar, which does not care what it counts: rows."""
        return self.rows

    @property
    def bytes_total(self) -> int:
        return self.rows_total or 0

    def speeds(self) -> tuple[float, float]:
        """Calls and tokens a second, lately."""
        now, total = time.monotonic(), self.total
        self._recent.append((now, total.calls, total.input_tokens + total.output_tokens))
        while now - self._recent[0][0] > SPEED_OVER and len(self._recent) > 2:
            self._recent.popleft()
        then, calls, tokens = self._recent[0]
        took = max(now - then, 1e-6)
        return (total.calls - calls) / took, (self._recent[-1][2] - tokens) / took

    def seconds_left(self) -> float | None:
        """How long it will still take; None while nobody can tell."""
        made = self.rows - self.rows_kept
        if not made or self.rows_total is None:
            return None
        return (self.rows_total - self.rows) * self.seconds / made


def line(state: Progress) -> str:
    """One line about a run, for a terminal or a log."""
    total, (calls, tokens) = state.total, state.speeds()
    parts = [
        f"{state.rows:,}{f'/{state.rows_total:,}' if state.rows_total else ''} rows",
        f"{total.calls:,} calls ({calls:,.1f}/s, {tokens:,.0f} tokens/s)",
        f"{total.reused:,} reused" * bool(total.reused),
        f"${total.cost:,.2f}" if total.cost is not None else "",
        f"{state.in_flight} in flight{f' (limit {state.limit})' if state.limit else ''}",
        f"{state.retries:,} retries" * bool(state.retries),
        "problems: " + _counts(state.problems) if state.problems else "",
        state.waiting or state.paused or _time_left(state),
    ]
    return ", ".join(part for part in parts if part)


def _time_left(state: Progress) -> str:
    left = state.seconds_left()
    return "" if left is None else f"{duration(left)} left"


def _counts(counts: Mapping[str, int]) -> str:
    return " ".join(f"{kind} {number}" for kind, number in sorted(counts.items()))


def duration(seconds: float) -> str:
    """``45 s``, ``12 min``, ``3 h 20 min``."""
    if seconds < 60:
        return f"{seconds:.0f} s"
    minutes = round(seconds / 60)
    return f"{minutes} min" if minutes < 60 else f"{minutes // 60} h {minutes % 60} min"


class RunSummary(Struct):
    """What a run did. ``rows == complete + with_null_cells``; what could not be read at all is in ``unreadable``.

    ``status`` is ``complete``, or why the run stopped before: ``interrupted``, ``max_cost``, ``stopped`` (a model's
    error that no further call would have survived). ``causes`` counts the rows with null cells by the kind of their
    first problem: cells that only lack what they needed add nothing.
    """

    status: str = "complete"
    rows: int = 0
    complete: int = 0
    with_null_cells: int = 0
    unreadable: int = 0
    unfinished: int = 0
    """Rows that were begun and are in no part; their replies are in the journal."""
    causes: dict[str, int] = field(default_factory=dict)
    skipped_cells: int = 0
    unanswered_cells: int = 0
    """Cells that failed in an outage or a timeout; running again asks for them again."""
    parts: int = 0
    parts_kept: int = 0
    passes: int = 1
    """How often the seed's rows were gone through."""
    usage: dict[str, dict[str, Usage]] = field(default_factory=dict)
    """What this run asked, by column and model alias."""
    total: Usage = field(default_factory=Usage)
    usage_of_all_runs: dict[str, dict[str, Usage]] = field(default_factory=dict)
    """The same with all earlier runs of the folder, whose calls are those in its journal."""
    total_of_all_runs: Usage = field(default_factory=Usage)
    retries: int = 0
    seconds: float = 0.0
    plan_hash: str = ""
    notes: list[str] = field(default_factory=list)
    message: str = ""
    """Why the run stopped, for people."""

    def count_part(
        self, rows: int, complete: int, causes: Mapping[str, int], skipped_cells: int, unanswered_cells: int = 0
    ) -> None:
        """Add a part's counts."""
        self.parts += 1
        self.rows += rows
        self.complete += complete
        self.with_null_cells += rows - complete
        self.causes = dict(Counter(self.causes) + Counter(causes))
        self.skipped_cells += skipped_cells
        self.unanswered_cells += unanswered_cells

    def take(self, progress: Progress, before: UsageBy) -> None:
        """Add what was asked now, and ``before``."""
        now = progress.usage
        together = {name: before.get(name, Usage()).plus(now.get(name, Usage())) for name in before | now}
        self.usage, self.total = _by_column(now), total_of(now.values())
        self.usage_of_all_runs, self.total_of_all_runs = _by_column(together), total_of(together.values())
        self.retries, self.seconds = progress.retries, progress.seconds

    def to_dict(self) -> dict[str, Any]:
        """The counts as plain data."""
        from msgspec import to_builtins

        found: dict[str, Any] = to_builtins(self)
        return found

    def lines(self) -> list[str]:
        """The counts for people, so that they add up on the screen."""
        lines = [f"{self.rows + self.unreadable:,} rows in: {self.complete:,} complete"]
        lines[0] += f", {self.with_null_cells:,} with null cells" * bool(self.with_null_cells)
        lines[0] += f", {self.unreadable:,} unreadable" * bool(self.unreadable)
        lines += [f"  {number:,} because of {cause}" for cause, number in sorted(self.causes.items())]
        if self.unanswered_cells:
            cells = "cell" if self.unanswered_cells == 1 else "cells"
            lines.append(f"  {self.unanswered_cells:,} {cells} had no answer; running again asks again")
        if self.passes > 1:
            lines.append(f"  the seed's rows were gone through {self.passes} times, with other replies each time")
        if self.unfinished:
            kept = "what was answered for them is kept" if self.total.calls + self.total.reused else "none was answered"
            lines.append(f"  {self.unfinished:,} more were begun; {kept}")
        lines.append(f"{self.total.calls:,} calls in {duration(self.seconds)}, {self.total.reused:,} replies reused")
        lines += [
            f"  {column} ← {alias}: {_usage_text(u)}" for column, by in self.usage.items() for alias, u in by.items()
        ]
        if self.total_of_all_runs.calls > self.total.calls:
            lines.append(f"  with earlier runs: {_usage_text(self.total_of_all_runs)}")
        return lines + self.notes + [self.message] * bool(self.message)


def _by_column(usages: UsageBy) -> dict[str, dict[str, Usage]]:
    found: dict[str, dict[str, Usage]] = {}
    for (column, alias), usage in usages.items():
        found.setdefault(column, {})[alias] = usage
    return found


def _usage_text(usage: Usage) -> str:
    parts = [
        f"{usage.calls:,} calls",
        f"{usage.reused:,} reused" * bool(usage.reused),
        f"{usage.failed:,} failed" * bool(usage.failed),
        f"{usage.input_tokens:,} + {usage.output_tokens:,} tokens" * bool(usage.calls),
        f"${usage.cost:,.4f}" if usage.cost is not None else "",
    ]
    return ", ".join(part for part in parts if part)
