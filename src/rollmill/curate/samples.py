"""A context of a row as a canonical sample, and the keys by which samples and messages are known again."""

from __future__ import annotations

from collections.abc import Sequence
from hashlib import blake2b

import msgspec

from rollmill.curate.sample import Mode, Sample, Source, Turn
from rollmill.curate.segments import Context, from_model
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
        system_source="recorded" if any(t.message.role == "system" for t in turns) else "absent",
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


class Contents:
    """Digests of what the messages of one row say, each computed once."""

    def __init__(self) -> None:
        self._known: dict[int, bytes] = {}

    def __call__(self, message: Message) -> bytes:
        if (found := self._known.get(id(message))) is None:
            found = self._known[id(message)] = digest(content_of(message))
        return found


class SeenMessages:
    """The model messages of the rows so far. Asked about a message, it says whether a row had it, and remembers it.

    A message is known again by its content and its id, where that is long enough to be unique, else by its content,
    id and time. One without a time and without such an id is never taken for a copy.
    """

    def __init__(self) -> None:
        self._seen: set[bytes] = set()
        self._before: set[bytes] = set()
        self._contents = Contents()

    def next_row(self, contents: Contents) -> None:
        """From here on, messages are those of another row."""
        self._before |= self._seen
        self._seen.clear()
        self._contents = contents

    def __call__(self, message: Message) -> bool:
        extra = message.extra
        unique = extra.id is not None and len(extra.id) >= ID_LENGTH
        if not unique and extra.timestamp is None:
            return False
        key = digest((extra.id, None if unique else extra.timestamp, self._contents(message)))
        self._seen.add(key)
        return key in self._before


def content_of(message: Message) -> tuple[object, ...]:
    """What a message says, without where it came from."""
    calls = [(call.function.name, call.function.arguments) for call in message.tool_calls]
    return (message.role, message.content, message.reasoning_content, calls)


def digest(value: object) -> bytes:
    """Twelve bytes that stand for the value."""
    return blake2b(_encode(value), digest_size=12).digest()


def sample_digest(turns: Sequence[Turn], contents: Contents) -> bytes:
    """What makes two samples the same: what is said and what of it counts."""
    return digest([(contents(turn.message), turn.weight, turn.reasoning) for turn in turns])


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
