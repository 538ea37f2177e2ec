"""A rollout within a number of tokens: its opening, its turning points, its end, and what was left out.

What a model needs to judge a rollout is seldom its first and last messages alone. In this order, until the budget is
used up: the opening request; the last answer; the last run of tests with its result; every later turn of the human,
for that is where they correct; calls that failed, with their errors; then the rest, from both ends inwards.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

from rollmill.columns._meter import TemplateError
from rollmill.columns._tokens import Measure, measure
from rollmill.columns._turns import Limits, Turn, calls, turns

SMALLEST = 50
_NOTE = 40
"""The tokens that a note of what was left out takes at most."""
_SHARES = {"opening": 4, "end": 4, "tests": 6, "human": 8, "error": 12, "rest": 24}
"""What part of the budget one message of each kind may take."""
_FLOOR = 30
"""The tokens below which a part of a message says nothing."""
_FLOOR_CHARACTERS = 120


def window(messages: Sequence[Any], max_tokens: int) -> str:
    """The rollout as turns to read, in at most so many tokens, as they are counted here (``_tokens``)."""
    if isinstance(max_tokens, bool) or not isinstance(max_tokens, int) or max_tokens < SMALLEST:
        raise TemplateError(f"`window` takes a number of tokens of at least {SMALLEST}, not {max_tokens!r}")
    found, room = turns(messages), _Room(measure(), max_tokens)
    begun = room.begun(turn.shown(Limits()) for turn in found)
    if begun is not None:
        return room.cut("\n\n".join(begun))
    return room.cut("\n\n".join(_with_notes(found, _chosen(found, room), room)))


class _Room:
    """The budget of one window in the measure's units. ``characters`` is what a unit has of them in this
    rollout, rounded: a few that take more bytes than others change nothing."""

    def __init__(self, measure: Measure, max_tokens: int) -> None:
        self.measure, self.budget = measure, max_tokens * measure.per_token
        self.note, self.floor = _NOTE * measure.per_token, _FLOOR * measure.per_token
        self.between = measure.size("\n\n")
        self.characters = 1.0

    def begun(self, texts: Iterable[str]) -> list[str] | None:
        """All the texts when they fit; else None, and ``characters`` is known from those that were looked at."""
        fitting: list[str] = []
        characters = used = 0
        for text in texts:
            fitting.append(text)
            characters += len(text)
            used += self.measure.size(text)
            if used + self.between * (len(fitting) - 1) > self.budget:
                self.characters = max(round(characters / max(used, 1), 1), 0.1)
                return None
        return fitting

    def limits(self, kind: str) -> Limits:
        """A message's share of the budget in characters. They are reckoned, and made up for by what does not fit being
        left out."""
        share = max(int(self.budget // _SHARES[kind] * self.characters), _FLOOR_CHARACTERS)
        return Limits(text=share, result=share, arguments=max(share // 2, _FLOOR_CHARACTERS), reasoning=0)

    def cost(self, text: str, alone: bool, left: int) -> int:
        """What a turn takes of what is left, with the note that it needs when it stands alone. What is far too long is
        reckoned and not counted, for counting takes time."""
        if len(text) > 4 * left * self.characters:
            return left + 1
        return self.measure.size(text) + self.between + self.note * alone

    def cut(self, text: str) -> str:
        """The text, within the budget for certain."""
        return text if self.measure.size(text) <= self.budget else self.measure.cut(text, self.budget)


def _chosen(found: Sequence[Turn], room: _Room) -> dict[int, str]:
    """The turns that fit, the weightiest first, by their places."""
    chosen: dict[int, str] = {}
    left = room.budget - room.note
    for place, kind in _by_weight(found):
        if left < room.floor:
            break
        if place in chosen:
            continue
        text = found[place].shown(room.limits(kind))
        cost = room.cost(text, not {place - 1, place + 1} & chosen.keys(), left)
        if cost <= left:
            chosen[place] = text
            left -= cost
    return chosen


def _by_weight(found: Sequence[Turn]) -> Iterator[tuple[int, str]]:
    """Every turn's place with its kind, the weightiest first. A place may come again as something lighter."""
    yield from ((place, "opening") for place in _first(found, lambda turn: turn.human))
    yield from ((place, "end") for place in _last(found, lambda turn: turn.role == "assistant"))
    yield from ((place, "tests") for place in _pairs(found, _last(found, lambda turn: turn.tests)))
    yield from ((place, "human") for place, turn in enumerate(found) if turn.human)
    errors = [place for place, turn in enumerate(found) if turn.error]
    yield from ((place, "error") for place in _pairs(found, [*errors[-1:], *errors]))
    yield from ((place, "rest") for place in _inwards(len(found)))


def _first(found: Sequence[Turn], wanted: Any) -> list[int]:
    return [place for place, turn in enumerate(found) if wanted(turn)][:1]


def _last(found: Sequence[Turn], wanted: Any) -> list[int]:
    return [place for place, turn in enumerate(found) if wanted(turn)][-1:]


def _pairs(found: Sequence[Turn], places: Iterable[int]) -> Iterator[int]:
    """Each place, and before it that of the call it answers."""
    for place in places:
        answered = found[place].message.get("tool_call_id")
        for before in range(place - 1, max(place - 20, -1), -1):
            if answered and any(call.id == answered for call in calls(found[before].message)):
                yield before
                break
        yield place


def _inwards(count: int) -> Iterator[int]:
    """The last place, the first, the last but one, the second, …"""
    for step in range((count + 1) // 2):
        yield count - 1 - step
        yield step


def _with_notes(found: Sequence[Turn], chosen: dict[int, str], room: _Room) -> Iterator[str]:
    """The chosen turns in order; between them what was left out."""
    gap: list[Turn] = []
    for place, turn in enumerate(found):
        if place not in chosen:
            gap.append(turn)
            continue
        yield from _note(gap, room)
        gap = []
        yield chosen[place]
    yield from _note(gap, room)


def _note(gap: Sequence[Turn], room: _Room) -> Iterator[str]:
    if not gap:
        return
    tools = Counter(call.name[:20] for turn in gap for call in calls(turn.message))
    named = ", ".join(f"{name} {count}" for name, count in tools.most_common(3))
    made = f" with {tools.total()} calls: {named}" if tools else ""
    note = f"(… {len(gap)} message{'s' * (len(gap) > 1)} left out{made} …)"
    yield room.measure.cut(note, room.note - room.measure.per_token)
