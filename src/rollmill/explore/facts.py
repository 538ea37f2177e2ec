"""What there is to say of a rollout, in words: the same for the transcript and for the page.

Nothing here is made safe for a terminal or a browser yet: that is the last step of whoever shows it.
"""

from __future__ import annotations

import json
from collections import deque
from collections.abc import Iterable
from datetime import datetime
from typing import Any, NamedTuple

import msgspec

from rollmill.rollout import RECORD_CLASSES, Block, Fidelity, Message, Records, Rollout, Segment, ToolCall, Usage


class Fact(NamedTuple):
    """One thing worth saying: ``label`` is ours, ``text`` may hold anything the log says."""

    label: str
    text: str


class CallPlace(NamedTuple):
    """Where a tool call stands: the index of its message, and its own among the calls there."""

    message: int
    call: int


class Links(NamedTuple):
    """Which message answers which call, and the way back."""

    answers: dict[CallPlace, int]
    calls: dict[int, CallPlace]


class Trim(NamedTuple):
    """At most this much of a text is shown; None for all of it."""

    lines: int | None
    characters: int | None


ALL = Trim(None, None)

_pairs = msgspec.json.Decoder(dict[str, msgspec.Raw])


def header(rollout: Rollout) -> list[Fact]:
    """Who, where and when, and how much."""
    meta = rollout.source_meta
    facts = [
        Fact("title", meta.title or ""),
        Fact("thread", _thread(rollout)),
        Fact("agent", _joined([rollout.source_kind, meta.agent_version])),
        Fact("models", ", ".join(meta.models)),
        Fact("folder", _joined([rollout.cwd, f"on branch {rollout.git_branch}" if rollout.git_branch else None])),
        Fact("time", _time_span(rollout)),
        Fact("size", f"{rollout.message_count:,} messages, {rollout.tool_call_count:,} tool calls"),
        Fact("tokens", usage_text(meta.usage)),
        Fact("started by", _by_call(meta.parent.trace_id, meta.parent.tool_call_id) if meta.parent else ""),
        Fact("sub-agents", ", ".join(_by_call(child.agent_id, child.tool_call_id) for child in meta.children)),
        Fact("forked from", meta.forked_from or ""),
        Fact("labels", json.dumps(meta.labels, ensure_ascii=False) if meta.labels else ""),
        Fact("file", rollout.source_path),
    ]
    return [fact for fact in facts if fact.text]


def _thread(rollout: Rollout) -> str:
    if "#b" in rollout.trace_id:
        return "an abandoned branch"
    if not rollout.is_sidechain:
        return "main thread"
    return _joined([f"sub-agent {rollout.agent_id or ''}".strip(), f"of session {rollout.root_session_id}"])


def _joined(parts: Iterable[str | None]) -> str:
    return ", ".join(part for part in parts if part)


def _by_call(name: str, call_id: str | None) -> str:
    return f"{name} [{call_id}]" if call_id else name


def _time_span(rollout: Rollout) -> str:
    begin, end = rollout.started_at, rollout.ended_at
    if not begin or not end:
        return short_time(begin or end)
    return f"{short_time(begin)} to {short_time(end)}{_duration(begin, end)}"


def short_time(time: str | None) -> str:
    """``2026-01-22 10:00:04`` of an ISO time; empty for none."""
    return (time or "")[:19].replace("T", " ")


