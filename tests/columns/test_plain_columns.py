"""Columns without a model: expressions, the user's own functions; and what all columns share."""

from __future__ import annotations

import asyncio
import json
import threading
from collections.abc import Mapping
from typing import Any

import pyarrow as pa
import pytest
from pydantic import BaseModel

from rollmill.columns import SkipConfig, column_from, column_types
from rollmill.columns.custom import CustomColumnConfig, custom_column_generator
from rollmill.columns.expression import ExpressionColumnConfig
from rollmill.errors import ConfigError
from rollmill.models.types import ModelError
from tests.columns.asked import Script, fill

# Expressions


def expression(expr: str, dtype: Any = "str", **fields: Any) -> ExpressionColumnConfig:
    return ExpressionColumnConfig(name="e", expr=expr, dtype=dtype, **fields)


@pytest.mark.parametrize(
    ("expr", "dtype", "value"),
    [
        ("{{ a }} and {{ b.c }}", "str", "1 and x"),
        ("{{ b }}", "str", '{"c": "x"}'),
        ("{{ nothing }}", "str", ""),
        ("{{ a + 1 }}", "int", 2),
        (" {{ 3.0 }} ", "int", 3),
        ("{{ a / 4 }}", "float", 0.25),
        ("{{ a == 1 and b.c == 'x' }}", "bool", True),
        ("{{ 'no' }}", "bool", False),
        ("{{ nothing }}", "int", None),
        ("{{ nothing }}", "float", None),
        ("{{ nothing }}", "bool", None),
    ],
)
def test_values_by_expression(expr: str, dtype: str, value: Any) -> None:
    column = expression(expr, dtype)
    cell, script = fill(column, {"a": 1, "b": {"c": "x"}, "nothing": None})
    assert cell.problem is None and cell.value == value and type(cell.value) is type(value) and not script.asked
    assert pa.array([column.to_arrow(cell.value)], column.arrow_type()).to_pylist() == [value]


@pytest.mark.parametrize(
    ("expr", "dtype"),
    [
        ("3.5", "int"),
        ("x", "int"),
        ("1e400", "int"),
        (str(1 << 63), "int"),
        ("x", "float"),
        ("nan", "float"),
        ("maybe", "bool"),
    ],
)
def test_what_is_no_value_of_the_type(expr: str, dtype: str) -> None:
    cell, _ = fill(expression(expr, dtype), {})
    assert cell.value is None and cell.problem is not None and cell.problem.kind == "wrong_type"
    assert "`e`" in cell.problem.text and dtype in cell.problem.text


def test_a_row_that_the_template_cannot_take() -> None:
    cell, _ = fill(expression("{{ a.b }}"), {"a": {"bb": 1}})
    assert cell.problem is not None and cell.problem.kind == "template_failed" and "`bb`" in cell.problem.text


# What all columns share


def test_mistakes_are_told_together() -> None:
    column = expression("{{ anwser }} {{ e }} {{ x", skip=SkipConfig(when="{{ scor > 1 }}"))
    assert len(column.check(["answer", "score", "e"])) == 2
    mistakes = expression("{{ anwser }} {{ e }}", skip=SkipConfig(when="{{ scor > 1 }}")).check(
        ["answer", "score", "e"]
    )
    assert any("`anwser`" in each and "Did you mean `answer`?" in each for each in mistakes)
    assert any("uses itself" in each for each in mistakes)
    assert any("skip uses `scor`" in each and "`score`" in each for each in mistakes)
    assert expression("{{ answer }}").check(["answer", "e"]) == []
    assert ExpressionColumnConfig(name="range", expr="1").check(["range"])


def test_required_columns_are_those_of_templates_and_skips() -> None:
    assert expression("{{ a.b }}", skip=SkipConfig(when="{{ c }}")).required_columns == {"a", "c"}


@pytest.mark.parametrize(
    ("when", "row", "applies"),
    [
        ("{{ a > 1 }}", {"a": 2}, True),
        ("{{ a > 1 }}", {"a": 1}, False),
        ("{{ a }}", {"a": None}, False),
        ("{{ a }}", {"a": []}, False),
        ("{{ a }}", {"a": 0}, False),
        ("{{ a }}", {"a": "x"}, True),
        ("{% if a %}yes{% endif %}", {"a": False}, False),
    ],
)
def test_when_rows_are_skipped(when: str, row: dict[str, Any], applies: bool) -> None:
    assert SkipConfig(when=when).applies(row) is applies


@pytest.mark.parametrize("name", ["", " ", "a\nb", "\x1b[2J"])
def test_names_can_be_read(name: str) -> None:
    with pytest.raises(ValueError, match="name that can be read"):
        ExpressionColumnConfig(name=name, expr="1")


def test_every_column_is_saved_exactly() -> None:
    column = expression("{{ a }}", "int", drop=True, skip=SkipConfig(when="{{ b }}", value=3))
    assert column_from(json.loads(column.model_dump_json())) == column
    assert column_from(column) is column


def test_the_folder_is_the_list() -> None:
    assert set(column_types()) == {"custom", "expression", "llm-judge", "llm-structured", "llm-text"}


@pytest.mark.parametrize(
    ("value", "words"),
    [
        ({"name": "x", "column_type": "llm-txt"}, "`llm-text`"),
        ({"name": "x", "column_type": "sampler"}, "seed"),
        ({"name": "x", "column_type": "validation"}, "judge"),
        ({"name": "x"}, "column_type"),
        ("x", "column_type"),
        ({"name": "x", "column_type": ["llm-text"]}, "column_type"),
    ],
)
def test_unknown_column_types_say_what_there_is(value: Any, words: str) -> None:
    with pytest.raises(ConfigError, match=words):
        column_from(value)


