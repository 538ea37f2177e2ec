"""A rollout as lines of text to read.

    ── 2 model · claude-opus-4-5 · 2026-01-22 10:00:06 ──
      (thinking) The user wants the folder listed.
      → Bash [toolu_01Q6]
        command: ls -la

Every line has been made visible (``rollmill.explore.visible``): what it is printed on will show it and do nothing else.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Literal, NamedTuple

from rollmill.explore.facts import (
    ALL,
    Fact,
    Links,
    Trim,
    arguments,
    block_text,
    borders,
    call_at,
    header,
    ledger,
    links,
    short_time,
    shortened,
    speaker,
    thinking_note,
    usage_text,
)
from rollmill.explore.visible import one_line, visible
from rollmill.rollout import Message, Rollout, Segment, ToolCall

Tone = Literal["plain", "dim", "title", "human", "harness", "model", "tool", "error"]


class Line(NamedTuple):
    """One line: its text without the newline, and what kind of line it is, for those who print in colour."""

    text: str
    tone: Tone = "plain"


ARGUMENT = Trim(8, 600)
RESULT = Trim(12, 1200)
THINKING = Trim(12, 1200)
LABEL_WIDTH = 18


def transcript(rollout: Rollout, full: bool = False) -> Iterator[Line]:
    """The lines of a rollout: who and when, the messages, the ledger. ``full`` shortens nothing."""
    yield Line(one_line(rollout.trace_id, 400), "title")
    yield from _facts(header(rollout))
    found, segments = links(rollout.messages), borders(rollout)
    for index, message in enumerate(rollout.messages):
        yield from _borders(segments.get(index, []))
        yield from _message(rollout, index, message, found, full)
    yield from _borders(segments.get(rollout.message_count, []))
    yield from (Line(""), Line("── what is in this row, and what is not ──", "title"))
    yield from _facts(ledger(rollout))


def _facts(facts: Iterable[Fact]) -> Iterator[Line]:
    for label, text in facts:
        yield Line(f"  {label:{LABEL_WIDTH}}{one_line(text, 4000)}")


def _borders(segments: list[Segment]) -> Iterator[Line]:
    for segment in segments:
        yield from (Line(""), Line(f"════ segment {segment.index}: {one_line(segment.reason)} ════", "title"))


def _message(rollout: Rollout, index: int, message: Message, found: Links, full: bool) -> Iterator[Line]:
    yield from (Line(""), Line(f"── {one_line(_caption(rollout, index, message, found), 400)} ──", _tone(message)))
    yield from _thinking(message, ALL if full else THINKING)
    trim = ALL if full or message.extra.origin not in ("tool", "harness") else RESULT
    for block in message.content:
        yield from _text(block_text(block), "  ", trim)
    for place, call in enumerate(message.tool_calls):
        yield from _call(call, (index, place) in found.answers, ALL if full else ARGUMENT)


def _caption(rollout: Rollout, index: int, message: Message, found: Links) -> str:
    extra = message.extra
    parts = [f"{index} {speaker(message)}", extra.kind, extra.model, _answered(rollout, index, message, found)]
    parts += ["error" if extra.is_error else None, short_time(extra.timestamp), usage_text(extra.usage)]
    return " · ".join(part for part in parts if part)


def _answered(rollout: Rollout, index: int, message: Message, found: Links) -> str | None:
    if (place := found.calls.get(index)) is not None:
        return f"answers {call_at(rollout.messages, place).function.name} [{message.tool_call_id}]"
    return f"answers no call here [{message.tool_call_id}]" if message.tool_call_id else None


def _tone(message: Message) -> Tone:
    if message.extra.is_error:
        return "error"
    if message.role in ("assistant", "tool"):
        return "model" if message.role == "assistant" else "tool"
    return "human" if message.extra.origin in ("human", "parent_agent") else "harness"


def _thinking(message: Message, trim: Trim) -> Iterator[Line]:
    if note := thinking_note(message):
        yield Line(f"  ({note})", "dim")
    for line in _text(message.reasoning_content or "", "  ", trim):
        yield line._replace(tone="dim")


def _call(call: ToolCall, answered: bool, trim: Trim) -> Iterator[Line]:
    by_server = call.type == "server"
    note = " answered by the provider" if by_server else "" if answered else " without an answer here"
    yield Line(f"  → {one_line(call.function.name)} [{one_line(call.id)}]{note}", "model")
    for name, text in arguments(call):
        yield from _argument(name, text, trim)


def _argument(name: str, text: str, trim: Trim) -> Iterator[Line]:
    label = f"{one_line(name)}:" if name else ""
    if "\n" in text:
        yield from [Line(f"    {label}")] if label else []
        yield from _text(text, "      ", trim)
    else:
        first, *rest = _text(text, "", trim) or [Line("")]
        yield Line(f"    {label} {first.text}" if label else f"    {first.text}")
        yield from (line._replace(text=f"      {line.text}") for line in rest)


def _text(text: str, indent: str, trim: Trim) -> list[Line]:
    """The lines of a text, indented; when it was shortened, a last line says by how much."""
    shown, left_out = shortened(text, trim)
    lines = [Line(indent + line) for line in visible(shown).split("\n")] if shown else []
    return lines + ([Line(f"{indent}… {left_out:,} more characters (--full shows them)", "dim")] if left_out else [])
