"""A tokenizer of a few hundred tokens with a chat template, and a model of a few thousand weights, made in the test."""

from __future__ import annotations

from pathlib import Path
from typing import Any

TEMPLATE = """\
{%- if tools %}{{ '<|im_start|>tools\\n' }}{% for tool in tools %}{{ tool | tojson }}{{ '\\n' }}{% endfor %}\
{{ '<|im_end|>\\n' }}{% endif %}\
{%- for message in messages %}\
{%- if message.role == 'assistant' %}{{ '<|im_start|>assistant\\n' }}{% generation %}\
{%- set thought = message.reasoning_content or '' %}\
{%- if thought %}{{ '<think>\\n' + thought.strip('\\n') + '\\n</think>\\n\\n' }}{% endif %}\
{{- message.content }}\
{%- for call in message.tool_calls or [] %}\
{{ '\\n<tool_call>\\n{"name": "' + call.function.name + '", "arguments": ' }}{{ call.function.arguments | tojson }}\
{{ '}\\n</tool_call>' }}{% endfor %}{{ '<|im_end|>\\n' }}{% endgeneration %}\
{%- else %}{{ '<|im_start|>' + message.role + '\\n' + message.content + '<|im_end|>\\n' }}{% endif %}\
{%- endfor %}\
{%- if add_generation_prompt %}{{ '<|im_start|>assistant\\n' }}{% endif %}"""

SPECIAL = ["<|im_start|>", "<|im_end|>", "<|endoftext|>"]
ADDED = ["<think>", "</think>", "<tool_call>", "</tool_call>"]
_TEXTS = [
    "You help. Fix it. Looking. First look. Done. Thanks. Explain? It was a one. Say why.",
    '{"command": "ls"} {"command": "cat a.py"} {"type": "function", "function": {"name": "Bash", "description"',
    "assistant system user tool tools\n name arguments properties parameters required string",
]


def save_tokenizer(folder: Path, template: str | None = TEMPLATE) -> Path:
    """A byte-level BPE tokenizer with ChatML's tokens, saved as a model's folder has it."""
    from tokenizers import AddedToken, Tokenizer, decoders, models, pre_tokenizers, trainers
    from transformers import PreTrainedTokenizerFast

    made = Tokenizer(models.BPE())
    made.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    made.decoder = decoders.ByteLevel()
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    made.train_from_iterator(
        _TEXTS, trainers.BpeTrainer(vocab_size=400, initial_alphabet=alphabet, show_progress=False)
    )
    made.add_special_tokens(SPECIAL)
    made.add_tokens([AddedToken(token, normalized=False) for token in ADDED])
    tokenizer = PreTrainedTokenizerFast(tokenizer_object=made, eos_token="<|im_end|>", pad_token="<|endoftext|>")
    tokenizer.chat_template = template
    tokenizer.save_pretrained(str(folder))
    return folder


def tiny_model(tokenizer: Any) -> Any:
    """A Qwen2 of two thousand weights a layer, at random."""
    from transformers import Qwen2Config, Qwen2ForCausalLM

    return Qwen2ForCausalLM(
        Qwen2Config(
            vocab_size=len(tokenizer),
            hidden_size=16,
            intermediate_size=16,
            num_hidden_layers=1,
            num_attention_heads=2,
            num_key_value_heads=1,
            pad_token_id=tokenizer.pad_token_id,
            eos_token_id=tokenizer.eos_token_id,
        )
    )


def trainer(folder: Path, tokenizer_folder: Path, cache: Path, **settings: Any) -> Any:
    """TRL's own ``SFTTrainer`` on the exported folder, with everything prepared for two steps."""
    from datasets import load_dataset
    from transformers import AutoTokenizer
    from trl import SFTConfig, SFTTrainer

    tokenizer = AutoTokenizer.from_pretrained(str(tokenizer_folder))
    data = load_dataset(str(folder), split="train", cache_dir=str(cache))
    config = SFTConfig(
        output_dir=str(cache / "out"),
        max_length=None,
        max_steps=2,
        per_device_train_batch_size=2,
        report_to=[],
        save_strategy="no",
        use_cpu=True,
        bf16=False,
        disable_tqdm=True,
        logging_strategy="no",
        **settings,
    )
    return SFTTrainer(tiny_model(tokenizer), args=config, train_dataset=data, processing_class=tokenizer)


def learnt(tokenizer: Any, ids: list[int], mask: list[int]) -> list[str]:
    """The stretches of tokens to be learnt, as text."""
    pieces: list[list[int]] = []
    for number, (token, bit) in enumerate(zip(ids, mask, strict=True)):
        if bit and (number == 0 or not mask[number - 1]):
            pieces.append([])
        if bit:
            pieces[-1].append(token)
    return [tokenizer.decode(piece, skip_special_tokens=False) for piece in pieces]
