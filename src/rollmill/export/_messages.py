"""What the targets share: a message's text, a call's arguments, what is known of a sample beside its messages.

    {"id": "toolu_1", "function": {"name": "Bash", "arguments": "{\\"command\\": \\"ls\\"}"}}

Arguments are kept as the source's JSON text. A target that wants an object gets that text unread (``msgspec.Raw``),
after it was checked to be one.
"""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from typing import Any

import msgspec
from msgspec import Raw

from rollmill.curate.sample import Sample, Turn
from rollmill.export import Refused, Settings
from rollmill.rollout import Block, Message, ToolCall

_MEDIA = {"image", "audio", "file", "video", "document", "input_image", "input_audio", "input_file"}
_MAX_DEPTH = 200
_QUOTE = ord('"')
_PUNCTUATION = 8
"""Bytes around a field, about: two quotes, a colon, a comma, some white space."""
_STRING = r'"[^"\\]*(?:\\.[^"\\]*)*"'
_BRACKETS = re.compile(_STRING + r"|[][{}]", re.DOTALL)
_NUMBERS = re.compile(_STRING + r"|-?\d[\d.eE+-]*", re.DOTALL)
_LONG_NUMBER = re.compile(r"\d{18}|\d[eE]\+?\d{3}")
_object: msgspec.json.Decoder[dict[str, Raw]] = msgspec.json.Decoder(dict[str, Raw])


def text_of(message: Message, settings: Settings) -> str:
    """The message's blocks as one text, joined by newlines: texts, other blocks as their JSON, media as ``[image]``.

    Raises ``Refused`` (``media``) for media unless placeholders were asked for."""
    blocks = message.content
    if len(blocks) == 1 and blocks[0].type == "text":
        return blocks[0].text or ""
    return "\n".join(block_text(block, settings) for block in blocks)


def block_text(block: Block, settings: Settings) -> str:
    """One block as text; see ``text_of``."""
    if block.type == "text":
        return block.text or ""
    if block.media is None and block.type not in _MEDIA:
        return block.text or ""
    if settings.media == "refuse":
        raise Refused("media", f"a message has a block of type {block.type}, which rows of text cannot hold")
    return f"[{block.type.removeprefix('input_')}]"


def arguments_of(call: ToolCall) -> Raw:
    """The call's arguments as an undecoded JSON object on one line.

    Raises ``Refused`` (``arguments``) when they are no JSON object, which no template can render as one: wrapping
    them would train a call that the model did not make. Numbers that ``datasets`` cannot read (``number``) and
    nesting that deep readers refuse (``depth``) are refused too, for one of them spoils the whole file.
    """
    text = call.function.arguments
    try:
        data = text.encode()
        fields = _object.decode(data)
    except (msgspec.MsgspecError, UnicodeError, RecursionError) as error:
        name = call.function.name
        raise Refused("arguments", f"the arguments of a call to {name!r} are no JSON object: {error}") from None
    _check_fields(text, len(data), fields)
    return Raw(one_line(text))


def _check_fields(text: str, size: int, fields: dict[str, Raw]) -> None:
    """``check_json`` without a look into strings, which are most of all arguments. Bytes that the fields do not
    account for may be fields of the same name, so then the whole text is looked at."""
    for key, raw in fields.items():
        value = memoryview(raw)
        size -= len(key) + len(value)
        if value[0] != _QUOTE:
            check_json(bytes(value).decode())
    if size > _PUNCTUATION * (len(fields) + 1):
        check_json(text)


def check_json(text: str) -> None:
    """Raises ``Refused`` for valid JSON that the libraries behind the targets cannot read."""
    if text.count("{") + text.count("[") > _MAX_DEPTH and _depth(text) > _MAX_DEPTH:
        raise Refused("depth", f"JSON is nested deeper than {_MAX_DEPTH} levels")
    if _LONG_NUMBER.search(text) and _has_huge_number(text):
        raise Refused("number", "JSON has a number that does not fit into 64 bits, which datasets cannot read")


def _depth(text: str) -> int:
    deepest = depth = 0
    for bracket in _BRACKETS.findall(text):
        depth += {"{": 1, "[": 1, "}": -1, "]": -1}.get(bracket, 0)
        deepest = max(deepest, depth)
    return deepest


def _has_huge_number(text: str) -> bool:
    numbers = (token for token in _NUMBERS.findall(text) if token[0] != '"')
    return any(_is_huge(number) for number in numbers)


def _is_huge(number: str) -> bool:
    whole = re.split("[.eE]", number)[0]
    return len(whole) > 20 or not -(1 << 63) <= int(whole) < 1 << 63 or math.isinf(float(number))


