"""Rows of token ids with a 0/1 mask, for trainers that take them as they are, and the count of a sample's tokens.

    {"input_ids":[151644,872,198,…],"assistant_masks":[0,0,0,…,1,1,1],"metadata":{…}}

Tokenizers are read from a local folder; ``_chat_tokens`` makes the tokens.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec

from rollmill.curate.sample import Sample, Turn
from rollmill.errors import ConfigError
from rollmill.export import Refused, Settings
from rollmill.export._chat_tokens import Chat, Tokens
from rollmill.export._messages import metadata

if TYPE_CHECKING:
    import pyarrow as pa


def load_tokenizer(path: Path) -> Any:
    """The tokenizer in a local folder. Nothing is downloaded. Raises ``ConfigError`` when there is none."""
    try:
        from transformers import AutoTokenizer
    except ImportError as error:
        raise ConfigError(f"--tokenizer needs the package transformers: pip install transformers ({error})") from error
    folder = path if path.is_dir() else path.parent
    if not (folder / "tokenizer_config.json").is_file():
        raise ConfigError(f"{path} is no tokenizer: a folder with tokenizer.json and tokenizer_config.json is wanted")
    try:
        tokenizer = AutoTokenizer.from_pretrained(str(folder), local_files_only=True, trust_remote_code=False)
    except (OSError, ValueError, KeyError, ImportError) as error:
        raise ConfigError(f"the tokenizer in {folder} cannot be loaded: {error}") from error
    if not tokenizer.is_fast:
        raise ConfigError(f"the tokenizer in {folder} has no tokenizer.json, and only that kind says where tokens are")
    return tokenizer


def token_counter(settings: Settings) -> Callable[[Sample], int] | None:
    """A function that counts a sample's tokens without those of a template; None when there is no tokenizer."""
    if settings.tokenizer is None:
        return None
    tokenizer = load_tokenizer(settings.tokenizer)

    def count(sample: Sample) -> int:
        texts = [text for turn in sample.turns for text in _texts(turn)]
        texts += [msgspec.json.encode(sample.tools).decode()] if sample.tools else []
        encoded = (
            tokenizer(texts, add_special_tokens=False, return_attention_mask=False) if texts else {"input_ids": []}
        )
        return sum(map(len, encoded["input_ids"]))

    return count


def _texts(turn: Turn) -> Iterator[str]:
    message = turn.message
    yield from filter(None, (block.text for block in message.content))
    if message.reasoning_content:
        yield message.reasoning_content
    for call in message.tool_calls:
        yield call.function.name
        yield call.function.arguments


class TokenRows:
    """Rows of token ids; every mask of whole weights can be carried."""

    def __init__(self, settings: Settings) -> None:
        assert settings.tokenizer is not None
        self.settings = settings
        self.counts: Counter[str] = Counter()
        self._chat = Chat(load_tokenizer(settings.tokenizer), settings)
        self._last: tuple[Sample, Tokens] | None = None

    def survey(self, sample: Sample) -> None:
        """Rows do not depend on each other."""

    def count_tokens(self, sample: Sample) -> int:
        """The sample's tokens, those of the template included. Raises ``Refused`` as ``row`` does."""
        return len(self._tokens(sample).ids)

    def row(self, sample: Sample) -> dict[str, Any]:
        """``input_ids``, ``assistant_masks`` and ``metadata``. Raises ``Refused``."""
        tokens = self._tokens(sample)
        if 1 not in tokens.mask:
            raise Refused("no_target", "the template renders nothing of the messages that count")
        return {"input_ids": tokens.ids, "assistant_masks": tokens.mask, "metadata": metadata(sample)}

    def _tokens(self, sample: Sample) -> Tokens:
        """The last sample's are kept, because they are counted first and then written."""
        if self._last is None or self._last[0] is not sample:
            self._last = sample, self._chat.tokens(sample)
        return self._last[1]

    def schema(self) -> pa.Schema:
        """Small integers, and the rest as JSON."""
        import pyarrow as pa

        from rollmill.export._columns import JSON

        lists = [("input_ids", pa.list_(pa.int32())), ("assistant_masks", pa.list_(pa.int8()))]
        return pa.schema([*lists, ("metadata", JSON)])

    def notes(self) -> str:
        """How to train with them."""
        return _CARD


_CARD = """\
### Training with TRL

Each row has `input_ids` and `assistant_masks` (1: learn, 0: context), made with one tokenizer and its chat template;
train only a model that has that tokenizer.

```python
from datasets import load_dataset
from trl import SFTConfig, SFTTrainer

data = load_dataset("path/to/this/folder")
config = SFTConfig(max_length=None)  # TRL's default of 1024 tokens would cut the rows
SFTTrainer(model, args=config, train_dataset=data["train"], processing_class=tokenizer).train()
```

TRL recognizes the rows by `input_ids` and takes the mask as it is; `assistant_only_loss` stays off. Text that only
spells a control token (`<|im_end|>` in a file that was read) is written in ordinary tokens.
"""
