"""What an export would learn from a row, message by message, and why; nothing is written."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

from rollmill.curate.sample import Sample, Turn
from rollmill.errors import ConfigError
from rollmill.export import Refused
from rollmill.export.pipeline.cutting import Piece
from rollmill.export.pipeline.inputs import Input
from rollmill.export.pipeline.plan import ExportPlan
from rollmill.export.pipeline.run import begin
from rollmill.export.pipeline.spool import Entry
from rollmill.export.pipeline.writing import Rows
from rollmill.rollout import Message, Rollout

SHOWN_TEXT = 60
HEAD = f"{'message':>7}  {'line':>6}  {'role':9}  {'weight':>6}  {'why':28}  text"


def explain(plan: ExportPlan, row: str) -> Iterator[str]:
    """Lines for each sample of the row whose trace id is ``row``, else of those whose trace ids begin so.

    All rows are read, since what a row teaches depends on the others: copies, inferred tools, the shape of the rows.
    Raises ``ConfigError`` when no row fits.
    """
    survey, outfit = begin(plan, Path())
    rows = Rows(survey, outfit)
    found = _Found(row)
    for entry in survey.entries(found.passing(Input(plan.path, plan.format, plan.branches))):
        # An id that was made from a path may have lost a name.
        if entry.rollout.trace_id.startswith((row, survey.clean(row))):
            found.entries.append((entry, survey.pieces))
    if not found.met:
        raise ConfigError(f"no row's trace id begins with {row!r}")
    for entry, pieces in found.wanted():
        yield from _entry_lines(entry, pieces, rows)
    if not found.entries:
        yield f"{found.met[0]} is left out: --where does not hold for it, or no model speaks in it"


@dataclass
class _Found:
    """The rows that may be meant."""

    row: str
    met: list[str] = field(default_factory=list)
    entries: list[tuple[Entry, list[Piece]]] = field(default_factory=list)

    def passing(self, rollouts: Iterable[Rollout]) -> Iterator[Rollout]:
        for rollout in rollouts:
            if rollout.trace_id.startswith(self.row):
                self.met.append(rollout.trace_id)
            yield rollout

    def wanted(self) -> list[tuple[Entry, list[Piece]]]:
        return [each for each in self.entries if each[0].rollout.trace_id == self.row] or self.entries


def _entry_lines(entry: Entry, pieces: list[Piece], rows: Rows) -> Iterator[str]:
    for piece in pieces:
        try:
            rows.row(entry, piece)
        except Refused as reason:
            yield from _sample_lines(piece.sample, f"; not written: {reason.kind}, {reason}")
        else:
            rows.cutting.learn(entry, piece)
            yield from _sample_lines(piece.sample, "")
    if not pieces:
        yield f"{entry.rollout.trace_id}: nothing to learn; other rows have it all, or no turn was completed"


def _sample_lines(sample: Sample, verdict: str) -> Iterator[str]:
    counts = f"{len(sample.turns)} messages, {len(sample.targets)} learnt"
    yield f"sample {sample.sample_id} ({sample.segment_reason}): {counts}{verdict}"
    yield f"tools: {sample.tools_source}; system prompt: {sample.system_source}"
    yield HEAD
    yield from map(_turn_line, sample.turns)
    yield ""


def _turn_line(turn: Turn) -> str:
    message = turn.message
    why = turn.reason + (", thinking is context" if _thinks_aside(turn) else "")
    role = message.role if message.role != "user" or not message.extra.kind else message.extra.kind[:9]
    return f"{turn.index:>7}  {message.extra.line or '':>6}  {role:9}  {turn.weight:>6g}  {why:28}  {_text(message)}"


def _thinks_aside(turn: Turn) -> bool:
    return turn.weight > 0 and not turn.reasoning and bool(turn.message.reasoning_content)


def _text(message: Message) -> str:
    calls = " ".join(f"{call.function.name}({call.function.arguments})" for call in message.tool_calls)
    text = " ".join(f"{message.text} {calls}".split())
    return text if len(text) <= SHOWN_TEXT else text[: SHOWN_TEXT - 1] + "…"
