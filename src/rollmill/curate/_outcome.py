"""How a rollout ended and whether it succeeded: labels first, then the human's last word and the last tests."""

from __future__ import annotations

import math
from typing import Any, Literal, NamedTuple

from rollmill.curate._calls import REJECTED, first_text, is_model
from rollmill.curate._columns import Signals
from rollmill.curate._human import People, is_typed, pleased
from rollmill.rollout import Message, Rollout

_CUT = ("max_tokens", "length", "context_window", "token_limit")
_CUT_LABELS = (
    *_CUT,
    *"exit_cost exit_context limits timeout max_iter maxiter max_steps contextlength outputlength".split(),
)
_YES = (True, 1, "1", "true", "yes", "success", "succeeded", "resolved", "pass", "passed")
_NO = (False, 0, "0", "false", "no", "failure", "failed", "unresolved", "fail")
_BESIDE = ("caveat", "command_output", "bash")


class Verdict(NamedTuple):
    """Whether the row's work succeeded, and in a few words what says so."""

    outcome: Literal["success", "failure", "unknown"]
    reason: str


def reward(labels: dict[str, Any]) -> float | None:
    """The label ``reward``, else ``score``, when it is a number."""
    for name in ("reward", "score"):
        value = labels.get(name)
        if isinstance(value, int | float) and math.isfinite(value):
            return float(value)
    return None


def resolved(labels: dict[str, Any]) -> bool | None:
    """The first of the labels ``resolved``, ``success`` and ``result`` that says yes or no."""
    for name in ("resolved", "success", "result"):
        value = labels.get(name)
        value = value.strip().lower() if isinstance(value, str) else value
        if isinstance(value, bool | int | float | str):
            if value in _YES:
                return True
            if value in _NO:
                return False
    return None


def verdict(rollout: Rollout, signals: Signals) -> Verdict:
    """Whether the rollout succeeded: by its labels, else by a correction that no model answered, else by its last
    tests, else by praise."""
    if signals.resolved is not None:
        return Verdict("success" if signals.resolved else "failure", f"resolved {str(signals.resolved).lower()}")
    if signals.reward is not None:
        return _by_reward(signals.reward, "reward" if "reward" in rollout.source_meta.labels else "score")
    if signals.last_word == "displeased":
        return Verdict("failure", "human displeased")
    if signals.last_test in ("passed", "failed") and not signals.edits_after_test:
        return Verdict("success" if signals.last_test == "passed" else "failure", f"last tests {signals.last_test}")
    if signals.last_word == "pleased":
        return Verdict("success", "human pleased")
    return Verdict("unknown", _why_unknown(rollout, signals))


def _by_reward(value: float, name: str) -> Verdict:
    """1 is success and anything below it is not. Above 1 the scale is not known, nor is it for a score."""
    reason = f"{name} {value:g}"
    if value > 1 or (name == "score" and 0 < value < 1):
        return Verdict("unknown", f"{reason} on an unknown scale")
    return Verdict("success" if value == 1 else "failure", reason)


def _why_unknown(rollout: Rollout, signals: Signals) -> str:
    if exception := rollout.source_meta.labels.get("exception"):
        return f"no reward, exception {str(exception)[:80]}"
    if signals.edits_after_test:
        return f"no label, {signals.edits_after_test} edits after the last tests"
    return "no label, tests or word"


def last_word(messages: list[Message], found: People) -> str | None:
    """``pleased`` when the last human turn only praises, ``displeased`` when it corrects and no model answered it."""
    if not found.turns:
        return None
    last = found.turns[-1]
    if last.last_model >= 0 and pleased(last.text):
        return "pleased"
    if last.corrects and not any(is_model(message) for message in messages[last.index :]):
        return "displeased"
    return None


def ended(rollout: Rollout, unanswered: bool) -> str:
    """How the thread ended, by its labels, its last message and the last model message's stop reason."""
    if (by_label := _ended_by_label(rollout.source_meta.labels)) is not None:
        return by_label
    last = _last(rollout.messages)
    if last is None or not any(map(is_model, rollout.messages)):
        return "unknown"
    if last.extra.kind == "interrupt" or (last.role == "tool" and first_text(last).startswith(REJECTED)):
        return "interrupted"
    if not is_model(last) or unanswered or rollout.source_meta.fidelity.torn_tail:
        return "aborted"
    return "out_of_budget" if _names(last.extra.other or "", _CUT) else "complete"


def _ended_by_label(labels: dict[str, Any]) -> str | None:
    for name in ("exit_status", "exception"):
        if isinstance(value := labels.get(name), str) and value:
            if _names(value, _CUT_LABELS):
                return "out_of_budget"
            if name == "exception" or "error" in value.lower():
                return "aborted"
            if "submit" in value.lower() or value.lower() in ("finished", "completed", "success"):
                return "complete"
    return None


def _names(text: str, words: tuple[str, ...]) -> bool:
    text = text.lower()
    return any(word in text for word in words)


def _last(messages: list[Message]) -> Message | None:
    """The last message of the conversation: a local command such as ``/exit`` and its output stand beside it."""
    for index in range(len(messages) - 1, -1, -1):
        message = messages[index]
        kind = message.extra.kind
        if kind in _BESIDE or (kind == "command" and not is_typed(messages, index)):
            continue
        return message
    return None
