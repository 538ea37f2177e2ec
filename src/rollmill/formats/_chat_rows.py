"""A row of chat completions to a rollout: which of its columns hold the conversation, the ids, the labels, the tools.

    {"trajectory_id":"repo-1-run3","instance_id":"repo-1","messages":[…],"tools":[…],"resolved":-1,"license":"MIT"}

Columns are used up one by one; what is left at the end is kept as it is in ``source_meta.other``.
"""

from __future__ import annotations

from typing import Any, TypeVar

import msgspec
from msgspec import Raw

from rollmill.formats import RolloutFile
from rollmill.formats._chat import BadRow, ChatMessage, Conversation, messages_of
from rollmill.formats._conversation import json_text, spell_out_markers, sum_up
from rollmill.formats._lift import has_marker, without_markers
from rollmill.formats._raw_json import (
    NOT_JSON,
    count,
    fields,
    is_null,
    items,
    plain,
    text,
    type_of,
    without_lone_surrogates,
)
from rollmill.formats._times import utc
from rollmill.media import MediaStore
from rollmill.rollout import Message, Rollout, SourceMeta, Usage

NAME = "chat_completion_jsonl"
PARSER = "chat_completion_jsonl/1"

_IDS = ("trace_id", "trajectory_id", "id", "session_id", "trial_name")
_LABELS = (
    "resolved", "reward", "score", "success", "result", "exit_status", "instance_id", "task", "trial_name",
)  # fmt: skip
_TOOLS = ("tools", "tool_defs", "functions")
_REPEATED = ("conversations", "trajectory", "traj", "prompt", "completion", "raw_messages", "raw_response")
_USUAL_REASONS = ("stop", "tool_calls", "function_call")
T = TypeVar("T")
_row = msgspec.json.Decoder(dict[str, Raw])


def readable(source: bytes, decoder: msgspec.json.Decoder[T]) -> tuple[T, bytes, int]:
    """What the JSON says and its bytes, with U+FFFD for lone surrogates, and how many of these."""
    try:
        return decoder.decode(source), source, 0
    except msgspec.ValidationError:
        raise
    except msgspec.DecodeError:
        fixed, replaced = without_lone_surrogates(source.decode())
        return decoder.decode(fixed), fixed.encode(), replaced


