"""What an export would learn from a row, message by message, and why; nothing is written."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from rollmill.curate.sample import Sample, Turn
from rollmill.errors import ConfigError
from rollmill.export import load_target
from rollmill.export.pipeline.counts import ExportSummary
from rollmill.export.pipeline.inputs import Input
from rollmill.export.pipeline.plan import ExportPlan
from rollmill.export.pipeline.spool import Entry
from rollmill.export.pipeline.survey import Survey, samples
from rollmill.rollout import Message

SHOWN_TEXT = 60
HEAD = f"{'message':>7}  {'line':>6}  {'role':9}  {'weight':>6}  {'why':28}  text"


def explain(plan: ExportPlan, row: str) -> Iterator[str]:
    """Lines for each sample of the row whose trace id is ``row``, else of those whose trace ids begin so.

    The rows before it are read too, since copies of what they hold are not learnt again. Raises ``ConfigError`` when
    no row fits.
    """
    survey = Survey(plan, ExportSummary(Path()), load_target(plan.target).projection(plan.settings()))
    similar: list[str] = []
    for entry in survey.entries(Input(plan.path, plan.format, plan.branches)):
        if entry.rollout.trace_id == row:
            yield from _entry_lines(entry, plan)
            return
        if entry.rollout.trace_id.startswith(row):
            similar += _entry_lines(entry, plan)
    if not similar:
        raise ConfigError(f"no row's trace id begins with {row!r}")
    yield from similar


def _entry_lines(entry: Entry, plan: ExportPlan) -> Iterator[str]:
    for sample, drop in zip(samples(entry, plan), entry.drops, strict=True):
        yield from _sample_lines(sample, drop)
    if not entry.contexts:
        yield f"{entry.rollout.trace_id}: nothing to learn; other rows have it all, or no turn was completed"


def _sample_lines(sample: Sample, drop: str) -> Iterator[str]:
    learnt = len(sample.targets)
    yield f"sample {sample.sample_id} ({sample.segment_reason}): {len(sample.turns)} messages, {learnt} learnt" + (
        f"; not written: {drop}" if drop else ""
    )
    yield HEAD
    for turn in sample.turns:
        yield _turn_line(turn)
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
