"""ATIF steps to messages: one step is a message and, behind it, what was observed.

    {"step_id":2,"source":"agent","message":"Reading.","tool_calls":[{"tool_call_id":"a",…}],
     "observation":{"results":[{"source_call_id":"a","content":"A"},{"content":"[disk is nearly full]"}]}}

A result that names its call is a tool message. One that names none was not asked for by a call (terminus-2 shows its
terminal that way): it is a user message from the harness, of kind ``observation``.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import Literal

import msgspec
from msgspec import Raw

from rollmill.formats._lift import linked
from rollmill.formats._raw_json import compact, count, fields, is_null, is_true, items, text, type_of
from rollmill.formats._times import utc
from rollmill.media import MediaStore
from rollmill.rollout import Block, Extra, Fidelity, Function, Message, ToolCall, Usage

_ROLES: dict[str, Literal["system", "user", "assistant"]] = {"system": "system", "user": "user", "agent": "assistant"}
_ONLY_AGENTS = ("model_name", "reasoning_effort", "reasoning_content", "tool_calls", "metrics")
_KNOWN_KEYS = {
    "step_id", "timestamp", "source", "message", "observation", "is_copied_context", "llm_call_count", "extra",
    *_ONLY_AGENTS,
}  # fmt: skip


@dataclass
class Reference:
    """A result's reference to a sub-agent's trajectory, embedded or in another file."""

    trajectory_id: str | None
    session_id: str | None
    path: str | None
    call_id: str | None
    agent_id: str | None

    def names(self, trajectory_id: str | None, session_id: str | None) -> bool:
        """Whether it means the embedded document of these ids. Only an old reference goes by its session id, for
        that one belongs to the run and may be shared."""
        if self.trajectory_id is not None:
            return self.trajectory_id == trajectory_id
        return self.path is None and session_id is not None and self.session_id == session_id


class Steps:
    """The messages of one document's steps, and what the row says of them."""

    def __init__(self, media: MediaStore, ledger: Fidelity, model: str | None, is_sub_agent: bool) -> None:
        self.media = media
        self.ledger = ledger
        self.model = model
        self.is_sub_agent = is_sub_agent
        self.messages: list[Message] = []
        self.times: list[str] = []
        self.references: list[Reference] = []
        self.notes: Counter[str] = Counter()
        self.reasons: dict[int, str] = {}
        self.segment = 0
        self.compactions = 0
        self.undecodable_media = 0
        self.had_task = False

    def take(self, raw: Raw, position: int) -> None:
        """Add the step's messages; a step of an unknown source is counted and gives none."""
        step = fields(raw)
        source = text(step.get("source"))
        if source not in _ROLES:
            count_unknown(self.ledger, source or type_of(raw))
            return
        copied = is_true(step.get("is_copied_context"))
        self._note_oddities(step, source)
        self._begin_segment(step)
        messages = self._agent_step(step, position) if source == "agent" else self._other_step(step, source, copied)
        self._stamp(messages, step, position, copied)
        self.messages += messages

    def _note_oddities(self, step: dict[str, Raw], source: str) -> None:
        for key in step:
            if key not in _KNOWN_KEYS:
                self.notes[f"unknown step key {key}"] += 1
            elif source != "agent" and key in _ONLY_AGENTS and not is_null(step[key]):
                self.notes[f"{key} on a {source} step"] += 1

    def _begin_segment(self, step: dict[str, Raw]) -> None:
        """terminus-2 and vibe mark the step at which the model's context was replaced."""
        management = fields(fields(step.get("extra")).get("context_management"))
        if text(management.get("type")) != "compaction":
            return
        self.compactions += 1
        if self.messages:
            self.segment += 1
            self.reasons[self.segment] = "compaction"

    def _stamp(self, messages: list[Message], step: dict[str, Raw], position: int, copied: bool) -> None:
        """Say of the messages where they come from. Copied ones are history that another document tells."""
        step_id, timestamp = _step_id(step, position), utc(text(step.get("timestamp")))
        for part, message in enumerate(messages):
            extra = message.extra
            extra.id, extra.line, extra.timestamp, extra.segment = step_id, position, timestamp, self.segment
            extra.part = part if len(messages) > 1 else None
            extra.kind = "copied" if copied else extra.kind
        if copied:
            self.ledger.records.replayed += 1
        else:
            self.ledger.records.used += 1
            self.times += [timestamp] if timestamp else []

    def _other_step(self, step: dict[str, Raw], source: str, copied: bool) -> list[Message]:
        message = Message(_ROLES[source], self._content(step.get("message")), extra=Extra(origin="harness"))
        if source == "user":
            message.extra.origin = "human"
            if self.is_sub_agent and not copied:
                message.extra.origin = "parent_agent"
                message.extra.kind = "message" if self.had_task else None
                self.had_task = True
        return [message, *self._observed(step, [])]

    def _agent_step(self, step: dict[str, Raw], position: int) -> list[Message]:
        reasoning = text(step.get("reasoning_content")) or None
        message = Message(
            "assistant",
            self._content(step.get("message")),
            reasoning,
            self._calls(step.get("tool_calls"), position),
            extra=Extra(
                origin="model",
                model=text(step.get("model_name")) or self.model,
                usage=_usage(fields(step.get("metrics"))),
                thinking="full" if reasoning else None,
                other=_other(step),
            ),
        )
        if count(step.get("llm_call_count")) == 0:  # since v1.7: a dispatch that no model made
            message.extra.origin, message.extra.kind, message.extra.model = "harness", "dispatch", None
        return [message, *self._observed(step, message.tool_calls)]

    def _calls(self, raw: Raw | None, position: int) -> list[ToolCall]:
        calls = []
        for number, item in enumerate(items(raw)):
            if call := fields(item):
                stand_in = f"line:{position}:{number}" if number else f"line:{position}"
                function = Function(text(call.get("function_name")) or "", _arguments(call.get("arguments")))
                calls.append(ToolCall(text(call.get("tool_call_id")) or stand_in, function))
            else:
                self.notes["tool call that is no object"] += 1
        return calls

    def _observed(self, step: dict[str, Raw], calls: list[ToolCall]) -> list[Message]:
        """The calls' results in call order, several of one call together; behind them all other observations."""
        observation = step.get("observation")
        answers: dict[str, Message] = {}
        rest: list[Message] = []
        if observation is not None and type_of(observation) != "object" and (blocks := self._content(observation)):
            rest.append(_observation(blocks))
        for raw in items(fields(observation).get("results")):
            if not (result := fields(raw)):
                self.notes["result that is no object"] += 1
                continue
            call_id = text(result.get("source_call_id")) or None
            self._refer(result.get("subagent_trajectory_ref"), call_id)
            blocks = self._content(result.get("content"))
            if call_id in answers:
                answers[call_id].content += blocks
            elif call_id is not None:
                message = Message("tool", blocks, tool_call_id=call_id, extra=Extra(origin="tool"))
                if any(call.id == call_id for call in calls):
                    answers[call_id] = message
                else:
                    rest.append(message)
            elif blocks:
                rest.append(_observation(blocks))
        return [answers.pop(call.id) for call in calls if call.id in answers] + rest

    def _refer(self, raw: Raw | None, call_id: str | None) -> None:
        for item in items(raw):
            reference = fields(item)
            trajectory_id = text(reference.get("trajectory_id")) or None
            session_id = text(reference.get("session_id")) or None
            path = text(reference.get("trajectory_path")) or None
            self.references.append(
                Reference(trajectory_id, session_id, path, call_id, trajectory_id or session_id or path)
            )

    def _content(self, raw: Raw | None) -> list[Block]:
        """Text, or since v1.6 a list of parts; anything else is kept as JSON."""
        if raw is None or is_null(raw):
            return []
        if (whole := text(raw)) is not None:
            return [Block("text", whole)] if whole else []
        if type_of(raw) != "array":
            return [Block("json", compact(raw))]
        return [block for item in items(raw) if (block := self._part(item)) is not None]

    def _part(self, raw: Raw) -> Block | None:
        part = fields(raw)
        kind = text(part.get("type")) or "json"
        told = text(part.get("text")) if kind == "text" else text(raw)
        if told is not None:
            return Block("text", told) if told else None
        if kind in ("image", "audio") and (path := text(fields(part.get("source")).get("path"))):
            if (media := linked(path, self.media)) is not None:
                media_type = media.media_type or text(fields(part.get("source")).get("media_type"))
                return Block(kind, media=msgspec.structs.replace(media, media_type=media_type))
            self.undecodable_media += 1
        return Block(kind, compact(raw))


