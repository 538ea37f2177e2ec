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
from rollmill.columns._tokens import BYTES_PER_TOKEN, cut, size
from rollmill.columns._turns import Limits, Turn, calls, turns

SMALLEST = 50
_NOTE = 160
"""The bytes that a note of what was left out takes at most."""
_SHARES = {"opening": 4, "end": 4, "tests": 6, "human": 8, "error": 12, "rest": 24}
"""What part of the budget one message of each kind may take."""
_FLOOR = 120


def window(messages: Sequence[Any], max_tokens: int) -> str:
    """The rollout as turns to read, in at most so many (estimated) tokens."""
    if isinstance(max_tokens, bool) or not isinstance(max_tokens, int) or max_tokens < SMALLEST:
        raise TemplateError(f"`window` takes a number of tokens of at least {SMALLEST}, not {max_tokens!r}")
    found, budget = turns(messages), max_tokens * BYTES_PER_TOKEN
    whole = _whole(found, budget)
    return whole if whole is not None else _fitted(found, budget)


def _whole(found: Sequence[Turn], budget: int) -> str | None:
    """All turns when they fit as a transcript has them."""
    texts, used = [], 0
    for turn in found:
        texts.append(text := turn.shown(Limits()))
        used += size(text) + 2
        if used > budget + 2:
            return None
    return "\n\n".join(texts)


def _fitted(found: Sequence[Turn], budget: int) -> str:
    chosen: dict[int, str] = {}
    left = budget - _NOTE
    for place, kind in _by_weight(found):
        if left < _FLOOR:
            break
        if place in chosen:
            continue
        text = found[place].shown(_limits(budget // _SHARES[kind]))
        cost = size(text) + 2 + (0 if place - 1 in chosen or place + 1 in chosen else _NOTE)
        if cost <= left:
            chosen[place] = text
            left -= cost
    return cut("\n\n".join(_with_notes(found, chosen)), budget)


def _limits(size: int) -> Limits:
    """A message's share of the budget in characters; a character is reckoned as one byte, and made up for by what
    does not fit being left out."""
    share = max(size, _FLOOR)
    return Limits(text=share, result=share, arguments=max(share // 2, _FLOOR), reasoning=0)


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


def _with_notes(found: Sequence[Turn], chosen: dict[int, str]) -> Iterator[str]:
    """The chosen turns in order; between them what was left out."""
    gap: list[Turn] = []
    for place, turn in enumerate(found):
        if place not in chosen:
            gap.append(turn)
            continue
        yield from _note(gap)
        gap = []
        yield chosen[place]
    yield from _note(gap)


def _note(gap: Sequence[Turn]) -> Iterator[str]:
    if not gap:
        return
    tools = Counter(call.name[:20] for turn in gap for call in calls(turn.message))
    named = ", ".join(f"{name} {count}" for name, count in tools.most_common(3))
    made = f" with {tools.total()} calls: {named}" if tools else ""
    yield cut(f"(… {len(gap)} message{'s' * (len(gap) > 1)} left out{made} …)", _NOTE - 4)