def _duration(begin: str, end: str) -> str:
    try:
        seconds = int((datetime.fromisoformat(end) - datetime.fromisoformat(begin)).total_seconds())
    except (ValueError, TypeError):
        return ""
    hours, minutes = divmod(seconds // 60, 60)
    return f" ({hours} h {minutes} min)" if hours else f" ({minutes} min {seconds % 60} s)"


def usage_text(usage: Usage | None) -> str:
    """``12,345 in (10,000 cached), 345 out (64 reasoning)``; empty when the source says nothing."""
    if usage is None:
        return ""
    return _joined(
        [
            _figure(
                usage.input_tokens,
                "in",
                [(usage.cache_read_tokens, "cached"), (usage.cache_write_tokens, "cache written")],
            ),
            _figure(usage.output_tokens, "out", [(usage.reasoning_tokens, "reasoning")]),
        ]
    )


def _figure(figure: int | None, name: str, parts: list[tuple[int | None, str]]) -> str:
    if figure is None:
        return ""
    within = ", ".join(f"{part:,} {what}" for part, what in parts if part)
    return f"{figure:,} {name}" + (f" ({within})" if within else "")


SPEAKERS = {"human": "human", "harness": "harness", "parent_agent": "parent agent", "model": "model", "tool": "tool"}


def speaker(message: Message) -> str:
    """Who speaks: the origin where the source tells it, else the role."""
    return SPEAKERS.get(message.extra.origin or "", message.role)


def links(messages: list[Message]) -> Links:
    """Calls and their results by id; an id that is used again means the later call."""
    found = Links({}, {})
    open_calls: dict[str, deque[CallPlace]] = {}
    for index, message in enumerate(messages):
        for call_id, places in _places(index, message.tool_calls).items():
            open_calls[call_id] = places
        if message.tool_call_id and (waiting := open_calls.get(message.tool_call_id)):
            place = waiting.popleft()
            found.answers[place] = index
            found.calls[index] = place
    return found


def _places(index: int, calls: list[ToolCall]) -> dict[str, deque[CallPlace]]:
    places: dict[str, deque[CallPlace]] = {}
    for number, call in enumerate(calls):
        places.setdefault(call.id, deque()).append(CallPlace(index, number))
    return places


def call_at(messages: list[Message], place: CallPlace) -> ToolCall:
    """The tool call that stands there."""
    return messages[place.message].tool_calls[place.call]


def arguments(call: ToolCall) -> list[Fact]:
    """A call's arguments one by one, strings bare and the rest as their JSON text; one nameless fact when the
    arguments are no JSON object."""
    try:
        pairs = _pairs.decode(call.function.arguments)
        return [Fact(name, _value(raw)) for name, raw in pairs.items()]
    except (msgspec.MsgspecError, RecursionError, UnicodeError):
        return [Fact("", call.function.arguments)] if call.function.arguments else []


def _value(raw: msgspec.Raw) -> str:
    text = bytes(raw).decode()
    if not text.startswith('"'):
        return text
    decoded: str = msgspec.json.decode(text, type=str)
    return decoded


def block_text(block: Block) -> str:
    """A block in words: its text, a reference to its media, or its source JSON under its type."""
    if block.type == "text":
        return block.text or ""
    if block.media is None:
        return f"[{block.type}] {block.text or ''}".rstrip()
    media = block.media
    size = f"{media.size:,} bytes" if media.size is not None else None
    sha256 = f"sha256 {media.sha256}" if media.sha256 else None
    return f"[{_joined([block.type, media.media_type, size, sha256, _short_url(media.url)])}]"


def _short_url(url: str | None) -> str | None:
    """A URL as it is; an embedded one is data, of which the beginning says enough."""
    return url if url is None or not url.startswith("data:") else f"{url[:40]}… ({len(url):,} characters)"


def shortened(text: str, trim: Trim) -> tuple[str, int]:
    """The beginning of a text, without newlines at its end, and how many characters were left out."""
    text = text.rstrip("\r\n")
    shown = "\n".join(text[: trim.characters].split("\n")[: trim.lines])
    return shown, len(text) - len(shown)


def thinking_note(message: Message) -> str:
    """How much of the model's thinking the log has; empty when the message has none."""
    return {
        None: "thinking" if message.reasoning_content else "",
        "full": "thinking",
        "summary": "thinking, as a summary",
        "empty": "thinking, empty in the log",
        "encrypted": "thinking, encrypted in the log",
        "redacted": "thinking, withheld by the provider",
    }[message.extra.thinking]


def borders(rollout: Rollout) -> dict[int, list[Segment]]:
    """The segments after the first, by the message they begin with; what begins after the last under the count."""
    found: dict[int, list[Segment]] = {}
    for segment in rollout.source_meta.segments[1:]:
        found.setdefault(min(segment.first_message, rollout.message_count), []).append(segment)
    return found


def ledger(rollout: Rollout) -> list[Fact]:
    """What is and what is not in the row: the records that add up, then all that is out of the ordinary."""
    fidelity = rollout.source_meta.fidelity
    facts = [Fact("records", _sum(fidelity.records)), Fact("thinking", _counts(fidelity.thinking))]
    facts += [Fact("unknown types", _counts(fidelity.unknown_types))]
    facts += [Fact("unreadable lines", ", ".join(map(str, fidelity.unreadable_lines)))]
    facts += [Fact(name.replace("_", " "), f"{count:,}") for name in _COUNTS if (count := getattr(fidelity, name))]
    facts += [Fact("torn tail", "the file ends in the middle of a record" if fidelity.torn_tail else "")]
    facts += [Fact("missing files", ", ".join(fidelity.companions_missing))]
    facts += [Fact("abandoned tokens", usage_text(fidelity.abandoned_usage)), Fact("not in the log", _absent(fidelity))]
    facts += [Fact("note", note) for note in fidelity.notes]
    return [fact for fact in facts if fact.text]


_COUNTS = (
    "gaps",
    "unanswered_calls",
    "orphan_results",
    "compactions",
    "api_errors",
    "truncated_outputs",
    "replaced_characters",
    "undecodable_media",
    "companions_read",
)


def _sum(records: Records) -> str:
    parts = [f"{count:,} {name}" for name in RECORD_CLASSES if (count := getattr(records, name))]
    return f"{records.total:,} = {' + '.join(parts) or '0'}"


def _counts(counts: dict[str, Any]) -> str:
    return ", ".join(f"{count:,} {name}" for name, count in counts.items())


def _absent(fidelity: Fidelity) -> str:
    absent = {"system prompt": fidelity.system_prompt, "tool schemas": fidelity.tool_schemas}
    return ", ".join(name for name, present in absent.items() if not present)
