"""Every mistake is told before anything is opened or asked, all of them at once."""

from __future__ import annotations

import pytest

from rollmill.config import DataDesignerConfigBuilder, ModelConfig
from rollmill.engine.plan import Plan, make_plan
from rollmill.errors import ConfigError
from rollmill.models.providers import ModelProvider

LOCAL = ModelProvider(name="here", endpoint="http://127.0.0.1:1/v1")


def plan(*columns: dict[str, object], seed: tuple[str, ...] = ("id",), **model: object) -> Plan:
    builder = DataDesignerConfigBuilder([ModelConfig(alias="m", model="toy", **model)])  # type: ignore[arg-type]
    for column in columns:
        builder.add_column(**column)  # type: ignore[arg-type]
    return make_plan(builder.build(), seed, [LOCAL])


def text(name: str, prompt: str, alias: str = "m", **more: object) -> dict[str, object]:
    return {"name": name, "column_type": "llm-text", "prompt": prompt, "model_alias": alias, **more}


def expression(name: str, expr: str) -> dict[str, object]:
    return {"name": name, "column_type": "expression", "expr": expr}


def test_columns_come_in_waves() -> None:
    made = plan(expression("c", "{{ a }}{{ b }}"), text("a", "{{ id }}"), text("b", "x"))
    assert [[column.name for column in wave] for wave in made.waves] == [["a", "b"], ["c"]]
    assert made.needs["c"] == {"a", "b"}


def test_a_side_column_stands_for_its_column() -> None:
    made = plan(text("a", "x", with_trace="all_messages"), expression("n", "{{ a__trace | length }}"))
    assert made.needs["n"] == {"a"}


def test_all_mistakes_are_told_at_once() -> None:
    with pytest.raises(ConfigError) as told:
        plan(
            text("answer", "{{ question }}"),
            text("answer", "again"),
            text("id", "the seed has it"),
            text("late", "{{ anwser }}"),
            text("other", "x", alias="mm"),
            text("open", "{{ id "),
            expression("x", "{{ y }}"),
            expression("y", "{{ x }}"),
        )
    message = str(told.value)
    assert "2 columns are called `answer`" in message
    assert "column `id` has the name of a seed column" in message
    assert "`question`" in message
    assert "Did you mean `answer`?" in message
    assert "column `other` asks the model `mm`" in message and "Did you mean `m`?" in message
    assert "column `open`" in message
    assert "`x` → `y` → `x`" in message


def test_a_key_that_is_missing_is_a_mistake(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("OPENAI_API_KEY", raising=False)
    with pytest.raises(ConfigError, match="OPENAI_API_KEY"):
        plan(text("a", "x"), provider="openai")


def test_one_provider_is_told_of_once() -> None:
    columns = [text(name, "x", alias=name) for name in ("writer", "judge")]
    builder = DataDesignerConfigBuilder(
        [ModelConfig(alias=n, model="toy", provider="nope") for n in ("writer", "judge")]
    )
    for column in columns:
        builder.add_column(**column)  # type: ignore[arg-type]
    with pytest.raises(ConfigError) as told:
        make_plan(builder.build(), ())
    assert str(told.value).startswith("model 'writer' names the provider 'nope'") and str(told.value).count("nope") == 1
    assert "the same holds for 'judge'" in str(told.value)


def test_the_hash_follows_from_what_is_made_and_nothing_else() -> None:
    one = plan(text("a", "x"))
    assert one.hash == plan(text("a", "x"), inference_parameters={"timeout": 5, "max_parallel_requests": 3}).hash
    assert one.hash != plan(text("a", "y")).hash
    assert one.hash != plan(text("a", "x"), inference_parameters={"temperature": 0.5}).hash
    assert one.hash != plan(text("a", "x"), text("b", "x")).hash


def test_no_columns_is_a_mistake() -> None:
    with pytest.raises(ConfigError, match="no columns"):
        plan()
