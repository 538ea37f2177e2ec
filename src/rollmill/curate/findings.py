"""Why a model message is bad: failed calls, edits that were undone, loops, what a human stopped or corrected.

``docs/signals.md`` defines each. ``mask-errors`` takes the messages that have one out of the loss.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterator
from itertools import groupby

from rollmill.curate._calls import Call
from rollmill.curate._human import People, corrections
from rollmill.curate._study import Study, study
from rollmill.curate._tools import Edit, kind_of
from rollmill.rollout import Rollout

FINDINGS = {
    "failed_call": "the result of one of its calls is an error",
    "reverted_edit": "a file it edited was later put back: by `git checkout`, `git restore`, `git reset --hard`, an "
    "`undo_edit`, or the inverse edit",
    "loop": "all its calls were made, with the same results, by one of the three calling messages before it, and no "
    "edit or human turn lies between",
    "corrected": "a human refused one of its calls, or corrected it: it is the last model message before the "
    "correction, or, where that one calls nothing, the last one before that edited a file",
    "interrupted": "a human stopped it: it is the last model message before an interruption",
}
"""Every finding with its definition, in the order in which a message lists them."""

_LOOKS_BACK = 3


def findings(rollout: Rollout, studied: Study | None = None) -> dict[int, list[str]]:
    """The bad model messages of the rollout by their index, each with why, in the order of ``FINDINGS``."""
    seen = studied or study(rollout)
    found = {
        "failed_call": {call.message for call in seen.calls if call.failed},
        "reverted_edit": set(_reverted(seen)),
        "loop": set(_loops(seen)),
        "corrected": set(_corrected(seen)),
        "interrupted": set(_interrupted(seen.people, rollout)),
    }
    by_message: dict[int, list[str]] = {}
    for name in FINDINGS:
        for index in found[name]:
            by_message.setdefault(index, []).append(name)
    return dict(sorted(by_message.items()))


def _reverted(seen: Study) -> Iterator[int]:
    """The messages whose edits were undone. A commit makes the edits before it permanent for git."""
    standing: dict[str, list[Edit]] = {}
    for event in _events(seen):
        if isinstance(event, Edit):
            edits = standing.setdefault(event.path, [])
            if edits and (event.undo or event.undoes(edits[-1])):
                yield edits.pop().message
            elif not event.undo:
                edits.append(event)
        elif event is None:
            standing.clear()
        else:
            for path in [path for path in standing if _restores(event, path)]:
                yield from (edit.message for edit in standing.pop(path))


def _events(seen: Study) -> list[Edit | list[str] | None]:
    """Edits, the paths that reverts restore, and None for each commit, as they came."""
    ran = [each for each in seen.ran if each.run.kind in ("revert", "commit") and each.passed is not False]
    events: list[tuple[int, Edit | list[str] | None]] = [(revert.index, revert.paths) for revert in seen.people.reverts]
    events += [(each.message, each.run.paths if each.run.kind == "revert" else None) for each in ran]
    events += [(edit.message, edit) for edit in seen.edits]
    return [event for _, event in sorted(events, key=lambda each: each[0])]


def _restores(paths: list[str], path: str) -> bool:
    """Whether a revert of ``paths`` restores the file; a folder stands for what lies in it."""
    for each in paths:
        each = each.removeprefix("./").rstrip("/")
        if each in ("", ".", ":", ":/") or path == each or path.endswith(f"/{each}") or f"/{each}/" in f"/{path}":
            return True
    return False


def _loops(seen: Study) -> Iterator[int]:
    borders = sorted({edit.message for edit in seen.edits} | {turn.index for turn in seen.people.turns})
    recent: list[list[Call]] = []
    at = 0
    for message, calls in groupby(seen.calls, key=lambda call: call.message):
        if at < len(borders) and borders[at] <= message:
            at, recent = bisect_right(borders, message), []
        made = list(calls)
        if any(_same(made, earlier) for earlier in recent):
            yield message
        if _may_loop(made):
            recent = [*recent, made][-_LOOKS_BACK:]


def _same(calls: list[Call], earlier: list[Call]) -> bool:
    if [(call.name, call.arguments) for call in calls] != [(call.name, call.arguments) for call in earlier]:
        return False
    return _may_loop(calls) and [call.said for call in calls] == [call.said for call in earlier]


def _may_loop(calls: list[Call]) -> bool:
    """Asking again how something is that still runs is no loop, and an unanswered call is no repeat of anything."""
    return all(call.result is not None and kind_of(call.name) != "poll" for call in calls)


def _corrected(seen: Study) -> Iterator[int]:
    yield from (call.message for call in seen.calls if call.rejected)
    calling = {call.message for call in seen.calls}
    turns = [0, *(turn.index for turn in seen.people.turns)]
    for index in corrections(seen.people, seen.calls):
        yield index
        if index not in calling:
            since = max(turn for turn in turns if turn <= index)
            yield from [edit.message for edit in seen.edits if since <= edit.message < index][-1:]


def _interrupted(found: People, rollout: Rollout) -> Iterator[int]:
    for index in found.interruptions:
        before = next((turn.index for turn in reversed(found.turns) if turn.index < index), 0)
        models = [at for at in range(before, index) if rollout.messages[at].role == "assistant"]
        yield from models[-1:]