class Row:
    """One row on its way to a rollout. ``columns`` are those that nothing has used yet."""

    def __init__(self, file: RolloutFile, line: int, source: bytes, replaced: int, media: MediaStore) -> None:
        self.file = file
        self.line = line
        columns, _, replaced_here = readable(source, _row)
        self.replaced = replaced + replaced_here
        self.columns = {name: raw for name, raw in columns.items() if not is_null(raw)}
        self.keys = list(self.columns)
        self.conversation = Conversation(line, self._text("model"), media)
        self.notes: list[str] = []

    def rollout(self) -> Rollout:
        """Raises ``BadRow`` and decoding errors."""
        for chat in self._chats():
            self.conversation.add(chat)
        self._add_response()
        messages = self.conversation.finish()
        spell_out_markers(messages)
        own_id, session_id = self._own_id(), self._text("session_id")
        time = self._time()
        return Rollout(
            trace_id=own_id or f"{self.file.relative_path}:{self.line}",
            source_kind=NAME,
            source_path=str(self.file.path),
            root_session_id=session_id or own_id,
            agent_id=None,
            is_sidechain=False,
            cwd=None,
            project_path=None,
            git_branch=None,
            started_at=time,
            ended_at=time,
            messages=messages,
            source_meta=self._meta(messages),
        )

    # The conversation

    def _chats(self) -> list[ChatMessage]:
        chats = self._system() + self._spoken()
        if not chats:
            keys = ", ".join(self.keys[:8]) or "(none)"
            raise BadRow(f"no messages: expected messages, conversations, trajectory, or prompt; met the keys {keys}")
        return chats

    def _system(self) -> list[ChatMessage]:
        """ShareGPT's system prompt beside the conversation."""
        system = self._text("system")
        return [ChatMessage(role="system", content=system)] if system else []

    def _spoken(self) -> list[ChatMessage]:
        """The first of the columns that hold a conversation; a trajectory beside a prompt is something else."""
        for name in ("messages", "conversations"):
            if name in self.columns:
                return messages_of(self.columns.pop(name))
        if "prompt" not in self.columns or "completion" not in self.columns:
            for name in ("trajectory", "traj"):
                if name in self.columns:
                    return messages_of(self.columns.pop(name))
        return self._said("prompt", "user") + self._said("completion", "assistant")

    def _said(self, column: str, role: str) -> list[ChatMessage]:
        """A column's text as one message, or its messages."""
        if (raw := self.columns.pop(column, None)) is None:
            return []
        said = text(raw)
        return messages_of(raw) if said is None else [ChatMessage(role=role, content=said)]

    def _add_response(self) -> None:
        """A completion log has the model's answer beside the messages it answered."""
        response = fields(self.columns.get("response"))
        choices = items(response.get("choices", self.columns.get("choices")))
        answer = fields(choices[0]).get("message") if choices else None
        if answer is None or type_of(answer) != "object":
            return
        self.conversation.add_answer(messages_of(answer)[0])
        self.columns.pop("response" if response else "choices")
        extra = self.conversation.messages[-1].extra
        extra.id = extra.id or text(response.get("id"))
        extra.model = text(response.get("model")) or extra.model
        extra.usage = _usage(fields(response.get("usage")))
        reason = text(fields(choices[0]).get("finish_reason")) or "stop"
        if reason not in _USUAL_REASONS:
            extra.other = json_text({**plain(extra.other or "{}"), "finish_reason": reason})
        if len(choices) > 1:
            self.notes.append(f"{len(choices) - 1} further choices left out")

    # What stands beside it

    def _own_id(self) -> str | None:
        for name in _IDS:
            raw = self.columns.get(name)
            number = count(raw)
            if own_id := text(raw) or (str(number) if number is not None else None):
                if name not in _LABELS:
                    self.columns.pop(name)
                return own_id
        return None

    def _time(self) -> str | None:
        time = utc(plain(self.columns["timestamp"])) if "timestamp" in self.columns else None
        if time is not None:
            del self.columns["timestamp"]
        return time

    def _meta(self, messages: list[Message]) -> SourceMeta:
        tools = self._tools()
        labels = {name: self._value(name) for name in _LABELS if name in self.columns}
        meta = SourceMeta(
            parser=PARSER,
            labels=labels,
            tools=tools or None,
            tools_source="recorded" if tools else "absent",
            other=self._other(),
        )
        sum_up(meta, messages)
        ledger = meta.fidelity
        ledger.replaced_characters = self.replaced
        ledger.undecodable_media = self.conversation.undecodable_media
        ledger.unanswered_calls = self.conversation.unanswered_calls
        ledger.orphan_results = self.conversation.orphan_results
        ledger.system_prompt = any(message.role == "system" for message in messages)
        ledger.tool_schemas = bool(tools)
        ledger.notes = self.conversation.notes + self.notes
        return meta

    def _tools(self) -> list[Any]:
        """A list of schemas, JSON text of one, or a list of JSON texts; in completion logs also below ``kwargs``."""
        for name in _TOOLS:
            if name in self.columns:
                return _parsed_list(self._value(name))
        return _parsed_list(plain(raw)) if (raw := fields(self.columns.get("kwargs")).get("tools")) else []

    def _other(self) -> dict[str, Any]:
        """The columns that nothing else used; a conversation told once more is left out, with a note."""
        for name in _REPEATED:
            if self.columns.pop(name, None) is not None:
                self.notes.append(f"column {name} left out")
        other = {name: self._value(name) for name in list(self.columns)}
        if isinstance(kwargs := other.get("kwargs"), dict):
            kwargs.pop("tools", None)
        return other

    def _text(self, column: str) -> str | None:
        """A column of text, used up; None, and left, when it is anything else."""
        found = text(self.columns.get(column))
        if found is not None:
            del self.columns[column]
        return found or None

    def _value(self, column: str) -> Any:
        """A column's value, used up."""
        source = bytes(self.columns.pop(column)).decode()
        return plain(without_markers(source) if has_marker(source) else source)


def _parsed_list(value: Any) -> list[Any]:
    parsed = _parsed(value)
    return [_parsed(item) for item in parsed] if isinstance(parsed, list) else [parsed]


def _parsed(value: Any) -> Any:
    """JSON text as what it says; text that is no JSON, and anything else, as it is."""
    try:
        return plain(value) if isinstance(value, str) else value
    except NOT_JSON:
        return value


def _usage(usage: dict[str, Raw]) -> Usage | None:
    prompt, completion = fields(usage.get("prompt_tokens_details")), fields(usage.get("completion_tokens_details"))
    tokens = Usage(
        input_tokens=count(usage.get("prompt_tokens")),
        cache_read_tokens=count(prompt.get("cached_tokens", usage.get("cache_read_input_tokens"))),
        cache_write_tokens=count(usage.get("cache_creation_input_tokens")),
        output_tokens=count(usage.get("completion_tokens")),
        reasoning_tokens=count(completion.get("reasoning_tokens")),
    )
    return tokens if tokens != Usage() else None
