"""verl: Parquet as its dataset class reads it, and the class of the card that opens the JSON text."""

from __future__ import annotations

import re
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from rollmill.errors import ConfigError
from rollmill.export import Refused, Settings, load_target
from tests.export.samples import TOOLS, conversation, model, plain, project, row, sample, user, write


def as_verl_reads(path: Path) -> tuple[list[Any], list[Any]]:
    """Messages and tools as ``MultiTurnSFTDataset`` takes them from the file."""
    pandas = pytest.importorskip("pandas", reason="verl reads Parquet with pandas")
    frame = pandas.read_parquet(path, dtype_backend="pyarrow")
    return [as_lists(each) for each in frame["messages"]], [as_lists(each) for each in frame["tools"]]


def as_lists(value: Any) -> Any:
    """Arrays as lists at any depth, which is all that verl does to a value."""
    if isinstance(value, dict):
        return {key: as_lists(item) for key, item in value.items()}
    if hasattr(value, "tolist"):
        value = value.tolist()
    return [as_lists(item) for item in value] if isinstance(value, list) else value


@pytest.fixture
def dataset_class(monkeypatch: pytest.MonkeyPatch) -> Any:
    """The class of the card, above a stand-in for verl's that hands on what it was given."""

    class MultiTurnSFTDataset:
        def __init__(self, messages: list[Any], tools: list[Any]) -> None:
            self.messages, self._read = messages, tools
            self._read_files_and_process()

        def _read_files_and_process(self) -> None:
            self.tools = self._read

        def _build_messages(self, example: dict[str, Any]) -> list[Any]:
            return list(as_lists(example["messages"]))

    module = ModuleType("verl.utils.dataset.multiturn_sft_dataset")
    module.MultiTurnSFTDataset = MultiTurnSFTDataset  # type: ignore[attr-defined]
    for name in ("verl", "verl.utils", "verl.utils.dataset"):
        monkeypatch.setitem(sys.modules, name, ModuleType(name))
    monkeypatch.setitem(sys.modules, module.__name__, module)
    code = re.search("```python\n(.*?)```", project("verl", plain())[0].notes(), re.DOTALL)
    assert code
    names: dict[str, Any] = {}
    exec(code[1], names)
    return names["Rollouts"]


def test_the_card_s_class_gives_back_every_message(dataset_class: Any, tmp_path: Path) -> None:
    path = write(tmp_path, "verl", "parquet", conversation(), plain())
    made = dataset_class(*as_verl_reads(path))
    wanted = project("trl", conversation(), plain())[1]
    for number, messages in enumerate(made.messages):
        built = made._build_messages({"messages": messages})
        for message, expected in zip(built, wanted[number]["messages"], strict=True):
            expected = {
                **expected,
                "tool_calls": [calls["function"]["name"] for calls in expected.get("tool_calls", [])],
            }
            found = {key: message.get(key) for key in expected if key != "tool_calls"}
            assert found == {key: value for key, value in expected.items() if key != "tool_calls"}
            assert [call["function"]["name"] for call in message.get("tool_calls", [])] == expected["tool_calls"]
            assert None not in message.values()
    edit = made._build_messages({"messages": made.messages[0]})[5]["tool_calls"][0]["function"]
    assert edit["arguments"] == {"path": "a.py", "lines": [1, 2.5, None], "deep": {"a": {"b": "c"}}}
    assert made.tools == [TOOLS, None]


def test_stock_verl_reads_the_messages_too(tmp_path: Path) -> None:
    messages, tools = as_verl_reads(write(tmp_path, "verl", "parquet", plain()))
    assert [(message["role"], message["content"]) for message in messages[0]] == [
        ("user", "Hello?"),
        ("assistant", "Hello."),
    ]
    assert str(tools[0]) == "<NA>"


@pytest.mark.parametrize(
    "settings",
    [{"mode": "per_turn"}, {"mode": "per_user_turn"}, {"masks": ("last-turn",)}, {"masks": ("mask-errors",)}],
)
def test_modes_and_masks_with_weights_are_a_mistake_before_the_run(settings: Any) -> None:
    with pytest.raises(ConfigError, match="knows no weights"):
        load_target("verl").projection(Settings(**settings))


def test_context_of_the_model_is_refused() -> None:
    with pytest.raises(Refused) as reason:
        project("verl", sample(user("A"), model("B", weight=0), user("C"), model("D")))
    assert reason.value.kind == "weights"


def test_reasoning_that_does_not_count_is_left_out_and_counted() -> None:
    one = sample(user("A"), model("B", reasoning="C", learns_reasoning=False), user("D"), model("E", reasoning="F"))
    projection, _ = project("verl", one)
    assert [message.get("reasoning_content") for message in row("verl", one)["messages"]] == [None, None, None, "F"]
    assert projection.counts["reasoning_left_out"] == 1
