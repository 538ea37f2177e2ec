"""ATIF documents, one a line: Harbor's Agent Trajectory Interchange Format, v1.7.

    {"schema_version":"ATIF-v1.7","trajectory_id":"…","agent":{"name":"codex","version":"0.55.0"},"steps":[{"step_id":1,
     "source":"user","message":"List."},{"step_id":2,"source":"agent","message":"","tool_calls":[…],"observation":{…}}]}

A result belongs to the step of its call. ATIF has no weights; what is not to be learnt is marked as copied context,
which is how the format says it.
"""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Any

from rollmill.curate.sample import Sample, Turn
from rollmill.export import Projection, Refused, Settings
from rollmill.export._messages import (
    arguments_of,
    block_text,
    metadata,
    require_whole_weights,
    tools_of,
)
from rollmill.export._tokens import token_counter
from rollmill.rollout import Message, Usage, add_usage

if TYPE_CHECKING:
    import pyarrow as pa

DESCRIPTION = "ATIF v1.7 documents, one a line (Harbor)"
FILE_TYPES = ("jsonl", "parquet")

_SOURCES = {"system": "system", "user": "user", "assistant": "agent"}
_NOTES = (
    "One linear context of a thread. Agent steps marked is_copied_context are not to be learnt; "
    "extra.weight_reason says why."
)


def projection(settings: Settings) -> Projection:
    """Every mask of whole weights can be carried."""
    return Documents(settings)


class Documents:
    """One document a sample."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self.counts: Counter[str] = Counter()
        self.count_tokens = token_counter(settings)

    def survey(self, sample: Sample) -> None:
        """Rows do not depend on each other."""

    def row(self, sample: Sample) -> dict[str, Any]:
        """The document. Raises ``Refused``."""
        require_whole_weights(sample)
        steps = self._steps(sample)
        source = sample.source
        agent = {
            "name": source.source_kind,
            "version": source.agent_version or "unknown",
            "model_name": source.models[0] if source.models else None,
            "tool_definitions": tools_of(sample),
        }
        return _present(
            {
                "schema_version": "ATIF-v1.7",
                "session_id": source.root_session_id,
                "trajectory_id": sample.sample_id,
                "agent": _present(agent),
                "steps": steps,
                "notes": _NOTES,
                "final_metrics": _final_metrics(sample, len(steps)),
                "extra": {"rollmill": metadata(sample)},
            }
        )

    def _steps(self, sample: Sample) -> list[dict[str, Any]]:
        steps: list[dict[str, Any]] = []
        open_calls: set[str] = set()
        for turn in sample.turns:
            message = turn.message
            if message.role == "tool":
                if message.tool_call_id not in open_calls:
                    raise Refused("orphan_result", "a tool result answers no call of the step before it")
                open_calls.discard(message.tool_call_id)
                self._observe(steps[-1], message, message.tool_call_id)
            elif message.extra.kind == "observation" and steps and message.content:
                self._observe(steps[-1], message, None)
            else:
                open_calls = _ids(message)
                steps.append(self._step(turn, len(steps) + 1))
        return steps

    def _observe(self, step: dict[str, Any], message: Message, call_id: str | None) -> None:
        result = {"source_call_id": call_id, "content": self._content(message)}
        step.setdefault("observation", {"results": []})["results"].append(_present(result))

    def _step(self, turn: Turn, number: int) -> dict[str, Any]:
        message, extra = turn.message, turn.message.extra
        step: dict[str, Any] = {
            "step_id": number,
            "timestamp": extra.timestamp,
            "source": _SOURCES[message.role],
            "message": self._content(message),
        }
        if turn.is_model and extra.origin == "harness":
            step["llm_call_count"] = 0
        elif turn.is_model:
            step |= self._model_keys(turn)
        if message.tool_calls:
            step["tool_calls"] = [
                {"tool_call_id": call.id, "function_name": call.function.name, "arguments": arguments_of(call)}
                for call in message.tool_calls
            ]
        if extra.kind == "copied" or (turn.is_model and turn.weight == 0 and extra.origin != "harness"):
            step["is_copied_context"] = True
        return _present(step)

    def _model_keys(self, turn: Turn) -> dict[str, Any]:
        message = turn.message
        keys: dict[str, Any] = {"model_name": message.extra.model, "extra": {"weight": turn.weight}}
        keys["extra"]["weight_reason"] = turn.reason
        if message.extra.thinking in (None, "full"):
            keys["reasoning_content"] = message.reasoning_content
        elif message.reasoning_content:
            self.counts["reasoning_moved_to_extra"] += 1
            keys["extra"] |= {"thinking": message.extra.thinking, "reasoning": message.reasoning_content}
        if message.extra.usage is not None:
            keys["metrics"] = _metrics(message.extra.usage)
        return keys

    def _content(self, message: Message) -> str | list[dict[str, str]]:
        """A text, or its parts when there are several: each block stays what it is."""
        texts = [block_text(block, self.settings) for block in message.content]
        if len(texts) > 1:
            return [{"type": "text", "text": text} for text in texts]
        return texts[0] if texts else ""

    def schema(self) -> pa.Schema:
        """The document's keys; what is nested is JSON."""
        import pyarrow as pa

        from rollmill.export._columns import JSON, JSON_LIST

        text = pa.string()
        names = ("schema_version", "session_id", "trajectory_id")
        return pa.schema(
            [
                *((name, text) for name in names),
                ("agent", JSON),
                ("steps", JSON_LIST),
                ("notes", text),
                ("final_metrics", JSON),
                ("extra", JSON),
            ]
        )

    def notes(self) -> str:
        """What the documents hold."""
        return _CARD


def _ids(message: Message) -> set[str]:
    ids = {call.id for call in message.tool_calls}
    if len(ids) < len(message.tool_calls):
        raise Refused("call_id", "two calls of one message have the same id")
    return ids


def _metrics(usage: Usage) -> dict[str, Any]:
    extra = {"cache_write_tokens": usage.cache_write_tokens, "reasoning_tokens": usage.reasoning_tokens}
    metrics = {
        "prompt_tokens": usage.input_tokens,
        "completion_tokens": usage.output_tokens,
        "cached_tokens": usage.cache_read_tokens,
        "extra": _present(extra) or None,
    }
    return _present(metrics)


def _final_metrics(sample: Sample, steps: int) -> dict[str, Any]:
    """The sums over the steps to be learnt: copies were paid for elsewhere."""
    usages = [turn.message.extra.usage for turn in sample.targets]
    total = add_usage([usage for usage in usages if usage is not None])
    return _present(
        {
            "total_prompt_tokens": total.input_tokens,
            "total_completion_tokens": total.output_tokens,
            "total_cached_tokens": total.cache_read_tokens,
            "total_steps": steps,
        }
    )


def _present(keys: dict[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in keys.items() if value is not None}


_CARD = """\
### Reading the documents

Each line is one ATIF v1.7 document. Harbor's `Trajectory` model validates it. Agent steps with `is_copied_context` are
context and not to be learnt; `extra.weight_reason` says why. `extra.rollmill` has the sample's ids, labels, signals and
source.
"""
