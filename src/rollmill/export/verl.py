"""verl's multi-turn SFT: Parquet, the messages as structs, the tools as JSON text.

    messages: [{role, content, reasoning_content, name, tool_call_id, tool_calls: [{id, type, function: {name,
    arguments}}]}], tools: "[{\\"type\\": \\"function\\", …}]", metadata: "{…}"

verl reads Parquet with pandas and hands the structs to the chat template, message by message. Structs of arguments or
schemas would be filled with nulls for every key that any other row has, so these stay JSON text, and the dataset card
has the few lines of a dataset class that opens them.
"""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Any

import msgspec

from rollmill.curate.sample import Sample, Turn
from rollmill.errors import ConfigError
from rollmill.export import Projection, Refused, Settings
from rollmill.export._messages import (
    arguments_of,
    call_names,
    metadata,
    reasoning_of,
    require_targets,
    require_whole_weights,
    text_of,
    tools_of,
    unanswered_server_call,
)
from rollmill.export._tokens import token_counter

if TYPE_CHECKING:
    import pyarrow as pa

DESCRIPTION = "verl's multi-turn SFT: Parquet with messages and tools"
FILE_TYPES = ("parquet", "jsonl")


def projection(settings: Settings) -> Projection:
    """Rows whose every model message counts. Raises ``ConfigError`` for modes and masks where some do not."""
    if settings.mode != "trajectory" or set(settings.masks) & {"last-turn", "mask-errors"}:
        raise ConfigError(
            "verl learns every assistant message of a row and knows no weights, so it takes --mode trajectory with the "
            "masks all-assistant and success-only; use --to openai, or --to trl with --tokenizer"
        )
    return AssistantRows(settings)


class AssistantRows:
    """Rows of messages that are learnt whole."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self.counts: Counter[str] = Counter()
        self.count_tokens = token_counter(settings)

    def survey(self, sample: Sample) -> None:
        """Rows do not depend on each other."""

    def row(self, sample: Sample) -> dict[str, Any]:
        """``messages``, and ``tools`` and ``metadata`` as JSON text. Raises ``Refused``."""
        require_targets(sample)
        require_whole_weights(sample)
        unanswered_server_call(sample)
        if any(turn.is_model and turn.weight == 0 for turn in sample.turns):
            raise Refused("weights", "a model message does not count, but verl learns every one")
        names = call_names(sample)
        tools = tools_of(sample)
        row = {
            "messages": [self._message(turn, names) for turn in sample.turns],
            "tools": msgspec.json.encode(tools).decode() if tools else None,
            "metadata": msgspec.json.encode(metadata(sample)).decode(),
        }
        left_out = (turn.message.reasoning_content and not reasoning_of(turn) for turn in sample.turns)
        self.counts["reasoning_left_out"] += sum(map(bool, left_out))
        return row

    def _message(self, turn: Turn, names: dict[str, str]) -> dict[str, Any]:
        source = turn.message
        row: dict[str, Any] = {"role": source.role, "content": text_of(source, self.settings)}
        if reasoning := reasoning_of(turn):
            row["reasoning_content"] = reasoning
        if source.role == "tool":
            row["name"], row["tool_call_id"] = names.get(source.tool_call_id or ""), source.tool_call_id
        if source.tool_calls:
            row["tool_calls"] = [
                {
                    "id": call.id,
                    "type": "function",
                    "function": {"name": call.function.name, "arguments": bytes(arguments_of(call)).decode()},
                }
                for call in source.tool_calls
            ]
        return row

    def schema(self) -> pa.Schema:
        """Structs of texts: the same for every data set."""
        import pyarrow as pa

        text = pa.string()
        function = pa.struct([("name", text), ("arguments", text)])
        call = pa.struct([("id", text), ("type", text), ("function", function)])
        names = ("role", "content", "reasoning_content", "name", "tool_call_id")
        message = pa.struct([*((name, text) for name in names), ("tool_calls", pa.list_(call))])
        return pa.schema([("messages", pa.list_(message)), ("tools", text), ("metadata", text)])

    def notes(self) -> str:
        """The dataset class, and what to set."""
        return _CARD


_CARD = """\
### Training with verl

Save this as `rollouts.py`. It opens the JSON text of arguments and schemas, which Parquet structs would have filled
with nulls, and leaves out the keys a message does not have:

```python
import json

from verl.utils.dataset.multiturn_sft_dataset import MultiTurnSFTDataset


def opened(message):
    message = {key: value for key, value in message.items() if value is not None}
    for call in message.get("tool_calls", ()):
        call["function"]["arguments"] = json.loads(call["function"]["arguments"])
    return message


class Rollouts(MultiTurnSFTDataset):
    def _read_files_and_process(self):
        super()._read_files_and_process()
        self.tools = [json.loads(tools) if isinstance(tools, str) else None for tools in self.tools]

    def _build_messages(self, example):
        return [opened(message) for message in super()._build_messages(example)]
```

and set `data.custom_cls.path=rollouts.py data.custom_cls.name=Rollouts`, `data.messages_key=messages`,
`data.tools_key=tools`, `data.max_length` (1024 unless set) and `data.truncation=error`. verl renders each message alone
and compares the sum with the whole conversation: templates that strip earlier thinking fail there unless
`data.ignore_input_ids_mismatch=true`.
"""
