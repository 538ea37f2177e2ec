"""Which turns count: presets that lower the weights of a sample's turns, each with its reason.

Presets are combined by a comma, ``mask-errors,last-turn``: the smallest weight wins. A preset only ever lowers weights,
so what is context stays context.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from difflib import get_close_matches

from msgspec import Struct, field

from rollmill.curate._outcome import Verdict, verdict
from rollmill.curate.sample import Turn
from rollmill.errors import ConfigError

__all__ = ["MASKS", "Facts", "Verdict", "mask", "mask_names", "verdict"]


class Facts(Struct):
    """What masks go by: the row's findings by message index, and its verdict."""

    findings: dict[int, list[str]] = field(default_factory=dict)
    verdict: Verdict = Verdict("unknown", "not looked at")


Judge = Callable[[list[Turn], Facts], dict[int, str]]
"""Why turns are not to count, by their places in the list."""


def _all_assistant(turns: list[Turn], facts: Facts) -> dict[int, str]:
    return {}


def _last_turn(turns: list[Turn], facts: Facts) -> dict[int, str]:
    last = max((place for place, turn in enumerate(turns) if turn.message.role == "user"), default=-1)
    return dict.fromkeys(range(last), "before the last user message")


def _mask_errors(turns: list[Turn], facts: Facts) -> dict[int, str]:
    bad = {place: facts.findings.get(turn.index) for place, turn in enumerate(turns)}
    return {place: ", ".join(names) for place, names in bad.items() if names}


def _success_only(turns: list[Turn], facts: Facts) -> dict[int, str]:
    if facts.verdict.outcome == "success":
        return {}
    return dict.fromkeys(range(len(turns)), f"not successful: {facts.verdict.reason}")


MASKS: dict[str, Judge] = {
    "all-assistant": _all_assistant,
    "last-turn": _last_turn,
    "mask-errors": _mask_errors,
    "success-only": _success_only,
}
"""The presets by name: every model message; those behind the last user message; those without a finding; those of a
row that succeeded."""


def mask_names(text: str) -> list[str]:
    """The names in a comma list. Raises ``ConfigError`` for one that is no preset."""
    names = [name for part in text.split(",") if (name := part.strip())]
    _check(names)
    return names


def mask(turns: list[Turn], names: Sequence[str], facts: Facts) -> None:
    """Lower the weights of the turns that count to what the presets say, with the reason, in place."""
    _check(names)
    for name in names:
        for place, reason in MASKS[name](turns, facts).items():
            if turns[place].weight > 0:
                turns[place].weight, turns[place].reason = 0.0, reason


def _check(names: Sequence[str]) -> None:
    for name in names:
        if name not in MASKS:
            near = get_close_matches(name, MASKS, 1)
            hint = f" Did you mean {near[0]}?" if near else ""
            raise ConfigError(f"no mask is called {name!r}; there are {', '.join(MASKS)}.{hint}")
