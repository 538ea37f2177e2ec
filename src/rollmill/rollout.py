"""What one agent did in one thread: ``Rollout``, its ``Message``s, and the ``Fidelity`` ledger of what is missing.

Format modules build these; everything after them reads only these. ``docs/rows.md`` explains every field with its
source in each format. The structs are plain data (msgspec, no garbage-collector tracking): making one costs a
fraction of a microsecond, which is what lets a gigabyte of rollouts pass in seconds.
"""

from __future__ import annotations

from collections import Counter
from operator import attrgetter
from typing import Any, Literal

import msgspec
from msgspec import Struct, field

Role = Literal["system", "user", "assistant", "tool"]
Origin = Literal["human", "harness", "parent_agent", "model", "tool"]
Thinking = Literal["full", "summary", "empty", "encrypted", "redacted"]


class Media(Struct, gc=False, frozen=True):
    """A reference to an image, sound or file; never its bytes.

    Embedded media carry ``sha256`` and ``size`` of the decoded bytes and lie once in the media store beside the
    output; remote media carry ``url`` only.
    """

    sha256: str | None = None
    media_type: str | None = None
    size: int | None = None
    url: str | None = None


class Block(Struct, gc=False):
    """One block of content. ``text`` is the text of a text block; any other type keeps its source JSON there,
    unless it became a ``media`` reference."""

    type: str
    text: str | None = None
    media: Media | None = None


class Function(Struct, gc=False):
    """A called function: its name and its arguments as JSON text, byte for byte as the log has them."""

    name: str
    arguments: str


class ToolCall(Struct, gc=False):
    """One tool call. ``type`` is ``function``, or ``server`` when the provider's server answers it itself."""

    id: str
    function: Function
    type: str = "function"


class Usage(Struct, gc=False):
    """Tokens of one model call. ``input_tokens`` includes cached input; the cache figures are parts of it,
    ``reasoning_tokens`` a part of ``output_tokens``. None where the source says nothing."""

    input_tokens: int | None = None
    cache_read_tokens: int | None = None
    cache_write_tokens: int | None = None
    output_tokens: int | None = None
    reasoning_tokens: int | None = None


class Extra(Struct, gc=False):
    """Where a message came from and what its source says about it (``docs/rows.md`` has the table)."""

    id: str | None = None
    origin: Origin | None = None
    kind: str | None = None
    part: int | None = None
    timestamp: str | None = None
    model: str | None = None
    is_error: bool | None = None
    line: int | None = None
    segment: int = 0
    usage: Usage | None = None
    thinking: Thinking | None = None
    block_order: str | None = None
    other: str | None = None


class Message(Struct, gc=False):
    """One message of the conversation, in the shape chat-completion trainers know, plus ``extra``."""

    role: Role
    content: list[Block]
    reasoning_content: str | None = None
    tool_calls: list[ToolCall] = field(default_factory=list)
    tool_call_id: str | None = None
    extra: Extra = field(default_factory=Extra)

    @property
    def text(self) -> str:
        """The text blocks, joined by newlines; an empty string when there is none."""
        return "\n".join(block.text or "" for block in self.content if block.type == "text")


RECORD_CLASSES = ("used", "merged", "duplicate", "replayed", "abandoned", "metadata", "unknown", "unreadable")


class Records(Struct):
    """Every record of the file in exactly one class, so that ``total`` is the sum of the others.

    A record is one JSON value of the file (two fused on one line are two), or one run of bytes that is none.
    """

    total: int = 0
    used: int = 0
    merged: int = 0
    duplicate: int = 0
    replayed: int = 0
    abandoned: int = 0
    metadata: int = 0
    unknown: int = 0
    unreadable: int = 0


