"""ShareGPT rows as LLaMA-Factory takes them (``formatting: sharegpt``).

    {"conversations":[{"from":"human","value":"List."},{"from":"function_call","value":"{\\"name\\": \\"Bash\\", …}"},
     {"from":"observation","value":"a.py"},{"from":"gpt","value":"One file."}],"system":"…","tools":"[…]"}

The two sides must alternate, so messages of one side that follow each other become one. A message with text or
reasoning and calls is written as text with the calls between ``<tool_call>`` and ``</tool_call>``, which LLaMA-Factory
takes apart again with regular expressions; so ``<`` inside a call's JSON is written as ``\\u003c``, lest words in
arguments be taken for those marks.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Sequence
from itertools import groupby
from typing import TYPE_CHECKING, Any

import msgspec

from rollmill.curate.sample import Sample, Turn
from rollmill.errors import ConfigError
from rollmill.export import Projection, Refused, Settings
from rollmill.export._messages import (
    arguments_of,
    metadata,
    reasoning_of,
    require_targets,
    require_whole_weights,
    text_of,
    tools_of,
    unanswered_server_call,
)
from rollmill.export._tokens import token_counter
from rollmill.rollout import ToolCall

if TYPE_CHECKING:
    import pyarrow as pa

DESCRIPTION = "ShareGPT conversations as LLaMA-Factory takes them"
FILE_TYPES = ("jsonl", "parquet")

_THINK = ("<think>\n", "\n</think>\n\n")
_CALL = ("<tool_call>", "</tool_call>")
_MEDIA_WORDS = re.compile("<(?:image|video|audio)>")


def projection(settings: Settings) -> Projection:
    """Rows whose every model turn counts, or whose last one does (``--mode per_turn``, ``--mask last-turn``).

    Raises ``ConfigError`` for a mask within a conversation."""
    if "mask-errors" in settings.masks and settings.mode != "per_turn":
        raise ConfigError(
            "ShareGPT rows have no weight per message, so --mask mask-errors cannot be written; use --mode per_turn, "
            "or --to openai or --to trl with --tokenizer"
        )
    return Conversations(settings)


class Conversations:
    """Rows of alternating turns, all of which count, or the last one only."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self.last_only = settings.mode == "per_turn" or "last-turn" in settings.masks
        self.counts: Counter[str] = Counter()
        self.count_tokens = token_counter(settings)

    def survey(self, sample: Sample) -> None:
        """The settings decide alone."""

    def row(self, sample: Sample) -> dict[str, Any]:
        """``conversations``, ``system``, ``tools`` and ``metadata``; the last two are JSON text. Raises ``Refused``."""
        require_targets(sample)
        require_whole_weights(sample)
        unanswered_server_call(sample)
        system, turns = self._system(sample.turns)
        counts: Counter[str] = Counter()
        conversations = list(self._conversations(turns, counts))
        if conversations[-1]["from"] not in ("gpt", "function_call"):
            raise Refused("last_message", "the last message must be the model's")
        if conversations[0]["from"] in ("gpt", "function_call"):
            raise Refused("no_prompt", "the conversation begins with the model")
        self.counts.update(counts)
        return {
            "conversations": conversations,
            "system": system,
            "tools": _json([_with_parameters(tool) for tool in tools_of(sample) or ()]) if sample.tools else "",
            "metadata": _json(metadata(sample)),
        }

    def _system(self, turns: Sequence[Turn]) -> tuple[str, Sequence[Turn]]:
        first = next((index for index, turn in enumerate(turns) if turn.message.role != "system"), len(turns))
        if any(turn.message.role == "system" for turn in turns[first:]):
            raise Refused("system_message", "a system message stands behind the beginning")
        return "\n\n".join(text_of(turn.message, self.settings) for turn in turns[:first]), turns[first:]

    def _conversations(self, turns: Sequence[Turn], counts: Counter[str]) -> Iterator[dict[str, str]]:
        groups = [(is_model, list(group)) for is_model, group in groupby(turns, lambda turn: turn.is_model)]
        for number, (is_model, group) in enumerate(groups, 1):
            if not is_model:
                yield self._others(group, counts)
                continue
            is_target = number == len(groups) or not self.last_only
            for turn in group:
                _require_weight(turn, is_target)
            yield self._model(group, counts)

    def _others(self, group: list[Turn], counts: Counter[str]) -> dict[str, str]:
        roles = {turn.message.role for turn in group}
        value = "\n".join(text_of(turn.message, self.settings) for turn in group)
        counts["user_text_in_observation"] += len(roles) > 1
        counts["media_words"] += _MEDIA_WORDS.search(value) is not None
        return {"from": "observation" if "tool" in roles else "human", "value": value}

    def _model(self, group: list[Turn], counts: Counter[str]) -> dict[str, str]:
        text = self._text(group, counts)
        calls = [call for turn in group for call in turn.message.tool_calls]
        if not calls:
            return {"from": "gpt", "value": text}
        with_calls = [bool(turn.message.tool_calls) for turn in group]
        if any(turn.message.content for turn in group[with_calls.index(True) + 1 :]):
            raise Refused("order", "the model wrote text behind a call that has no result yet")
        value = _json([_call(call) for call in calls] if len(calls) > 1 else _call(calls[0])).replace("<", "\\u003c")
        if not text:
            return {"from": "function_call", "value": value}
        if _CALL[0] in text:
            raise Refused(
                "tool_call_text", f"a message with calls has the text {_CALL[0]}, which marks where calls begin"
            )
        between = "" if text.endswith("\n") else "\n"
        return {"from": "function_call", "value": f"{text}{between}{_CALL[0]}{value}{_CALL[1]}"}

    def _text(self, group: list[Turn], counts: Counter[str]) -> str:
        reasoning = "\n\n".join(filter(None, map(reasoning_of, group)))
        counts["reasoning_left_out"] += sum(
            bool(turn.message.reasoning_content) and reasoning_of(turn) is None for turn in group
        )
        if _THINK[1].strip() in reasoning:
            raise Refused("reasoning_text", "reasoning holds the text </think>, which marks its end")
        text = "\n".join(filter(None, (text_of(turn.message, self.settings) for turn in group)))
        counts["media_words"] += _MEDIA_WORDS.search(text) is not None
        return f"{_THINK[0]}{reasoning}{_THINK[1]}{text}" if reasoning else text

    def schema(self) -> pa.Schema:
        """Texts only, which every reader guesses right."""
        import pyarrow as pa

        turn = pa.struct([("from", pa.string()), ("value", pa.string())])
        texts = [(name, pa.string()) for name in ("system", "tools", "metadata")]
        return pa.schema([("conversations", pa.list_(turn)), *texts])

    def notes(self) -> str:
        """The entry in ``dataset_info.json``, and what to set."""
        return _CARD.replace("MASK_HISTORY", "true" if self.last_only else "false")


