"""What every format does with its messages once it has them: answers after their calls, the sums, the row's ledger."""

from __future__ import annotations

from typing import Any

import msgspec

from rollmill.formats._lift import has_marker, without_markers
from rollmill.rollout import Fidelity, Message, Segment, SourceMeta, Thinking, add_usage, count_thinking

_BY_RANK: tuple[Thinking, ...] = ("full", "summary", "redacted", "encrypted", "empty")
_IN_ORDER = {"thinking": 0, "text": 1, "call": 2}
_encode = msgspec.json.Encoder().encode


def answered_in_place(messages: list[Message]) -> list[Message]:
    """The messages with each call's result directly behind its assistant message, in call order.

    The first result of a call is the one kept; a result without its call stays where it stood."""
    called = {call.id for message in messages for call in message.tool_calls}
    results: dict[str, Message] = {}
    for message in messages:
        if message.role == "tool" and message.tool_call_id in called:
            results.setdefault(message.tool_call_id or "", message)
    ordered: list[Message] = []
    for message in messages:
        if message.role == "tool" and message.tool_call_id in called:
            continue
        ordered.append(message)
        for call in message.tool_calls:
            if (result := results.pop(call.id, None)) is not None:
                result.extra.segment = message.extra.segment
                ordered.append(result)
    return ordered


def strongest(kinds: list[Thinking]) -> Thinking | None:
    """The kind that says most about a message's thinking, when its blocks are of several; None of none."""
    return next((kind for kind in _BY_RANK if kind in kinds), None) if kinds else None


def unusual_order(order: list[str]) -> str | None:
    """The order of a message's blocks when it is not thinking, then text, then calls."""
    if len(order) < 2:
        return None
    ranks = [_IN_ORDER[kind] for kind in order]
    return None if ranks == sorted(ranks) else ",".join(order)


def json_text(value: Any) -> str:
    """A value as compact JSON text."""
    return _encode(value).decode()


def sum_up(meta: SourceMeta, messages: list[Message], reasons: dict[int, str] | None = None) -> None:
    """Fill in what follows from the messages: models, usage, segments, and the ledger's counts of the row.

    ``reasons`` says why a segment began; the first one began with the thread."""
    assistants = [message for message in messages if message.role == "assistant"]
    meta.models = list(dict.fromkeys(m.extra.model for m in assistants if m.extra.model))
    meta.usage = add_usage([m.extra.usage for m in assistants if m.extra.usage and m.extra.kind != "copied"])
    meta.segments = _segments(messages, reasons or {})
    _count_calls(meta.fidelity, messages)
    meta.fidelity.thinking = count_thinking(assistants)


def _segments(messages: list[Message], reasons: dict[int, str]) -> list[Segment]:
    segments: list[Segment] = []
    for position, message in enumerate(messages):
        index = message.extra.segment
        if not segments or segments[-1].index != index:
            segments.append(Segment(index, reasons.get(index, "start"), position))
    return segments


def _count_calls(fidelity: Fidelity, messages: list[Message]) -> None:
    answered = {message.tool_call_id for message in messages if message.role == "tool"}
    calls = [call for message in messages for call in message.tool_calls]
    called = {call.id for call in calls}
    fidelity.unanswered_calls = sum(call.type == "function" and call.id not in answered for call in calls)
    fidelity.orphan_results = sum(m.role == "tool" and m.tool_call_id not in called for m in messages)


def spell_out_markers(messages: list[Message]) -> None:
    """Give lifted values that turned out to be no media block (a base64 argument, say) a readable reference."""
    for message in messages:
        for block in message.content:
            if block.text and has_marker(block.text):
                block.text = without_markers(block.text)
        for call in message.tool_calls:
            if has_marker(call.function.arguments):
                call.function.arguments = without_markers(call.function.arguments)


def first_line_title(text: str) -> str | None:
    """A title from a prompt: white space collapsed, at most 200 characters; None of nothing."""
    return " ".join(text[:2000].split())[:200] or None
