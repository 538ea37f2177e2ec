"""Agent traces as the Hugging Face Hub and ``datasets`` know them: their eleven columns, no more and no less.

    {"harness":"claude_code","session_id":"…","prompt":"List.","messages":[…],"tools":[…],"metadata":{…},
     "sent_at":"2026-01-31T10:00:00Z","num_user_messages":1,"num_tool_calls":1,"trace":null,"file_path":"…"}

The Hub tags a data set by exactly these features. They are written as Parquet only: where a JSON lines file is declared
to have them, ``datasets`` takes it for raw logs and converts it once more. ``trace`` would be the raw log, which is
neither redacted nor cut, and stays null.
"""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Any

from rollmill.curate.sample import Sample, Turn
from rollmill.export import Projection, Settings
from rollmill.export._messages import arguments_of, call_names, metadata, text_of, tools_of
from rollmill.export._tokens import token_counter
from rollmill.rollout import Message

if TYPE_CHECKING:
    import pyarrow as pa

DESCRIPTION = "agent traces with the features the Hugging Face Hub knows"
FILE_TYPES = ("parquet",)


def projection(settings: Settings) -> Projection:
    """Every mask can be carried: weights are part of the messages' JSON."""
    return Traces(settings)


class Traces:
    """One row a sample, its weights in its messages."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self.counts: Counter[str] = Counter()
        self.count_tokens = token_counter(settings)

    def survey(self, sample: Sample) -> None:
        """Rows do not depend on each other."""

    def row(self, sample: Sample) -> dict[str, Any]:
        """The eleven columns. Raises ``Refused``."""
        names = call_names(sample)
        messages = [turn.message for turn in sample.turns]
        asked = [message for message in messages if message.role == "user" and message.extra.origin == "human"]
        first = next(iter(asked), None)
        return {
            "harness": sample.source.source_kind,
            "session_id": sample.source.trace_id,
            "prompt": text_of(first, self.settings) if first else None,
            "messages": [self._message(turn, names) for turn in sample.turns],
            "tools": tools_of(sample) or [],
            "metadata": metadata(sample),
            "sent_at": first.extra.timestamp if first else sample.source.started_at,
            "num_user_messages": len(asked),
            "num_tool_calls": sum(len(message.tool_calls) for message in messages),
            "trace": None,
            "file_path": sample.source.source_path,
        }

    def _message(self, turn: Turn, names: dict[str, str]) -> dict[str, Any]:
        source = turn.message
        row: dict[str, Any] = {"role": source.role, "content": text_of(source, self.settings)}
        if source.reasoning_content:
            row["reasoning_content"] = source.reasoning_content
        if source.tool_calls:
            row["tool_calls"] = _calls(source)
        if source.role == "tool":
            row["tool_call_id"] = source.tool_call_id
            row["name"] = names.get(source.tool_call_id or "")
        if turn.is_model:
            row["weight"] = turn.weight
            if source.reasoning_content and not turn.reasoning:
                row["reasoning_weight"] = 0.0
        return row

    def schema(self) -> pa.Schema:
        """The features of agent traces, as ``datasets`` lays them out."""
        import pyarrow as pa

        from rollmill.export._columns import JSON, JSON_LIST

        text, number = pa.string(), pa.int64()
        return pa.schema(
            [
                ("harness", text),
                ("session_id", text),
                ("prompt", text),
                ("messages", JSON_LIST),
                ("tools", JSON_LIST),
                ("metadata", JSON),
                ("sent_at", text),
                ("num_user_messages", number),
                ("num_tool_calls", number),
                ("trace", JSON),
                ("file_path", text),
            ]
        )

    def notes(self) -> str:
        """What the columns hold."""
        return _CARD


def _calls(message: Message) -> list[dict[str, Any]]:
    return [
        {"id": call.id, "type": call.type, "function": {"name": call.function.name, "arguments": arguments_of(call)}}
        for call in message.tool_calls
    ]


_CARD = """\
### Agent traces

The rows have the features that the Hugging Face Hub and `datasets` know as agent traces. Model messages carry a
`weight` from 0 to 1 (and `reasoning_weight: 0` where the reasoning is only a summary of it); trainers that do not know
the key learn every assistant message. `trace`, the raw log, is null. Tag the data set with `agent-traces` and
`format:agent-traces`.
"""
