"""A context of a row as a canonical sample, and the keys by which samples and messages are known again."""

from __future__ import annotations

from collections.abc import Sequence
from hashlib import blake2b

import msgspec

from rollmill.curate.sample import Mode, Sample, Source, Turn
from rollmill.curate.segments import PERSISTENT_SYSTEM, Context, from_model
from rollmill.rollout import Message, Rollout

ID_LENGTH = 16
"""From this length on a message's id is taken to be unique in the world, as providers' ids and UUIDs are."""
ESTIMATED_BYTES_PER_TOKEN = 4

_encode = msgspec.msgpack.encode


def build_sample(rollout: Rollout, context: Context, mode: Mode, task_id: str, train_summaries: bool = False) -> Sample:
    """One context as a sample: every target of it has weight 1, everything else 0."""
    turns = [_turn(rollout.messages[i], i, context, train_summaries) for i in context.messages]
    meta = rollout.source_meta
    return Sample(
        sample_id=rollout.trace_id,
        row_id=rollout.trace_id,
        parent_row_id=meta.parent.trace_id if meta.parent else None,
        segment_index=context.index,
        segment_reason=context.reason,
        mode=mode,
        task_id=task_id,
        turns=turns,
        source=_source(rollout, turns),
        context_complete=context.whole,
        system_source="recorded" if any(map(_is_prompt, turns)) else "absent",
        labels=meta.labels,
    )


def _turn(message: Message, index: int, context: Context, train_summaries: bool) -> Turn:
    if index in context.texts:
        message = msgspec.structs.replace(message, reasoning_content=None, tool_calls=[])
    elif index in context.stripped:
        message = msgspec.structs.replace(message, reasoning_content=None)
    if index in context.targets:
        trained = message.extra.thinking == "full" or (train_summaries and message.extra.thinking == "summary")
        return Turn(message, index, 1.0, "model", trained)
    return Turn(message, index, 0.0, "earlier or copied turn" if from_model(message) else "context")


def _is_prompt(turn: Turn) -> bool:
    """Whether a message is the agent's own system prompt, and not one of the notes that harnesses put in."""
    return turn.message.role == "system" and turn.message.extra.kind in PERSISTENT_SYSTEM


def _source(rollout: Rollout, turns: Sequence[Turn]) -> Source:
    lines = [line for turn in turns if (line := turn.message.extra.line) is not None]
    meta = rollout.source_meta
    return Source(
        source_kind=rollout.source_kind,
        source_path=rollout.source_path,
        trace_id=rollout.trace_id,
        root_session_id=rollout.root_session_id,
        agent_id=rollout.agent_id,
        is_sidechain=rollout.is_sidechain,
        project_path=rollout.project_path,
        git_branch=rollout.git_branch,
        started_at=rollout.started_at,
        ended_at=rollout.ended_at,
        agent_version=meta.agent_version,
        models=meta.models,
        parser=meta.parser,
        first_line=min(lines, default=None),
        last_line=max(lines, default=None),
    )


def copy_keys(message: Message, content: bytes) -> list[bytes]:
    """By what a model message is known again in another row; nothing when it cannot be told from another.

    An id that is unique in the world, with the content or, since a log may be cut off in the middle of a message, with
    the time; else the id, the time and the content together. ``content`` is the digest of ``content_of``.
    """
    extra = message.extra
    if extra.id is None or len(extra.id) < ID_LENGTH:
        return [digest((extra.id, extra.timestamp, content))] if extra.timestamp is not None else []
    keys = [digest((extra.id, content))]
    return keys if extra.timestamp is None else [*keys, digest((extra.id, extra.timestamp))]


def content_of(message: Message) -> tuple[object, ...]:
    """What a message says, without where it came from."""
    calls = [(call.function.name, call.function.arguments) for call in message.tool_calls]
    return (message.role, message.content, message.reasoning_content, calls)


def digest(value: object) -> bytes:
    """Twelve bytes that stand for the value."""
    return blake2b(_encode(value), digest_size=12).digest()


def sample_digest(turns: Sequence[Turn], context: Context, contents: Sequence[bytes]) -> bytes:
    """What makes two samples the same: what is said and what of it counts. ``contents`` are the digests of what the
    row's messages say, by index."""
    return digest([_turn_key(turn, context, contents) for turn in turns])


def _turn_key(turn: Turn, context: Context, contents: Sequence[bytes]) -> tuple[object, ...]:
    index = turn.index
    return contents[index], index in context.stripped, index in context.texts, turn.weight, turn.reasoning


def estimated_tokens(sample: Sample) -> int:
    """About how many tokens the sample has: a quarter of its UTF-8 bytes."""
    return sum(text_bytes(turn.message) for turn in sample.turns) // ESTIMATED_BYTES_PER_TOKEN


def text_bytes(message: Message) -> int:
    """Bytes of what a message says: its texts, thinking, calls with their arguments."""
    texts = [block.text for block in message.content if block.text]
    texts += [message.reasoning_content] if message.reasoning_content else []
    for call in message.tool_calls:
        texts += [call.function.name, call.function.arguments]
    return sum(len(text) if text.isascii() else len(text.encode()) for text in texts)
