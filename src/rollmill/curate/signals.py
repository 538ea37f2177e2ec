"""What can be said of a rollout without a model: ``signals``, one flat row of columns for each rollout.

Every column has its one line of definition in ``SIGNALS``, and stands beside the row's own sixteen in ``--where``:

    corrections = 0 and last_test = 'passed' and errors_by_tool ->> 'Bash' is null
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Sequence
from datetime import datetime
from typing import TYPE_CHECKING

from rollmill.curate._calls import Call, is_model
from rollmill.curate._columns import SIGNALS, Signal, Signals
from rollmill.curate._human import corrections
from rollmill.curate._outcome import ended, last_word, resolved, reward, verdict
from rollmill.curate._study import Ran, Study, study
from rollmill.engine.where import check_condition, matching
from rollmill.rollout import Fidelity, Message, Rollout

if TYPE_CHECKING:
    import pyarrow as pa

__all__ = ["SIGNALS", "Signal", "Signals", "check_where", "rows_where", "signal_batch", "signals"]

_DOCUMENTS = (".md", ".mdx", ".rst", ".txt", ".adoc")
_REFUSED = ("refusal", "content_filter", "safety")
_SHOWN = 200


def signals(rollout: Rollout, task_id: str | None = None, studied: Study | None = None) -> Signals:
    """The rollout's signals. ``task_id`` is taken as given; ``studied`` is what ``study(rollout)`` gave, if it did."""
    seen = studied or study(rollout)
    found = Signals(task_id=task_id)
    _who(found, rollout)
    _people(found, rollout, seen)
    _calls(found, seen)
    _work(found, seen)
    _tokens(found, rollout)
    _fidelity(found, rollout.source_meta.fidelity)
    _end(found, rollout, seen)
    return found


def _who(found: Signals, rollout: Rollout) -> None:
    models: Counter[str] = Counter()
    for message in rollout.messages:
        if is_model(message):
            found.model_turns += 1
            models[message.extra.model or ""] += 1
            found.refusals += _refused(message)
    models.pop("", None)
    found.model = models.most_common(1)[0][0] if models else None
    found.agent_version = rollout.source_meta.agent_version
    found.subagents = len(rollout.source_meta.children)
    found.duration_s = _seconds(rollout.started_at, rollout.ended_at)


def _refused(message: Message) -> bool:
    """Whether the provider's stop reason says so. (A chat row's ``refusal`` is null in most answers.)"""
    other = message.extra.other
    if not other or not any(word in other.lower() for word in _REFUSED):
        return False
    said = json.loads(other)
    reasons = (said.get("stop_reason"), said.get("finish_reason"))
    return bool(said.get("refusal")) or any(str(reason).lower() in _REFUSED for reason in reasons)


def _seconds(begin: str | None, end: str | None) -> float | None:
    try:
        return (datetime.fromisoformat(end or "") - datetime.fromisoformat(begin or "")).total_seconds()
    except (ValueError, TypeError, OverflowError):
        return None


def _people(found: Signals, rollout: Rollout, seen: Study) -> None:
    found.human_turns = len(seen.people.turns)
    found.interruptions = len(seen.people.interruptions)
    found.corrections = len(corrections(seen.people, seen.calls))
    found.rejections = sum(call.rejected for call in seen.calls)
    found.last_word = last_word(rollout.messages, seen.people)


def _calls(found: Signals, seen: Study) -> None:
    failed = [call.name for call in seen.calls if call.failed]
    found.tool_errors = len(failed)
    found.calls_by_tool = _counts(call.name for call in seen.calls)
    found.errors_by_tool = _counts(failed)
    found.repeats = _repeats(seen)


def _counts(names: object) -> str:
    counted = Counter(names)  # type: ignore[call-overload]
    return json.dumps(dict(sorted(counted.items(), key=lambda item: (-item[1], item[0]))), ensure_ascii=False)


def _repeats(seen: Study) -> int:
    borders = iter([*(turn.index for turn in seen.people.turns), float("inf")])
    border, count = next(borders), 0
    before: Call | None = None
    for call in seen.calls:
        while call.message > border:
            border, before = next(borders), None
        if before is not None and before.name == call.name and before.arguments == call.arguments:
            count += 1
        before = call
    return count


