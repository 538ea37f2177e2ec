"""Why a model message is bad: failed calls, edits that were undone, loops, what a human stopped or corrected.

``docs/signals.md`` defines each. ``mask-errors`` takes the messages that have one out of the loss.
"""

from __future__ import annotations

from bisect import bisect_right
from collections import Counter
from collections.abc import Iterator
from itertools import groupby

from rollmill.curate._calls import Call
from rollmill.curate._commands import Run, polls
from rollmill.curate._human import People, corrections
from rollmill.curate._study import Study, study
from rollmill.curate._tools import Edit, command, kind_of
from rollmill.rollout import Rollout

FINDINGS = {
    "failed_call": "the results of more than half of its calls are errors; tests and builds that failed are none",
    "reverted_edit": "a file it edited was later put back: by `git checkout`, `git restore`, `git reset --hard`, an "
    "`undo_edit`, or the inverse edit",
    "loop": "all its calls were made, with the same results, by one of the three calling messages before it, no edit "
    "or human turn lies between, and none of them waits or asks how something is",
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
        "failed_call": set(_failed(seen)),
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


def _failed(seen: Study) -> Iterator[int]:
    """The messages whose calls failed for the most part: a weight is of the whole message, the good calls in it too."""
    made = Counter(call.message for call in seen.calls)
    failed = Counter(call.message for call in seen.calls if call.failed and not call.excused)
    yield from (message for message, count in failed.items() if 2 * count > made[message])


def _reverted(seen: Study) -> Iterator[int]:
    """The messages whose edits were undone. A commit makes those before it in its folder permanent for git."""
    standing: dict[str, list[Edit]] = {}
    for event in _events(seen):
        if isinstance(event, Edit):
            edits = standing.setdefault(event.path, [])
            if edits and (event.undo or event.undoes(edits[-1])):
                yield edits.pop().message
            elif not event.undo:
                edits.append(event)
        else:
            for path in [path for path in standing if _covers(event.paths, path)]:
                edits = standing.pop(path)
                if event.kind == "revert":
                    yield from (edit.message for edit in edits)


def _events(seen: Study) -> list[Edit | Run]:
    """Edits, reverts and commits, as they came."""
    ran = [each for each in seen.ran if each.run.kind in ("revert", "commit") and each.passed is not False]
    events: list[tuple[int, Edit | Run]] = [(each.message, each.run) for each in ran]
    events += [(revert.index, revert.run) for revert in seen.people.reverts]
    events += [(edit.message, edit) for edit in seen.edits]
    return [event for _, event in sorted(events, key=lambda each: each[0])]


def _covers(paths: list[str], path: str) -> bool:
    """Whether the file is one of ``paths``; a folder stands for what lies in it, and ``.`` for all."""
    for each in paths:
        each = each.removeprefix("./").removeprefix("~/").rstrip("/")
        if each.startswith("/"):
            if path == each or path.startswith(f"{each}/"):
                return True
        elif each in ("", ".", ":", ":/") or path == each or path.endswith(f"/{each}") or f"/{each}/" in f"/{path}":
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
    if not _may_loop(calls) or [call.said for call in calls] != [call.said for call in earlier]:
        return False
    return not any(_polls(call) for call in calls)


def _may_loop(calls: list[Call]) -> bool:
    """Asking again how something is that still runs is no loop, and an unanswered call is no repeat of anything."""
    return all(call.result is not None and kind_of(call.name) != "poll" for call in calls)


def _polls(call: Call) -> bool:
    given = command(call) if kind_of(call.name) == "shell" else None
    return given is not None and polls(given.text)


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
