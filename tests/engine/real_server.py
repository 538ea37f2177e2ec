"""``transformers serve`` on loopback with a model of a few thousand random weights, which is made first.

python -m tests.engine.real_server FOLDER
"""

from __future__ import annotations

import sys
from pathlib import Path

from tests.export.chat import ADDED, save_tokenizer, tiny_model

ENDS = range(0, 390, 8)
"""Tokens at which a reply ends, so that most replies end by themselves after a few tokens."""


def save_model(folder: Path) -> None:
    """A model that draws its tokens, four of them at least, with its tokenizer and chat template. It never begins a
    tool call, for the server would take that out of the text."""
    from transformers import GenerationConfig, PreTrainedTokenizerFast

    tokenizer = PreTrainedTokenizerFast.from_pretrained(str(save_tokenizer(folder)))
    model = tiny_model(tokenizer)
    model.generation_config = GenerationConfig(
        do_sample=True, eos_token_id=[tokenizer.eos_token_id, *ENDS], pad_token_id=tokenizer.pad_token_id,
        min_new_tokens=4, suppress_tokens=tokenizer.convert_tokens_to_ids(ADDED),
    )  # fmt: skip
    model.save_pretrained(str(folder))


if __name__ == "__main__":
    model_folder = Path(sys.argv[1])
    save_model(model_folder)
    # Not the command itself, which begins by looking for a newer version in the network.
    from transformers.cli.transformers import app

    app(["serve", str(model_folder), "--host", "127.0.0.1", "--port", "0", "--device", "cpu"])