def _work(found: Signals, seen: Study) -> None:
    found.edits = len(seen.edits)
    found.files_touched = len({edit.path for edit in seen.edits})
    found.commands = seen.commands
    tests = [ran for ran in seen.ran if ran.run.kind == "test"]
    builds = [ran for ran in seen.ran if ran.run.kind == "build"]
    found.commits = sum(ran.run.kind == "commit" and ran.passed is not False for ran in seen.ran)
    found.test_runs, found.last_test, found.last_test_command = _last_of(tests)
    found.build_runs, found.last_build, found.last_build_command = _last_of(builds)
    if tests:
        last = tests[-1].message
        later = [edit for edit in seen.edits if edit.message > last and not edit.path.lower().endswith(_DOCUMENTS)]
        found.edits_after_test = len(later)


def _last_of(ran: list[Ran]) -> tuple[int, str | None, str | None]:
    if not ran:
        return 0, None, None
    last = ran[-1]
    result = {True: "passed", False: "failed", None: "unknown"}[last.passed]
    return len(ran), result, " ".join(last.run.text.split())[:_SHOWN]


def _tokens(found: Signals, rollout: Rollout) -> None:
    usage = rollout.source_meta.usage
    found.input_tokens, found.cached_tokens = usage.input_tokens, usage.cache_read_tokens
    found.output_tokens, found.reasoning_tokens = usage.output_tokens, usage.reasoning_tokens
    usages = [message.extra.usage for message in rollout.messages if message.extra.usage and is_model(message)]
    contexts = [(each.input_tokens or 0) + (each.output_tokens or 0) for each in usages]
    found.largest_context = max(contexts, default=0) or None


def _fidelity(found: Signals, fidelity: Fidelity) -> None:
    kinds = [kind for kind, count in fidelity.thinking.items() if count and kind != "none"]
    found.reasoning = "mixed" if len(kinds) > 1 else next(iter(kinds), "none")
    found.full_reasoning = kinds == ["full"]
    found.has_system_prompt, found.has_tool_schemas = fidelity.system_prompt, fidelity.tool_schemas
    found.api_errors, found.compactions = fidelity.api_errors, fidelity.compactions
    records = fidelity.records
    lost = records.unreadable or records.unknown or fidelity.gaps or fidelity.torn_tail or fidelity.replaced_characters
    found.whole_file = not (lost or fidelity.companions_missing)
    found.all_answered = not (fidelity.unanswered_calls or fidelity.orphan_results)
    found.full_outputs = not (fidelity.truncated_outputs or fidelity.undecodable_media)


def _end(found: Signals, rollout: Rollout, seen: Study) -> None:
    last = max((index for index, message in enumerate(rollout.messages) if is_model(message)), default=-1)
    unanswered = any(call.message == last and call.result is None for call in seen.calls)
    found.ended = ended(rollout, unanswered)
    found.reward, found.resolved = reward(rollout.source_meta.labels), resolved(rollout.source_meta.labels)
    found.outcome, found.outcome_reason = verdict(rollout, found)


def signal_batch(rollouts: Sequence[Rollout], found: Sequence[Signals]) -> pa.RecordBatch:
    """The rows of ``record_batch`` with their signals as further columns."""
    import pyarrow as pa

    from rollmill.rows import record_batch

    types = {"str": pa.large_string(), "json": pa.large_string(), "int": pa.int64()}
    types |= {"float": pa.float64(), "bool": pa.bool_()}
    batch = record_batch(rollouts)
    for signal in SIGNALS:
        values = pa.array([getattr(each, signal.name) for each in found], types[signal.type])
        batch = pa.RecordBatch.from_arrays(
            [*batch.columns, values], schema=batch.schema.append(pa.field(signal.name, values.type))
        )
    return batch


def rows_where(rollouts: Sequence[Rollout], found: Sequence[Signals], where: str) -> list[bool]:
    """For each rollout whether the SQL condition over its columns and its signals holds. Raises ``ConfigError`` for a
    condition that does not work on one of them."""
    import pyarrow as pa

    batch = signal_batch(rollouts, found)
    place = pa.array(range(batch.num_rows), pa.int64())
    batch = pa.RecordBatch.from_arrays(
        [*batch.columns, place], schema=batch.schema.append(pa.field(_PLACE, pa.int64()))
    )
    kept = set(matching(batch, where).column(_PLACE).to_pylist())
    return [number in kept for number in range(len(rollouts))]


_PLACE = "__place"


def check_where(where: str | None) -> None:
    """Raise ``ConfigError`` for a condition that cannot be asked of rows and signals, before anything is read."""
    check_condition(where, signal_batch([], []))
