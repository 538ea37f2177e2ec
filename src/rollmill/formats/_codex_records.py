"""Codex's log records, typed: only the fields that are used are decoded, the rest is skipped over.

    {"timestamp":"2026-03-01T23:26:47.819Z","type":"response_item","payload":{"type":"function_call","name":"exec_command",
     "arguments":"{\\"cmd\\":\\"pwd\\"}","call_id":"call_9zGk…"}}

Logs of before September 2025 have the items bare, without the envelope; older ones are one JSON document.
"""

from __future__ import annotations

from typing import Any, ClassVar

import msgspec
from msgspec import Raw, Struct

from rollmill.formats._jsonl import TokenCount, private_field


class Part(Struct, gc=False):
    """A content part, a summary part, or an output object."""

    type: str = ""
    text: str | None = None
    image_url: str | dict[str, Any] | None = None
    data: str | None = None
    mimeType: str | None = None
    content: Any = None
    success: bool | None = None


class Tokens(Struct, gc=False):
    input_tokens: TokenCount | None = None
    cached_input_tokens: TokenCount | None = None
    cache_write_input_tokens: TokenCount | None = None
    output_tokens: TokenCount | None = None
    reasoning_output_tokens: TokenCount | None = None
    total_tokens: TokenCount | None = None


class TokenInfo(Struct, gc=False):
    total_token_usage: Tokens | None = None
    last_token_usage: Tokens | None = None


class Git(Struct):
    commit_hash: str | None = None
    branch: str | None = None
    repository_url: str | None = None


class Instructions(Struct):
    text: str | None = None


class TurnItem(Struct):
    """An item as ``item_completed`` events of paginated logs tell it."""

    type: str = ""
    id: str | None = None
    content: list[Part] | None = None
    summary_text: list[str] | None = None
    raw_content: list[str] | None = None
    phase: str | None = None

    def text(self) -> str:
        return "".join(part.text or "" for part in self.content or ())


class ChatFunction(Struct):
    name: str | None = None
    arguments: Raw = Raw(b"")


class ChatCall(Struct):
    id: str | None = None
    function: ChatFunction | None = None


class Item(Struct, gc=False):
    """A payload: a response item, an event, a session header, a turn's context."""

    type: str | None = None
    id: str | None = None
    role: str | None = None
    content: str | list[Part] | None = None
    phase: str | None = None
    summary: list[Part] | str | None = None
    encrypted_content: Raw = Raw(b"")
    call_id: str | None = None
    name: str | None = None
    namespace: str | None = None
    arguments: Raw = Raw(b"")
    input: Any = None
    action: Raw = Raw(b"")
    output: str | Part | list[Part] | None = None
    tools: Raw = Raw(b"")
    result: Any = None
    revised_prompt: str | None = None
    # events
    message: str | None = None
    text: str | None = None
    info: TokenInfo | None = None
    num_turns: int | None = None
    thread_name: str | None = None
    item: TurnItem | None = None
    new_thread_id: str | None = None
    # compacted
    replacement_history: Raw = Raw(b"")
    # turn_context and session_meta
    model: str | None = None
    cwd: str | None = None
    timestamp: str | None = None
    session_id: str | None = None
    originator: str | None = None
    cli_version: str | None = None
    source: Any = None
    model_provider: str | None = None
    git: Git | None = None
    instructions: str | None = None
    base_instructions: Instructions | str | None = None
    dynamic_tools: Any = None
    history_mode: str | None = None
    history_base: Any = None
    forked_from_id: str | None = None
    parent_thread_id: str | None = None
    # a document's items, written by chat-completions clients
    tool_calls: list[ChatCall] | None = None
    tool_call_id: str | None = None
    reasoning: str | None = None


class Record(Item, gc=False):
    """One line: an envelope with its payload, or a bare item. ``line`` is its number, set by the reader; ``fate`` the
    ledger's class once it has found it."""

    line: int = private_field(0, "line")
    fate: str = private_field("metadata", "fate")
    payload: Item | None = None
    record_type: str | None = None


class Document(Struct):
    """The TypeScript CLI's file."""

    session: Item | None = None
    items: list[Item] | None = None


# The usual lines once more, each with the few fields of its own type, in the order in which a log has them: decoding
# them is what takes the time. A line that fits none of these is decoded as a ``Record``. Names are the same in both.


class MessageItem(Struct, gc=False, tag_field="type", tag="message"):
    type: ClassVar[str] = "message"
    role: str | None = None
    content: str | list[Part] | None = None
    phase: str | None = None
    id: str | None = None


class ReasoningItem(Struct, gc=False, tag_field="type", tag="reasoning"):
    type: ClassVar[str] = "reasoning"
    summary: list[Part] | None = None
    content: list[Part] | None = None
    encrypted_content: str | None = None
    id: str | None = None


