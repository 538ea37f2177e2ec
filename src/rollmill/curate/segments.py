"""From a rollout to the contexts its model really saw, each message of the model a target in exactly one of them.

A context ends where the next prompt is no longer an extension of the last: at a compaction, a continuation, a branch.
What a context repeats from before (the system prompt, messages a compaction kept, a fork's or a resumed session's
history) may be read in it and is never learnt from it. ``docs/training-data.md`` has the modes and when to use which.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence, Set
from dataclasses import dataclass, replace
from itertools import islice, pairwise, takewhile

import msgspec
from msgspec import Struct, field

from rollmill.curate.sample import Mode
from rollmill.rollout import Message, Rollout

PERSISTENT_SYSTEM = (None, "base_instructions", "copied")
"""System messages that stand outside the conversation, so that a compaction leaves them: the agent's own prompt. Other
system messages (Codex's developer items) are said again by the compacted context when they are still in it."""

BRANCH = re.compile(r"#b\d+$")
"""How the trace id of an abandoned branch ends."""


@dataclass(frozen=True)
class Context:
    """Messages of one row, by index, in the order the model saw them, and those of them that are to be learnt.

    ``stripped`` are model messages whose thinking was no longer there, ``texts`` those of which only the text was left.
    ``whole`` is False when part of the context is known to be missing (a compaction that is only ciphertext).
    """

    index: int
    reason: str
    messages: tuple[int, ...]
    targets: frozenset[int]
    stripped: frozenset[int] = frozenset()
    texts: frozenset[int] = frozenset()
    whole: bool = True


@dataclass
class Contexts:
    """The contexts of a row, and what became of its model messages: each is a target, a copy, or cut off."""

    contexts: list[Context]
    copied: int
    """Model messages that are copies of what another place says: context, never a target."""
    cut: int
    """Model messages at the end of a context whose calls were never answered."""


IsCopy = Callable[[int], bool]


def contexts(rollout: Rollout, mode: Mode = "trajectory", is_copy: IsCopy | None = None) -> Contexts:
    """The contexts of a row in ``mode``; over all of them each model message is a target once, in order.

    ``is_copy`` says of a model message, by its index, that another row of the data set teaches it already, as in a
    resumed session or an abandoned branch that shares its beginning.
    """
    messages = rollout.messages
    model = [i for i, message in enumerate(messages) if from_model(message)]
    new = {i for i in model if messages[i].extra.kind != "copied" and not (is_copy and is_copy(i))}
    found = [part for context in _linear(rollout, new) for part in _MODES[mode](context, messages)]
    learnt = sum(len(context.targets) for context in found)
    return Contexts(found, copied=len(model) - len(new), cut=len(new) - learnt)


def from_model(message: Message) -> bool:
    """Whether a model wrote the message: not so an assistant's turn that the harness put there."""
    return message.role == "assistant" and message.extra.origin != "harness"


def _linear(rollout: Rollout, new: Set[int]) -> Iterator[Context]:
    messages = rollout.messages
    system = _persistent_system(messages)
    for number, (first, end, reason) in enumerate(_stretches(rollout)):
        kept, whole = _kept(messages[first]) if number else ([], True)
        kept = [i for i in kept if 0 <= i < first and i not in system]
        texts = frozenset(i for i in kept if messages[i].role == "assistant")
        seen = _as_seen(messages, system if number else [], kept, first, end)
        targets = frozenset(i for i in range(first, end) if i in new)
        yield Context(number, reason, seen, targets, texts=texts, whole=whole)


def _as_seen(messages: Sequence[Message], system: list[int], kept: list[int], first: int, end: int) -> tuple[int, ...]:
    """The messages of a stretch as they stood before the model.

    A compacted history is written in one record: what the harness says anew, what was kept, and the summary at the
    end. The row has the summary first, and names what was kept.
    """
    line = messages[first].extra.line
    if messages[first].extra.kind != "compact_summary" or line is None:
        return (*system, *kept, *range(first, end))
    behind = next((i for i in range(first + 1, end) if messages[i].extra.line != line), end)
    anew = range(first + 1, behind)
    said = [i for i in anew if messages[i].role == "system"]
    return (*system, *said, *kept, *(i for i in anew if i not in said), first, *range(behind, end))


def _stretches(rollout: Rollout) -> Iterator[tuple[int, int, str]]:
    """First message, end, and reason of each stretch of messages that shared one context."""
    segments = [s for s in rollout.source_meta.segments if s.first_message < len(rollout.messages)]
    starts = [0, *(segment.first_message for segment in segments[1:])]
    reasons = [_first_reason(rollout), *(segment.reason for segment in segments[1:])]
    ends = [*starts[1:], len(rollout.messages)]
    yield from ((start, end, reason) for start, end, reason in zip(starts, ends, reasons, strict=True) if start < end)


def _first_reason(rollout: Rollout) -> str:
    if BRANCH.search(rollout.trace_id):
        return "branch"
    if rollout.is_sidechain:
        return "subagent"
    if rollout.source_meta.forked_from:
        return "fork"
    return rollout.source_meta.segments[0].reason if rollout.source_meta.segments else "start"


def _persistent_system(messages: Sequence[Message]) -> list[int]:
    leading = takewhile(lambda i: messages[i].role == "system", range(len(messages)))
    return [i for i in leading if messages[i].extra.kind in PERSISTENT_SYSTEM]


def _kept(summary: Message) -> tuple[list[int], bool]:
    """The earlier messages a compaction kept, and whether the new context can be read at all."""
    if summary.extra.kind != "compact_summary" or not summary.extra.other:
        return [], True
    try:
        other = _compaction(summary.extra.other)
    except msgspec.MsgspecError:
        return [], True
    return sorted(set(other.kept_messages)), not other.encrypted


class _Compaction(Struct):
    """What the parsers write down about a compaction, in ``extra.other`` of its summary."""

    kept_messages: list[int] = field(default_factory=list)
    encrypted: bool = False


_compaction = msgspec.json.Decoder(_Compaction).decode


def _trajectory(context: Context, messages: Sequence[Message]) -> Iterator[Context]:
    """The context as it is, to the last complete turn of the model."""
    yield from _ended(context, messages, 0, len(context.messages))


def _per_turn(context: Context, messages: Sequence[Message]) -> Iterator[Context]:
    """One context for each call of the model, with all that came before it."""
    for place, index in enumerate(context.messages):
        if index in context.targets:
            yield from _ended(context, messages, place, place + 1)


def _per_user_turn(context: Context, messages: Sequence[Message]) -> Iterator[Context]:
    """One context for each stretch of turns behind a user message, without the thinking of earlier stretches."""
    asked = [place for place, index in enumerate(context.messages) if messages[index].role == "user" and place]
    for begin, end in pairwise([0, *asked, len(context.messages)]):
        earlier = (i for i in context.messages[:begin] if messages[i].reasoning_content is not None)
        yield from _ended(replace(context, stripped=frozenset(earlier)), messages, begin, end)


_MODES: dict[Mode, Callable[[Context, Sequence[Message]], Iterator[Context]]] = {
    "trajectory": _trajectory,
    "per_turn": _per_turn,
    "per_user_turn": _per_user_turn,
}
MODES = tuple(_MODES)


def _ended(context: Context, messages: Sequence[Message], begin: int, end: int) -> Iterator[Context]:
    """The context up to the last target between two places that is complete; nothing when none is."""
    for last in range(end - 1, begin - 1, -1):
        if context.messages[last] in context.targets and not unanswered(messages, context.messages[last]):
            targets = context.targets.intersection(context.messages[begin : last + 1])
            yield replace(context, messages=context.messages[: last + 1], targets=targets)
            return


def unanswered(messages: Sequence[Message], index: int) -> list[str]:
    """Ids of the calls of a message that no result directly behind it answers."""
    calls = [call.id for call in messages[index].tool_calls if call.type == "function"]
    for message in takewhile(lambda m: m.role == "tool", islice(messages, index + 1, None)) if calls else ():
        if message.tool_call_id in calls:
            calls.remove(message.tool_call_id)
    return calls