# The user's functions


@custom_column_generator(required_columns=["a"])
def doubled(row: dict[str, Any]) -> int:
    assert threading.current_thread() is not threading.main_thread()
    return int(row["a"]) * 2


@custom_column_generator(required_columns=["a"], side_effect_columns=["side"])
async def like_the_reference(row: dict[str, Any], generator_params: Mapping[str, Any]) -> dict[str, Any]:
    row["c"], row["side"] = row["a"] + generator_params["add"], "s"
    return row


@custom_column_generator(model_aliases=["writer"])
async def asks(row: dict[str, Any], generator_params: None, models: Any) -> str:
    text, messages = await models["writer"].agenerate("Hi", system_prompt="Be kind.", parser=str.upper)
    assert [each["role"] for each in messages] == ["system", "user", "assistant"]
    return str(text)


@custom_column_generator(model_aliases=["writer"])
def asks_from_a_thread(row: dict[str, Any], generator_params: None, models: Any) -> str:
    return str(models["writer"].generate("Hi")[0])


@custom_column_generator(model_aliases=["writer"])
async def best_of_two(row: dict[str, Any], generator_params: None, models: Any) -> list[str]:
    return [(await models["writer"].agenerate("Hi", sample=number))[0] for number in range(2)]


@custom_column_generator(model_aliases=["writer"])
async def hides_errors(row: dict[str, Any], generator_params: None, models: Any) -> str | None:
    try:
        await models["writer"].agenerate("Hi")
    except BaseException:
        return None
    return "x"


class Step(BaseModel):
    add: int


@custom_column_generator(required_columns=["a"])
def with_class(row: dict[str, Any], generator_params: Step) -> int:
    return int(row["a"]) + generator_params.add


@custom_column_generator()
def fails(row: dict[str, Any]) -> None:
    raise KeyError("gone")


def custom(function: Any, **fields: Any) -> CustomColumnConfig:
    return CustomColumnConfig(name="c", generator_function=function, **fields)


def test_functions_make_cells() -> None:
    assert fill(custom(doubled), {"a": 2})[0].value == 4
    column = custom(like_the_reference, generator_params={"add": 1})
    row = {"a": 2}
    cell, _ = fill(column, row)
    assert (cell.value, cell.sides, row) == (3, {"side": "s"}, {"a": 2})
    assert column.side_columns == ("side",) and column.required_columns == {"a"}


@pytest.mark.parametrize(("function", "value"), [(asks, "HELLO"), (asks_from_a_thread, "Hello")])
def test_functions_ask_models(function: Any, value: str) -> None:
    column = custom(function)
    assert column.model_aliases == ("writer",)
    assert fill(column, {}, "Hello")[0].value == value


def test_another_sample_asks_for_another_reply() -> None:
    cell, script = fill(custom(best_of_two), {}, "one", "two")
    assert cell.value == ["one", "two"] and script.samples == [0, 1]


@pytest.mark.parametrize("function", [asks, asks_from_a_thread])
def test_a_reply_that_fails_fails_the_cell(function: Any) -> None:
    cell, _ = fill(custom(function), {}, ModelError("timeout", "no answer"))
    assert cell.problem is not None and cell.problem.kind == "timeout"


@pytest.mark.parametrize("function", [asks, asks_from_a_thread, hides_errors])
def test_no_function_hides_what_stops_the_run(function: Any) -> None:
    with pytest.raises(ModelError):
        fill(custom(function), {}, ModelError("unauthorized", "set the key", fatal=True))


def test_a_function_that_fails_is_one_bad_row() -> None:
    cell, _ = fill(custom(fails), {})
    assert cell.value is None and cell.problem is not None
    assert cell.problem.kind == "custom_failed" and "KeyError" in cell.problem.text


def test_parameters_of_a_class_are_saved_exactly() -> None:
    column = custom(with_class, generator_params=Step(add=2))
    again = column_from(json.loads(column.model_dump_json()))
    assert again == column and fill(again, {"a": 1})[0].value == 3
    with pytest.raises(ValueError, match="add"):
        custom(with_class, generator_params={"ad": 1})


def test_functions_are_saved_by_name() -> None:
    column = custom(doubled)
    saved = json.loads(column.model_dump_json())
    assert saved["generator_function"] == f"{__name__}:doubled"
    assert column_from(saved) == column
    assert custom(doubled).identity() == column.identity() != custom(fails).identity()


@pytest.mark.parametrize(
    ("function", "words"),
    [
        (len, "custom_column_generator"),
        ("__main__:f", "put it into a module"),
        ("no_such_module_here:f", "cannot be imported"),
        ("os:system", "custom_column_generator"),
        (custom_column_generator()(lambda df: 1), "takes df"),
        (custom_column_generator()(lambda: 1), "takes nothing"),
    ],
)
def test_what_is_no_generator(function: Any, words: str) -> None:
    with pytest.raises(ValueError, match=words):
        custom(function)


def test_whole_columns_are_refused_with_a_reason() -> None:
    with pytest.raises(ValueError, match="rows are made one by one"):
        custom(doubled, generation_strategy="full_column")


def test_missing_required_columns_are_told() -> None:
    (mistake,) = custom(doubled).check(["aa"])
    assert "`a`" in mistake and "`aa`" in mistake


def test_many_cells_at_once() -> None:
    async def all_of_them() -> list[Any]:
        column, script = custom(asks_from_a_thread), Script("x")
        return [cell.value for cell in await asyncio.gather(*(column.fill({}, script) for _ in range(100)))]

    assert asyncio.run(all_of_them()) == ["x"] * 100