class Fidelity(Struct):
    """What is and what is not in a row. ``records``, ``unknown_types``, ``unreadable_lines``, ``torn_tail``,
    ``replaced_characters`` and the companions tell of the file (every row of one file says the same); the rest
    tells of the row."""

    records: Records = field(default_factory=Records)
    unknown_types: dict[str, int] = field(default_factory=dict)
    unreadable_lines: list[int] = field(default_factory=list)
    torn_tail: bool = False
    replaced_characters: int = 0
    undecodable_media: int = 0
    companions_read: int = 0
    companions_missing: list[str] = field(default_factory=list)
    gaps: int = 0
    unanswered_calls: int = 0
    orphan_results: int = 0
    compactions: int = 0
    api_errors: int = 0
    truncated_outputs: int = 0
    thinking: dict[str, int] = field(default_factory=dict)
    system_prompt: bool = False
    tool_schemas: bool = False
    notes: list[str] = field(default_factory=list)
    abandoned_usage: Usage | None = None


class Segment(Struct):
    """A stretch of messages that shared one context: ``reason`` is why it began, ``first_message`` its index."""

    index: int
    reason: str
    first_message: int


class Parent(Struct):
    """The thread that started this one, and the call that did when the file or a companion says so."""

    trace_id: str
    tool_call_id: str | None = None


class Child(Struct):
    """A sub-agent this thread started."""

    agent_id: str
    tool_call_id: str | None = None


class SourceMeta(Struct):
    """Everything about a row that has no column of its own: the same keys for every format."""

    parser: str
    agent_version: str | None = None
    models: list[str] = field(default_factory=list)
    usage: Usage = field(default_factory=Usage)
    title: str | None = None
    parent: Parent | None = None
    children: list[Child] = field(default_factory=list)
    forked_from: str | None = None
    segments: list[Segment] = field(default_factory=list)
    labels: dict[str, Any] = field(default_factory=dict)
    tools: list[Any] | None = None
    tools_source: Literal["recorded", "absent"] = "absent"
    fidelity: Fidelity = field(default_factory=Fidelity)
    other: dict[str, Any] = field(default_factory=dict)


class Rollout(Struct):
    """One row: what one agent did in one thread."""

    trace_id: str
    source_kind: str
    source_path: str
    root_session_id: str | None
    agent_id: str | None
    is_sidechain: bool
    cwd: str | None
    project_path: str | None
    git_branch: str | None
    started_at: str | None
    ended_at: str | None
    messages: list[Message]
    source_meta: SourceMeta

    @property
    def message_count(self) -> int:
        return len(self.messages)

    @property
    def tool_call_count(self) -> int:
        return sum([len(message.tool_calls) for message in self.messages])

    @property
    def final_assistant_message(self) -> str | None:
        """The text of the last model message that has any; None when there is none."""
        for message in reversed(self.messages):
            if message.role == "assistant" and (text := message.text):
                return text
        return None

    def to_row(self) -> dict[str, Any]:
        """The 16 columns as plain Python: ``messages`` a list of dicts with every key, ``source_meta`` a dict."""
        row = {name: getattr(self, name) for name in COLUMNS}
        row["messages"] = msgspec.to_builtins(self.messages)
        row["source_meta"] = msgspec.to_builtins(self.source_meta)
        return row


COLUMNS = (
    "trace_id",
    "source_kind",
    "source_path",
    "root_session_id",
    "agent_id",
    "is_sidechain",
    "cwd",
    "project_path",
    "git_branch",
    "started_at",
    "ended_at",
    "messages",
    "message_count",
    "tool_call_count",
    "final_assistant_message",
    "source_meta",
)


def sparse(value: Any) -> Any:
    """``value`` without null keys and empty extras, for people: golden files, JSONL output, pages."""
    if isinstance(value, dict):
        return {key: sparse(item) for key, item in value.items() if item is not None}
    if isinstance(value, list):
        return [sparse(item) for item in value]
    return value


def add_usage(usages: list[Usage]) -> Usage:
    """The sum of the calls' tokens, each figure None when no call states it."""
    total = Usage()
    for name in Usage.__struct_fields__:
        figures = list(map(attrgetter(name), usages))
        if figures.count(None) < len(figures):
            setattr(total, name, sum(filter(None, figures)))
    return total


def count_thinking(messages: list[Message]) -> dict[str, int]:
    """How many model messages carry which kind of thinking; ``none`` for those without."""
    return dict(Counter([m.extra.thinking or "none" for m in messages if m.role == "assistant"]))
