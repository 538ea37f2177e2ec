"""TRL: the shape of the rows, and TRL's own preprocessing of them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from rollmill.curate.sample import Sample
from rollmill.errors import ConfigError
from rollmill.export import Refused, Settings, load_target
from tests.export.chat import learnt, save_tokenizer, trainer
from tests.export.samples import (
    TOOLS,
    conversation,
    model,
    plain,
    project,
    result,
    row,
    rows,
    sample,
    system,
    user,
    write,
)


def last_turn() -> Sample:
    """What ``last-turn`` or ``per_turn`` leave: one message to learn, model messages before it as context."""
    return sample(
        system("You help."),
        user("Fix it."),
        model("Looking.", ("c1", "Bash", '{"command": "ls"}'), reasoning="First look.", weight=0),
        result("c1", "a.py"),
        model("Done."),
        tools=TOOLS,
    )


def after_compaction() -> Sample:
    """Copied context, then several messages to learn with a result between them."""
    return sample(
        user("Fix it."),
        model("Looking.", weight=0),
        user("Go on."),
        model("", ("c2", "Bash", '{"command": "ls"}')),
        result("c2", "a.py"),
        model("Done."),
        tools=TOOLS,
    )


def mixed() -> Sample:
    return sample(user("A"), model("B"), user("C"), model("D", weight=0), user("E"), model("F"))


def test_messages_when_everything_counts() -> None:
    assert row("trl", conversation())["messages"] == [
        {"role": "system", "content": "You help."},
        {"role": "user", "content": "Fix it."},
        {
            "role": "assistant",
            "content": "Looking.",
            "reasoning_content": "First look.",
            "tool_calls": [
                {"type": "function", "function": {"name": "Bash", "arguments": {"command": "ls"}}},
                {"type": "function", "function": {"name": "Bash", "arguments": {"command": "cat a.py"}}},
            ],
        },
        {"role": "tool", "name": "Bash", "content": "a.py"},
        {"role": "tool", "name": "Bash", "content": "x = 1\n"},
        {
            "role": "assistant",
            "content": "",
            "tool_calls": [
                {
                    "type": "function",
                    "function": {
                        "name": "Edit",
                        "arguments": {"path": "a.py", "lines": [1, 2.5, None], "deep": {"a": {"b": "c"}}},
                    },
                }
            ],
        },
        {"role": "tool", "name": "Edit", "content": ""},
        {"role": "assistant", "content": "Done."},
        {"role": "user", "content": "Thanks. Explain?"},
        {"role": "assistant", "content": "It was a one.", "reasoning_content": "Say why."},
    ]


def test_a_row_says_where_it_is_from() -> None:
    made = row("trl", conversation())
    assert made["tools"] == TOOLS
    assert made["metadata"] == {
        "sample_id": "s/0",
        "row_id": "s",
        "parent_row_id": None,
        "segment_index": 0,
        "segment_reason": "start",
        "mode": "trajectory",
        "task_id": "t",
        "tools_source": "recorded",
        "system_source": "absent",
        "labels": {"resolved": True},
        "signals": {"human_turns": 1},
        "redaction": None,
        "context_complete": True,
        "n_tokens": 0,
        "n_tokens_source": "estimate",
        "source": made["metadata"]["source"],
    }
    assert made["metadata"]["source"]["source_path"] == "projects/a/s.jsonl"
    assert made["metadata"]["source"]["first_line"] == 1


def test_one_sample_with_context_makes_prompts_of_all() -> None:
    made = rows("trl", last_turn(), plain())
    assert [list(each)[:2] for each in made] == [["prompt", "completion"]] * 2
    assert made[0]["completion"] == [{"role": "assistant", "content": "Done."}]
    assert made[0]["prompt"][2]["reasoning_content"] == "First look."
    assert made[1] | {"metadata": None} == {
        "prompt": [{"role": "user", "content": "Hello?"}],
        "completion": [{"role": "assistant", "content": "Hello."}],
        "tools": None,
        "metadata": None,
    }


def test_a_completion_may_hold_results() -> None:
    projection, (made,) = project("trl", after_compaction())
    assert [message["role"] for message in made["completion"]] == ["assistant", "tool", "assistant"]
    assert "completion_only_loss=True, assistant_only_loss=True" in projection.notes()


def test_a_mask_within_a_sample_is_refused() -> None:
    with pytest.raises(Refused, match="TRL needs --tokenizer") as refused:
        project("trl", mixed())
    assert refused.value.kind == "weights"


def test_a_refused_sample_does_not_decide_the_shape() -> None:
    projection = load_target("trl").projection(Settings())
    projection.survey(mixed())
    projection.survey(sample(user("A"), model("B", weight=0)))
    projection.survey(plain())
    assert "messages" in projection.row(plain())


def test_masks_that_only_tokens_can_carry_are_a_mistake_before_the_run() -> None:
    with pytest.raises(ConfigError, match=r"mask-errors.*--tokenizer"):
        load_target("trl").projection(Settings(masks=("mask-errors",)))
    assert load_target("trl").projection(Settings(masks=("mask-errors",), mode="per_turn"))


def test_a_sample_without_a_prompt_is_refused_where_prompts_are_written() -> None:
    projection = load_target("trl").projection(Settings())
    projection.survey(last_turn())
    with pytest.raises(Refused) as refused:
        projection.row(sample(model("Hi."), user("Hello."), model("Bye.")))
    assert refused.value.kind == "no_prompt"


def test_reasoning_that_does_not_count_is_left_out_and_counted() -> None:
    one = sample(
        user("A"), model("B", reasoning="In short.", learns_reasoning=False), user("C"), model("D", reasoning="E")
    )
    projection, (made,) = project("trl", one)
    assert [message.get("reasoning_content") for message in made["messages"]] == [None, None, None, "E"]
    assert projection.counts["reasoning_left_out"] == 1
    assert one.turns[1].message.reasoning_content == "In short."


def test_a_result_without_its_call_has_no_name() -> None:
    made = row("trl", sample(user("A"), result("c9", "B"), model("C")))
    assert made["messages"][1] == {"role": "tool", "content": "B"}


def test_arguments_keep_their_numbers_and_lose_their_line_ends() -> None:
    one = sample(user("A"), model("", ("c", "Bash", '{\r\n "a": 1.50,\n "b": "x\\ny"}')), result("c", ""), model("B"))
    ((made,)) = project("trl", one)[1]
    arguments = made["messages"][1]["tool_calls"][0]["function"]["arguments"]
    assert bytes(arguments) == b'{   "a": 1.50,  "b": "x\\ny"}'


# TRL itself


@pytest.fixture(scope="module")
def tokenizer(tmp_path_factory: pytest.TempPathFactory) -> Path:
    for library in ("trl", "datasets", "torch"):
        pytest.importorskip(library, reason="TRL's own preprocessing proves the masks")
    return save_tokenizer(tmp_path_factory.mktemp("tokenizer"))


def prepared(made: Any) -> list[list[str]]:
    """What TRL would learn of each row, as text."""
    data = made.train_dataset
    masks = [[int(label != -100) for label in labels] for labels in data["labels"]]
    pairs = zip(data["input_ids"], masks, strict=True)
    return [learnt(made.processing_class, ids, mask) for ids, mask in pairs]


CONVERSATION = [
    "<think>\nFirst look.\n</think>\n\nLooking."
    '\n<tool_call>\n{"name": "Bash", "arguments": {"command": "ls"}}\n</tool_call>'
    '\n<tool_call>\n{"name": "Bash", "arguments": {"command": "cat a.py"}}\n</tool_call><|im_end|>\n',
    '\n<tool_call>\n{"name": "Edit", "arguments": '
    '{"path": "a.py", "lines": [1, 2.5, null], "deep": {"a": {"b": "c"}}}}\n</tool_call><|im_end|>\n',
    "Done.<|im_end|>\n",
    "<think>\nSay why.\n</think>\n\nIt was a one.<|im_end|>\n",
]


@pytest.mark.parametrize("file_type", ["jsonl", "parquet"])
def test_trl_learns_the_model_messages_and_nothing_else(tokenizer: Path, file_type: Any, tmp_path: Path) -> None:
    write(tmp_path / "export", "trl", file_type, conversation(), plain())
    made = trainer(tmp_path / "export", tokenizer, tmp_path / "cache", assistant_only_loss=True)
    assert prepared(made) == [CONVERSATION, ["Hello.<|im_end|>\n"]]


def test_trl_learns_the_completions_only_and_trains(tokenizer: Path, tmp_path: Path) -> None:
    write(tmp_path / "export", "trl", "parquet", last_turn(), after_compaction())
    made = trainer(
        tmp_path / "export", tokenizer, tmp_path / "cache", assistant_only_loss=True, completion_only_loss=True
    )
    call = '\n<tool_call>\n{"name": "Bash", "arguments": {"command": "ls"}}\n</tool_call><|im_end|>\n'
    assert prepared(made) == [["Done.<|im_end|>\n"], [call, "Done.<|im_end|>\n"]]
    made.train()
    assert made.state.global_step == 2


def test_without_the_card_s_settings_trl_would_learn_tool_results(tokenizer: Path, tmp_path: Path) -> None:
    """Why the card asks for both settings."""
    write(tmp_path / "export", "trl", "parquet", last_turn(), after_compaction())
    made = trainer(tmp_path / "export", tokenizer, tmp_path / "cache")
    assert "a.py" in "".join(prepared(made)[1])
