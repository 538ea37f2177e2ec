"""TRL's ``SFTTrainer``: conversations, prompts with completions, or token ids with a mask.

    {"messages":[{"role":"user","content":"List."},{"role":"assistant","content":"","tool_calls":[{"type":"function",
     "function":{"name":"Bash","arguments":{"command":"ls"}}}]},{"role":"tool","name":"Bash","content":"a.py"},…],
     "tools":[{"type":"function","function":{"name":"Bash",…}}]}

TRL has no weight per message. A run whose every model message counts is written as ``messages``; one whose uncounted
model messages all stand before the first that counts as ``prompt`` and ``completion``; any other needs a tokenizer,
and then the mask is written token by token (``_tokens``).
"""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Any

import msgspec

from rollmill.curate.sample import Sample, Turn
from rollmill.errors import ConfigError
from rollmill.export import Projection, Refused, Settings
from rollmill.export._messages import (
    call_names,
    chat_message,
    metadata,
    require_targets,
    require_whole_weights,
    tools_of,
    unanswered_server_call,
)

if TYPE_CHECKING:
    import pyarrow as pa

DESCRIPTION = "TRL's SFTTrainer: messages, prompt and completion, or token ids with a 0/1 mask (with --tokenizer)"
FILE_TYPES = ("jsonl", "parquet")


def projection(settings: Settings) -> Projection:
    """Rows of messages, or of token ids when there is a tokenizer. Raises ``ConfigError`` for a mask that only tokens
    can carry, and for a tokenizer that cannot say which tokens the model wrote."""
    if settings.tokenizer is not None:
        from rollmill.export._tokens import TokenRows

        return TokenRows(settings)
    if "mask-errors" in settings.masks and settings.mode != "per_turn":
        raise ConfigError(
            "TRL has no weight per message, so it cannot leave single turns out of the loss (--mask mask-errors). "
            "Name a local tokenizer with --tokenizer, and token ids with their mask are written; or use "
            "--mode per_turn, where each row has one turn to learn; or another target: openai has weights."
        )
    return MessageRows(settings)


class MessageRows:
    """Rows of whole messages; the shape is one for the run, as every row of a data set has the same columns."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self.counts: Counter[str] = Counter()
        self.has_context = False
        """Whether a model message that does not count stands before the first that does, in any sample."""
        self.is_mixed = False
        """Whether more than one message of a completion counts."""

    def survey(self, sample: Sample) -> None:
        """Find out whether the run needs prompts: a sample that cannot be carried at all decides nothing."""
        split = completion_start(sample)
        if split is not None:
            self.has_context |= any(turn.is_model for turn in sample.turns[:split])
            self.is_mixed |= sum(turn.weight > 0 for turn in sample.turns) > 1

    def row(self, sample: Sample) -> dict[str, Any]:
        """``messages``, or ``prompt`` and ``completion``; then ``tools`` and ``metadata``. Raises ``Refused``."""
        require_targets(sample)
        require_whole_weights(sample)
        unanswered_server_call(sample)
        split = completion_start(sample)
        if split is None:
            raise Refused(
                "weights", "a model message that does not count stands behind one that does: TRL needs --tokenizer"
            )
        names = call_names(sample)
        turns = [_without_reasoning(turn) for turn in sample.turns]
        messages = [chat_message(turn.message, names, self.settings) for turn in turns]
        rest = {"tools": tools_of(sample), "metadata": metadata(sample)}
        if not self.has_context:
            row = {"messages": messages, **rest}
        elif split == 0:
            raise Refused("no_prompt", "the sample begins with the message to learn, so there is no prompt")
        else:
            row = {"prompt": messages[:split], "completion": messages[split:], **rest}
        self.counts["reasoning_left_out"] += sum(new is not old for new, old in zip(turns, sample.turns, strict=True))
        return row

    def schema(self) -> pa.Schema:
        """JSON columns: tool arguments and schemas are no Arrow structs, which would fill them with nulls."""
        import pyarrow as pa

        from rollmill.export._columns import JSON, JSON_LIST

        conversation = ["prompt", "completion"] if self.has_context else ["messages"]
        return pa.schema([*((name, JSON_LIST) for name in conversation), ("tools", JSON_LIST), ("metadata", JSON)])

    def notes(self) -> str:
        """How to train with the shape that was chosen."""
        if self.has_context:
            loss = (
                "completion_only_loss=True, assistant_only_loss=True" if self.is_mixed else "completion_only_loss=True"
            )
            return _CARD.format(shape="`prompt` and `completion`", loss=loss, why=_WHY_PROMPT)
        return _CARD.format(shape="`messages`", loss="assistant_only_loss=True", why=_WHY_MESSAGES)


def completion_start(sample: Sample) -> int | None:
    """The index of the first message that counts; None when none does, or a model message behind it does not."""
    split = next((index for index, turn in enumerate(sample.turns) if turn.weight > 0), None)
    if split is None or any(turn.is_model and turn.weight == 0 for turn in sample.turns[split:]):
        return None
    return split


def _without_reasoning(turn: Turn) -> Turn:
    """The turn as a message that is learnt whole: without reasoning that does not count."""
    if turn.weight == 0 or turn.reasoning or not turn.message.reasoning_content:
        return turn
    return msgspec.structs.replace(turn, message=msgspec.structs.replace(turn.message, reasoning_content=None))


_CARD = """\
### Training with TRL

Each row has {shape}, `tools` (OpenAI function schemas, or null) and `metadata`.

```python
from datasets import load_dataset
from trl import SFTConfig, SFTTrainer

data = load_dataset("path/to/this/folder")
config = SFTConfig(
    {loss},
    max_length=32768,  # TRL's default is 1024 tokens and cuts the end off without a word: set what your memory takes
)
SFTTrainer(model, args=config, train_dataset=data["train"]).train()
```

{why}
Text that spells a control token of the model (`<|im_end|>` in a file that was read) becomes that token when TRL makes
tokens of a row, and names that stand for secrets (`<API_KEY_1>`) are learnt where a model message says them. Rows made
with `--tokenizer` have neither fault.

Templates that strip the thinking of earlier turns (Qwen3 and others) show the model something else than it saw when it
wrote the later turns; rows made with `--mode per_user_turn` or `--mode per_turn` do not have that fault.
"""
_WHY_MESSAGES = """\
Every model message of every row counts, and nothing else does: `assistant_only_loss=True` is what says so. It needs a
chat template with `{% generation %}` marks; TRL puts in its own for the model families it knows, and stops with an
error for the others.
"""
_WHY_PROMPT = """\
The model messages in `prompt` are context and do not count. Where a completion has tool results between its model
messages, `assistant_only_loss=True` keeps them out of the loss; it needs a chat template with `{% generation %}` marks.
"""
