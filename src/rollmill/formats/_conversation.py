"""What every format does with its messages once it has them: answers after their calls, the sums, the row's ledger."""

from __future__ import annotations

from collections import Counter, deque
from itertools import groupby
from typing import Any

import msgspec

from rollmill.formats._lift import has_marker, without_markers
from rollmill.rollout import Fidelity, Message, Segment, SourceMeta, Thinking, ToolCall, add_usage, count_thinking

_BY_RANK: tuple[Thinking, ...] = ("full", "summary", "redacted", "encrypted", "empty")
_IN_ORDER = {"thinking": 0, "text": 1, "call": 2}
_encode = msgspec.json.Encoder().encode


def answered_in_place(messages: list[Message]) -> tuple[list[Message], list[Message]]:
    """``(messages, repeated)``: the messages with each call's result directly behind its assistant message, in call
    order, and the results of calls that had theirs already.

    A result answers the earliest call of its id that is still open before it, for ids come again; failing that one
    behind it. A result without any call stays where it stood."""
    if _are_in_place(messages):
        return messages, []
    if (ordered := _by_unique_ids(messages)) is not None:
        return ordered, []
    answers = _answers(messages)
    answered = {id(result) for result in answers.values()}
    called = {call.id for message in messages for call in message.tool_calls}
    ordered = []
    repeated: list[Message] = []
    for message in messages:
        if message.role == "tool" and id(message) in answered:
            continue
        if message.role == "tool" and message.tool_call_id in called:
            repeated.append(message)
            continue
        ordered.append(message)
        for position in range(len(message.tool_calls)):
            if (result := answers.get((id(message), position))) is not None:
                result.extra.segment = message.extra.segment
                ordered.append(result)
    return ordered, repeated


def _are_in_place(messages: list[Message]) -> bool:
    """Whether each result stands where it belongs, as in most logs it does."""
    waiting: list[ToolCall] = []
    at = 0
    for message in messages:
        if message.role == "tool":
            if at == len(waiting) or waiting[at].id != message.tool_call_id:
                return False
            at += 1
        elif at < len(waiting):
            return False
        else:
            waiting, at = message.tool_calls, 0
    return True


def _by_unique_ids(messages: list[Message]) -> list[Message] | None:
    """The same order, found quicker, where no two calls and no two results have one id; None elsewhere."""
    results = {message.tool_call_id: message for message in messages if message.role == "tool"}
    calls = [call.id for message in messages for call in message.tool_calls]
    others = [message for message in messages if message.role != "tool"]
    if len(results) + len(others) < len(messages) or len(set(calls)) < len(calls) or not results.keys() <= set(calls):
        return None
    ordered: list[Message] = []
    for message in others:
        ordered.append(message)
        for call in message.tool_calls:
            if (result := results.get(call.id)) is not None:
                result.extra.segment = message.extra.segment
                ordered.append(result)
    return ordered


def _answers(messages: list[Message]) -> dict[tuple[int, int], Message]:
    """The result of each call, by its message and its position there."""
    opened: dict[str, deque[tuple[int, int]]] = {}
    early: list[Message] = []
    answers: dict[tuple[int, int], Message] = {}
    for message in messages:
        for position, call in enumerate(message.tool_calls):
            opened.setdefault(call.id, deque()).append((id(message), position))
        if message.role == "tool":
            if waiting := opened.get(message.tool_call_id or ""):
                answers[waiting.popleft()] = message
            elif message.tool_call_id not in opened:
                early.append(message)
    for message in early:
        if waiting := opened.get(message.tool_call_id or ""):
            answers[waiting.popleft()] = message
    return answers


def strongest(kinds: list[Thinking]) -> Thinking | None:
    """The kind that says most about a message's thinking, when its blocks are of several; None of none."""
    return next(kind for kind in _BY_RANK if kind in kinds) if len(kinds) > 1 else kinds[0] if kinds else None


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
    """Fill in what follows from the messages: models, usage, segments, the ledger's counts of the row, and for a thread
    without a title its first prompt.

    ``reasons`` says why a segment began; the first one began with the thread."""
    assistants = [message for message in messages if message.role == "assistant"]
    meta.models = list(dict.fromkeys(m.extra.model for m in assistants if m.extra.model))
    meta.usage = add_usage([m.extra.usage for m in assistants if m.extra.usage and m.extra.kind != "copied"])
    meta.segments = _segments(messages, reasons or {})
    prompts = (m.text for m in messages if m.extra.origin == "human" and m.extra.kind is None)
    meta.title = meta.title or first_line_title(next(prompts, ""))
    _count_calls(meta.fidelity, messages)
    meta.fidelity.thinking = count_thinking(assistants)


def _segments(messages: list[Message], reasons: dict[int, str]) -> list[Segment]:
    indexes = [message.extra.segment for message in messages]
    stretches = groupby(range(len(indexes)), indexes.__getitem__)
    return [Segment(index, reasons.get(index, "start"), next(stretch)) for index, stretch in stretches]


def _count_calls(fidelity: Fidelity, messages: list[Message]) -> None:
    calls = [call for message in messages for call in message.tool_calls]
    waiting = [call.id for call in calls if call.type == "function"]
    results = [message.tool_call_id for message in messages if message.role == "tool"]
    if waiting == results:  # as in most logs
        return
    asked, answers = Counter[str | None](waiting), Counter(results)
    called = {call.id for call in calls}
    fidelity.unanswered_calls = (asked - answers).total()
    fidelity.orphan_results = sum(number for call_id, number in answers.items() if call_id not in called)


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
