"""OpenAI's fine-tuning of chat models: one JSON line a sample, a weight on each model message.

    {"messages":[{"role":"user","content":"List."},{"role":"assistant","weight":1,"tool_calls":[{"id":"call_1",
     "type":"function","function":{"name":"ls","arguments":"{}"}}]},{"role":"tool","tool_call_id":"call_1",
     "content":"a.py"},…],"tools":[…],"parallel_tool_calls":true}

Unknown keys are errors there, so a row has nothing else. The rules are those of the fine-tuning guide and of the API's
message types; what breaks one is refused. Left out and counted: reasoning, for which there is no field, messages that
had nothing else, and tools nobody called whose names the API does not take.
"""

from __future__ import annotations

import re
from collections import Counter
from typing import TYPE_CHECKING, Any

from rollmill.curate.sample import Sample, Turn
from rollmill.export import Projection, Refused, Settings
from rollmill.export._messages import (
    require_answers,
    require_whole_weights,
    text_of,
    tools_of,
)
from rollmill.export._tokens import token_counter
from rollmill.rollout import ToolCall

if TYPE_CHECKING:
    import pyarrow as pa

DESCRIPTION = "OpenAI fine-tuning of chat models: messages with a weight, tools"
FILE_TYPES = ("jsonl", "parquet")

_MOST_TOOLS = 128
_NAME = re.compile(r"[a-zA-Z0-9_-]{1,64}")


def projection(settings: Settings) -> Projection:
    """Every mask of whole weights can be carried."""
    return WeightedRows(settings)


class WeightedRows:
    """Rows whose model messages say themselves whether they count."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self.counts: Counter[str] = Counter()
        self.count_tokens = token_counter(settings)

    def survey(self, sample: Sample) -> None:
        """Rows do not depend on each other."""

    def row(self, sample: Sample) -> dict[str, Any]:
        """``messages``, and ``tools`` with ``parallel_tool_calls`` when there are any. Raises ``Refused``."""
        require_whole_weights(sample)
        turns = _to_the_last_of_the_model([turn for turn in sample.turns if not _is_empty(turn)])
        if not any(turn.weight for turn in turns):
            raise Refused("no_target", "no message with text or calls counts")
        require_answers(turns)
        row: dict[str, Any] = {"messages": [self._message(turn) for turn in turns]}
        tools = tools_of(sample) or []
        if allowed := [tool for tool in tools if _is_name(_function(tool).get("name"))]:
            _check_number(allowed)
            row["tools"] = allowed
            row["parallel_tool_calls"] = any(len(turn.message.tool_calls) > 1 for turn in turns)
        self._count(sample, len(sample.turns) - len(turns), len(tools) - len(allowed))
        return row

    def _count(self, sample: Sample, messages: int, tools: int) -> None:
        self.counts["reasoning_left_out"] += sum(bool(turn.message.reasoning_content) for turn in sample.turns)
        self.counts["empty_messages_left_out"] += messages
        self.counts["tools_left_out"] += tools

    def _message(self, turn: Turn) -> dict[str, Any]:
        source = turn.message
        row: dict[str, Any] = {"role": source.role}
        content = text_of(source, self.settings)
        if content or not source.tool_calls:
            row["content"] = content
        if source.role == "tool":
            row["tool_call_id"] = source.tool_call_id
        if source.role == "assistant":
            row["weight"] = int(turn.weight)
        if source.tool_calls:
            row["tool_calls"] = [_call(call) for call in source.tool_calls]
        return row

    def schema(self) -> pa.Schema:
        """JSON columns, for keeping; OpenAI itself takes JSON lines."""
        import pyarrow as pa

        from rollmill.export._columns import JSON_LIST

        return pa.schema([("messages", JSON_LIST), ("tools", JSON_LIST), ("parallel_tool_calls", pa.bool_())])

    def notes(self) -> str:
        """What to upload, and what was left out."""
        return _CARD


def _to_the_last_of_the_model(turns: list[Turn]) -> list[Turn]:
    """The turns up to the last assistant message, which is where a row ends."""
    last = max((place for place, turn in enumerate(turns) if turn.is_model), default=-1)
    return turns[: last + 1]


def _is_empty(turn: Turn) -> bool:
    """Whether nothing of a model message can be carried: it had only reasoning, or nothing."""
    message = turn.message
    blank = all(block.type == "text" and not block.text for block in message.content)
    return turn.is_model and blank and not message.tool_calls


def _call(call: ToolCall) -> dict[str, Any]:
    name = call.function.name
    if not _is_name(name):
        raise Refused(
            "tool_name",
            f"the tool {name!r} was called, and OpenAI takes names of 1 to 64 letters, digits, _ or - only. "
            "--to trl and --to sharegpt carry any name",
        )
    return {"id": call.id, "type": "function", "function": {"name": name, "arguments": call.function.arguments}}


def _is_name(name: Any) -> bool:
    return isinstance(name, str) and _NAME.fullmatch(name) is not None


def _function(tool: dict[str, Any]) -> dict[str, Any]:
    function = tool.get("function")
    if not isinstance(function, dict) or tool.get("type") != "function":
        raise Refused("tool_schema", "a tool is not {type: function, function: {name, …}}")
    if not isinstance(function.get("parameters", {}), dict):
        raise Refused("tool_schema", "a tool's parameters are no object")
    return function


def _check_number(tools: list[dict[str, Any]]) -> None:
    if len(tools) > _MOST_TOOLS:
        raise Refused("tool_count", f"{len(tools)} tools are more than the {_MOST_TOOLS} that OpenAI takes")


_CARD = """\
### Training with OpenAI's fine-tuning API

Upload a JSON lines file as it is (`purpose="fine-tune"`). Every assistant message carries a `weight`: 1 is learnt, 0 is
context. There is no field for reasoning, so it is not in the rows. The rows have no ids, as unknown keys are refused
there.
"""
