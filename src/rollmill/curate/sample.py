"""The canonical training sample: one linear context a model saw, and what in it is to be learnt.

Every export target is a projection of it. ``docs/training-data.md`` explains the fields.
"""

from __future__ import annotations

from typing import Any, Literal

from msgspec import Struct, field

from rollmill.rollout import Message

Mode = Literal["trajectory", "per_turn", "per_user_turn"]
ToolsSource = Literal["recorded", "catalogue", "inferred", "absent"]
SystemSource = Literal["recorded", "given", "absent"]
TokensSource = Literal["tokenizer", "estimate"]


class Turn(Struct, gc=False):
    """One message of a sample and how much of it counts.

    ``index`` is the message's place in its row, -1 for one that no row has (a system prompt that was given).
    ``weight`` is 0 to 1, above 0 only on messages the model wrote and that no other sample trains; ``reason`` says
    in a word or two why it is what it is. ``reasoning`` says whether ``reasoning_content`` counts with the message:
    a summary, an empty or an encrypted one is context.
    """

    message: Message
    index: int
    weight: float = 0.0
    reason: str = "context"
    reasoning: bool = False

    @property
    def is_model(self) -> bool:
        """Whether the model wrote it (whether or not it counts)."""
        return self.message.role == "assistant"


class Source(Struct):
    """Where a sample is from: the row's identity, its file and the first and last line used."""

    source_kind: str
    source_path: str
    trace_id: str
    root_session_id: str | None = None
    agent_id: str | None = None
    is_sidechain: bool = False
    project_path: str | None = None
    git_branch: str | None = None
    started_at: str | None = None
    ended_at: str | None = None
    agent_version: str | None = None
    models: list[str] = field(default_factory=list)
    parser: str | None = None
    first_line: int | None = None
    last_line: int | None = None


class Redacted(Struct):
    """Which policy removed what: how many secrets of each kind, each place counted."""

    policy: str
    counts: dict[str, int] = field(default_factory=dict)


class Sample(Struct):
    """One sample. ``row_id`` is the row's trace id, ``parent_row_id`` that of the thread which started it.

    ``segment_reason`` is why its context began: ``start``, ``compaction``, ``continuation``, ``branch``, ``subagent``,
    ``fork``.
    """

    sample_id: str
    row_id: str
    parent_row_id: str | None
    segment_index: int
    segment_reason: str
    mode: Mode
    task_id: str
    turns: list[Turn]
    source: Source
    context_complete: bool = True
    """False when part of what the model saw is known to be missing: a compaction of which only ciphertext is left."""
    tools: list[Any] | None = None
    tools_source: ToolsSource = "absent"
    system_source: SystemSource = "absent"
    labels: dict[str, Any] = field(default_factory=dict)
    signals: dict[str, Any] = field(default_factory=dict)
    redaction: Redacted | None = None
    n_tokens: int = 0
    n_tokens_source: TokensSource = "estimate"

    @property
    def targets(self) -> list[Turn]:
        """The turns that count."""
        return [turn for turn in self.turns if turn.weight > 0]