def _require_weight(turn: Turn, is_target: bool) -> None:
    if is_target and turn.weight == 0:
        raise Refused(
            "weights",
            f"a model message is context that is not to be learnt ({turn.reason}), and LLaMA-Factory cannot leave it "
            "out of the loss: it learns every model turn, or with mask_history the last one only. --to openai carries "
            "it, and --to trl with --tokenizer",
        )
    if turn.weight > 0 and not is_target:
        raise Refused(
            "weights",
            "a model message before the last turn is to be learnt, and with mask_history LLaMA-Factory learns the last "
            "turn only. --to openai carries it, and --to trl with --tokenizer",
        )


def _call(call: ToolCall) -> dict[str, Any]:
    return {"name": call.function.name, "arguments": arguments_of(call)}


def _with_parameters(tool: dict[str, Any]) -> dict[str, Any]:
    """The tool with the ``properties`` that LLaMA-Factory's formatter looks for, be they empty."""
    function = tool.get("function")
    parameters = (function.get("parameters") or {"type": "object"}) if isinstance(function, dict) else None
    if not isinstance(function, dict) or not isinstance(parameters, dict):
        raise Refused("tool_schema", "a tool is not {type: function, function: {name, parameters}}")
    properties = parameters.get("properties") or {}
    return {**tool, "function": {**function, "parameters": {**parameters, "properties": properties}}}


def _json(value: Any) -> str:
    return msgspec.json.encode(value).decode()


_CARD = """\
### Training with LLaMA-Factory

Add this to `dataset_info.json`:

```json
{
  "rollouts": {
    "file_name": "train.jsonl",
    "formatting": "sharegpt",
    "columns": {"messages": "conversations", "system": "system", "tools": "tools"}
  }
}
```

and set `mask_history: MASK_HISTORY`, `train_on_prompt: false` and `cutoff_len` (its default of 2048 tokens cuts rows).
`true` learns the last turn of each row only, `false` every turn of the model; these rows are made for the value above.
Messages with text and calls need a template whose calls stand between `<tool_call>` and `</tool_call>`, which is the
default; reasoning stands between `<think>` and `</think>`. Text such as `<image>` in a message is taken for a picture
by templates that know pictures.
"""