def count_unknown(ledger: Fidelity, name: str) -> None:
    """Count a record that is nothing we know, by what it says it is."""
    ledger.records.unknown += 1
    ledger.unknown_types[name] = ledger.unknown_types.get(name, 0) + 1


def _observation(blocks: list[Block]) -> Message:
    return Message("user", blocks, extra=Extra(origin="harness", kind="observation"))


def _step_id(step: dict[str, Raw], position: int) -> str:
    number = count(step.get("step_id"))
    return str(number) if number is not None else text(step.get("step_id")) or str(position)


def _arguments(raw: Raw | None) -> str:
    """JSON text: an object's own without white space, a string as it is, an empty object when there is nothing."""
    if raw is None or is_null(raw):
        return "{}"
    given = text(raw)
    return given if given is not None else compact(raw)


def _usage(metrics: dict[str, Raw]) -> Usage | None:
    """``prompt_tokens`` counts cached input too (since v1.2)."""
    usage = Usage(
        input_tokens=count(metrics.get("prompt_tokens")),
        cache_read_tokens=count(metrics.get("cached_tokens")),
        output_tokens=count(metrics.get("completion_tokens")),
    )
    return usage if usage != Usage() else None


def _other(step: dict[str, Raw]) -> str | None:
    """Effort, cost and number of model calls as JSON text, their numbers as the source writes them."""
    kept = {
        "reasoning_effort": step.get("reasoning_effort"),
        "cost_usd": fields(step.get("metrics")).get("cost_usd"),
        "llm_call_count": step.get("llm_call_count"),
    }
    texts = [f'"{key}":{compact(raw)}' for key, raw in kept.items() if raw is not None and not is_null(raw)]
    return "{" + ",".join(texts) + "}" if texts else None