class FunctionCallItem(Struct, gc=False, tag_field="type", tag="function_call"):
    type: ClassVar[str] = "function_call"
    name: str | None = None
    namespace: str | None = None
    arguments: str | None = None
    call_id: str | None = None
    id: str | None = None


class FunctionCallOutputItem(Struct, gc=False, tag_field="type", tag="function_call_output"):
    type: ClassVar[str] = "function_call_output"
    call_id: str | None = None
    output: str | Part | list[Part] | None = None
    id: str | None = None


class CustomToolCallItem(Struct, gc=False, tag_field="type", tag="custom_tool_call"):
    type: ClassVar[str] = "custom_tool_call"
    call_id: str | None = None
    name: str | None = None
    input: Any = None
    id: str | None = None


class CustomToolCallOutputItem(Struct, gc=False, tag_field="type", tag="custom_tool_call_output"):
    type: ClassVar[str] = "custom_tool_call_output"
    call_id: str | None = None
    output: str | Part | list[Part] | None = None
    id: str | None = None


class Event(Struct, gc=False):
    """Any event; the fields are few, so the types need no structs of their own."""

    type: str | None = None
    message: str | None = None
    phase: str | None = None
    text: str | None = None
    info: TokenInfo | None = None
    num_turns: int | None = None
    thread_name: str | None = None
    item: TurnItem | None = None
    call_id: str | None = None
    new_thread_id: str | None = None


class TurnContext(Struct, gc=False):
    type: ClassVar[None] = None
    role: ClassVar[None] = None
    model: str | None = None


class Compacted(Struct, gc=False):
    message: str | None = None
    replacement_history: Raw = Raw(b"")
    type: str | None = None
    role: str | None = None
    content: str | list[Part] | None = None
    summary: list[Part] | str | None = None


UsualItem = (
    MessageItem
    | ReasoningItem
    | FunctionCallItem
    | FunctionCallOutputItem
    | CustomToolCallItem
    | CustomToolCallOutputItem
)


class ResponseItemLine(Struct, gc=False, kw_only=True, tag_field="type", tag="response_item"):
    timestamp: str | None = None
    payload: UsualItem
    line: int = private_field(0, "line")
    fate: str = private_field("metadata", "fate")
    type: ClassVar[str] = "response_item"


class EventLine(Struct, gc=False, kw_only=True, tag_field="type", tag="event_msg"):
    timestamp: str | None = None
    payload: Event
    line: int = private_field(0, "line")
    fate: str = private_field("metadata", "fate")
    type: ClassVar[str] = "event_msg"


class TurnContextLine(Struct, gc=False, kw_only=True, tag_field="type", tag="turn_context"):
    timestamp: str | None = None
    payload: TurnContext
    line: int = private_field(0, "line")
    fate: str = private_field("metadata", "fate")
    type: ClassVar[str] = "turn_context"


class CompactedLine(Struct, gc=False, kw_only=True, tag_field="type", tag="compacted"):
    timestamp: str | None = None
    payload: Compacted
    line: int = private_field(0, "line")
    fate: str = private_field("metadata", "fate")
    type: ClassVar[str] = "compacted"


class SessionMetaLine(Struct, gc=False, kw_only=True, tag_field="type", tag="session_meta"):
    timestamp: str | None = None
    payload: Item
    line: int = private_field(0, "line")
    fate: str = private_field("metadata", "fate")
    type: ClassVar[str] = "session_meta"


USUAL = msgspec.json.Decoder(ResponseItemLine | EventLine | TurnContextLine | CompactedLine | SessionMetaLine)
"""A usual line, used like a ``Record``. Raises what msgspec raises for any other line."""


def json_source(value: Raw | str | None) -> str:
    """Arguments as JSON text, byte for byte: a string's content, any other value's source; ``{}`` of nothing."""
    if isinstance(value, str):
        return value
    source = bytes(value) if value is not None else b""
    if source.startswith(b'"'):
        return msgspec.json.decode(source, type=str)
    return "{}" if source in (b"", b"null") else source.decode("utf-8", "replace")


def is_encrypted(content: Raw | str | None) -> bool:
    """Whether there is any ciphertext in an ``encrypted_content`` field."""
    if content is None or isinstance(content, str):
        return bool(content)
    return len(content) > len(b'""') and bytes(content) != b"null"


ENVELOPES = frozenset(
    "session_meta turn_context response_item event_msg compacted world_state inter_agent_communication "
    "inter_agent_communication_metadata".split()
)
ITEM_TYPES = frozenset(
    "message reasoning function_call function_call_output custom_tool_call custom_tool_call_output local_shell_call "
    "local_shell_call_output web_search_call tool_search_call tool_search_output image_generation_call ghost_snapshot "
    "compaction compaction_summary context_compaction agent_message".split()
)