def one_line(text: str) -> str:
    """Valid JSON without line ends, which can only stand between its values."""
    if "\n" in text or "\r" in text:
        return text.replace("\r", " ").replace("\n", " ")
    return text


def unanswered_server_call(sample: Sample) -> None:
    """Raises ``Refused`` (``server_call``) when the provider answered a call itself and the log has no answer."""
    calls = [call for turn in sample.turns for call in turn.message.tool_calls if call.type == "server"]
    if not calls:
        return
    answered = {turn.message.tool_call_id for turn in sample.turns if turn.message.role == "tool"}
    for call in calls:
        if call.id not in answered:
            name = call.function.name
            raise Refused(
                "server_call",
                f"the provider's server answered a call to {name!r} itself; the model saw what the log does not have",
            )


def require_answers(turns: Sequence[Turn]) -> None:
    """Raises ``Refused`` for a call without its result directly behind the message (``unanswered_call``), a result
    without its call (``orphan_result``), a call id that is said twice in a message or is empty (``call_id``).

    The calls of the last message have no results: a sample ends with what is learnt, and may end with a call."""
    open_calls: dict[str, str] = {}
    for turn in turns:
        message = turn.message
        if message.role == "tool":
            if open_calls.pop(message.tool_call_id or "", None) is None:
                raise Refused("orphan_result", "a tool result answers no call of the message before it")
            continue
        _require_none_open(open_calls)
        open_calls = {call.id: call.function.name for call in message.tool_calls}
        if len(open_calls) < len(message.tool_calls) or "" in open_calls:
            raise Refused("call_id", "two calls of one message have the same id, or one has none")
    if turns and turns[-1].message.role == "tool":
        _require_none_open(open_calls)


def _require_none_open(open_calls: dict[str, str]) -> None:
    if open_calls:
        name = next(iter(open_calls.values()))
        raise Refused("unanswered_call", f"a call to {name!r} has no result directly behind its message")


def require_targets(sample: Sample) -> None:
    """Raises ``Refused`` (``no_target``) when nothing in the sample counts."""
    if not any(turn.weight > 0 for turn in sample.turns):
        raise Refused("no_target", "no message of the sample counts")


def require_whole_weights(sample: Sample) -> None:
    """Raises ``Refused`` (``weights``) for a weight between 0 and 1."""
    for turn in sample.turns:
        if turn.weight not in (0, 1):
            raise Refused("weights", f"a message has weight {turn.weight:g}; the target knows 0 and 1 only")


def reasoning_of(turn: Turn) -> str | None:
    """The turn's reasoning, as far as a row of whole messages may have it: none that is not to be learnt with it."""
    return turn.message.reasoning_content if turn.reasoning or turn.weight == 0 else None


def tools_of(sample: Sample) -> list[dict[str, Any]] | None:
    """The sample's tool schemas, None instead of an empty list.

    Raises ``Refused`` (``tool_schema``) for one that is no object, and as ``arguments_of`` does."""
    if not sample.tools:
        return None
    if not all(isinstance(tool, dict) for tool in sample.tools):
        raise Refused("tool_schema", "a tool is no object")
    check_json(msgspec.json.encode(sample.tools).decode())
    return sample.tools


def call_names(sample: Sample) -> dict[str, str]:
    """The called function's name by call id."""
    return {call.id: call.function.name for turn in sample.turns for call in turn.message.tool_calls}


def chat_message(source: Message, names: dict[str, str], settings: Settings) -> dict[str, Any]:
    """One message as chat templates take it: arguments as an object, a result under its tool's name."""
    row: dict[str, Any] = {"role": source.role}
    if source.role == "tool" and (name := names.get(source.tool_call_id or "")):
        row["name"] = name
    row["content"] = text_of(source, settings)
    if source.reasoning_content:
        row["reasoning_content"] = source.reasoning_content
    if source.tool_calls:
        row["tool_calls"] = [
            {"type": "function", "function": {"name": call.function.name, "arguments": arguments_of(call)}}
            for call in source.tool_calls
        ]
    return row


def metadata(sample: Sample) -> dict[str, Any]:
    """Everything about a sample beside messages and tools: ids, labels, signals, where it is from."""
    return {
        "sample_id": sample.sample_id,
        "row_id": sample.row_id,
        "parent_row_id": sample.parent_row_id,
        "segment_index": sample.segment_index,
        "segment_reason": sample.segment_reason,
        "mode": sample.mode,
        "task_id": sample.task_id,
        "tools_source": sample.tools_source,
        "system_source": sample.system_source,
        "labels": sample.labels,
        "signals": sample.signals,
        "redaction": sample.redaction,
        "context_complete": sample.context_complete,
        "n_tokens": sample.n_tokens,
        "n_tokens_source": sample.n_tokens_source,
        "source": sample.source,
    }
