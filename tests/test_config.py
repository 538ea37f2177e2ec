"""Configurations are data: exact round trips, and mistakes in words."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

import rollmill.config
from rollmill.config import (
    AgentRolloutSeedSource,
    DataDesignerConfig,
    DataDesignerConfigBuilder,
    DataFrameSeedSource,
    LocalFileSeedSource,
    ModelConfig,
    PartitionBlock,
    SamplingStrategy,
)
from rollmill.designer import DataDesigner
from rollmill.errors import ConfigError
from rollmill.refused import REFUSED, REFUSED_PARTS
from rollmill.results import DatasetCreationResults, PreviewResults

TEXT = {"name": "a", "column_type": "llm-text", "prompt": "{{ id }}", "model_alias": "m"}


def whole() -> DataDesignerConfigBuilder:
    builder = DataDesignerConfigBuilder([ModelConfig(alias="m", model="toy", inference_parameters={"top_p": 0.5})])
    builder.with_seed_dataset(
        AgentRolloutSeedSource(format="codex"),
        sampling_strategy=SamplingStrategy.SHUFFLE,
        selection_strategy=PartitionBlock(index=1, num_partitions=3),
        seed=7,
        where="message_count > 2",
    )
    builder.add_column(
        **TEXT, system_prompt="Be\nbrief.", skip={"when": "{{ id }}", "value": 3}, with_trace="all_messages"
    )
    builder.add_column(name="n", column_type="expression", expr="{{ a | length }}", dtype="int")
    builder.add_column(
        name="j", column_type="llm-judge", prompt="{{ a }}", model_alias="m",
        scores=[{"name": "s", "description": "d", "options": {0: "no", 1: "yes"}}],
    )  # fmt: skip
    builder.add_column(
        name="s", column_type="llm-structured", prompt="x", model_alias="m",
        output_format={"type": "object", "properties": {"x": {"type": "string"}}, "required": ["x"]},
    )  # fmt: skip
    return builder


def test_round_trips_are_exact() -> None:
    config = whole().build()
    assert DataDesignerConfig.from_yaml(config.to_yaml()) == config
    assert DataDesignerConfig.from_json(config.to_json()) == config
    assert DataDesignerConfig.from_yaml(config.to_yaml()).to_yaml() == config.to_yaml()


@given(st.text(st.characters(codec="utf-8")))
def test_any_prompt_survives_yaml(text: str) -> None:
    config = DataDesignerConfigBuilder().add_column(**{**TEXT, "prompt": text}).build()
    assert DataDesignerConfig.from_yaml(config.to_yaml()) == config
    assert DataDesignerConfig.from_json(config.to_json()) == config


def test_files(tmp_path: Path) -> None:
    for name in ("c.yaml", "c.json"):
        whole().write_config(tmp_path / name)
        assert DataDesignerConfig.load(tmp_path / name) == whole().build()
        assert DataDesignerConfigBuilder.from_config(tmp_path / name).build() == whole().build()


def test_no_machines_folder_is_saved() -> None:
    assert "path" not in whole().build().to_dict()["seed_config"]["source"]


def test_mistakes_of_a_file_are_told_with_its_name(tmp_path: Path) -> None:
    path = tmp_path / "c.yaml"
    for text, words in [
        ("- a", "mapping"),
        ("columns: [{name: a, column_type: llm-txt}]", "llm-text"),
        ("columns: [{name: a, column_type: sampler}]", "seed"),
        ("columns: []\ncolour: red", "colour"),
        ("columns: {", "YAML"),
        ("columns: []\nseed_config: {source: {seed_type: hf}}", "hf"),
    ]:
        path.write_text(text)
        with pytest.raises(ConfigError) as told:
            DataDesignerConfig.load(path)
        assert str(told.value).startswith(str(path)) and words in str(told.value)


def test_a_data_frame_cannot_be_saved() -> None:
    builder = DataDesignerConfigBuilder().add_column(**TEXT)
    builder.with_seed_dataset(DataFrameSeedSource(df=pd.DataFrame({"id": [1]})))
    with pytest.raises(ConfigError, match="LocalFileSeedSource"):
        builder.build().to_yaml()


def test_columns_by_name() -> None:
    builder = whole()
    assert builder.get_column_config("n").column_type == "expression"
    assert [column.name for column in builder.delete_column("n").get_column_configs()] == ["a", "j", "s"]
    with pytest.raises(ConfigError, match="no column is called 'n'"):
        builder.get_column_config("n")


@pytest.mark.parametrize("wrong", [{"column_config": "text"}, {"name": "a"}, {**TEXT, "promt": "x"}])
def test_what_is_no_column_is_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(ConfigError):
        DataDesignerConfigBuilder().add_column(**wrong)


def test_models_of_a_file(tmp_path: Path) -> None:
    (tmp_path / "m.yaml").write_text("model_configs:\n- {alias: m, model: toy}\n")
    assert DataDesignerConfigBuilder(tmp_path / "m.yaml").model_configs == [ModelConfig(alias="m", model="toy")]


def test_every_public_name_is_there() -> None:
    for name in rollmill.config.__all__:
        assert getattr(rollmill.config, name) is not None


@pytest.mark.parametrize("name", sorted(REFUSED))
def test_names_of_the_reference_say_what_to_use(name: str) -> None:
    with pytest.raises(AttributeError, match=rf"{name} is of Data Designer"):
        getattr(rollmill.config, name)


CLASSES = {"DataDesigner": DataDesigner, "DataDesignerConfigBuilder": DataDesignerConfigBuilder}
RESULTS = {"PreviewResults": PreviewResults, "DatasetCreationResults": DatasetCreationResults}


@pytest.mark.parametrize("part", sorted(part for part in REFUSED_PARTS if "." in part))
def test_methods_of_the_reference_say_what_to_use(part: str) -> None:
    kind, _, name = part.partition(".")
    it = CLASSES[kind]() if kind in CLASSES else RESULTS[kind].__new__(RESULTS[kind])
    with pytest.raises(AttributeError) as told:
        getattr(it, name)
    assert str(told.value).startswith(f"{part} is of Data Designer") and not hasattr(it, name)


def test_other_names_are_just_not_there() -> None:
    with pytest.raises(AttributeError, match="'DataDesignerConfigBuilder' object has no attribute 'add_colum'"):
        DataDesignerConfigBuilder().add_colum()  # type: ignore[attr-defined]


@pytest.mark.parametrize("part", sorted(part for part in REFUSED_PARTS if "(" in part))
def test_arguments_of_the_reference_say_what_to_use(part: str, tmp_path: Path) -> None:
    call, _, name = part.removesuffix(")").partition("(")
    calls: dict[str, Any] = {
        **CLASSES,
        "create": lambda **given: DataDesigner(tmp_path).create(whole(), **given),
        "display_sample_record": lambda **given: PreviewResults.__new__(PreviewResults).display_sample_record(**given),
    }
    with pytest.raises(ConfigError, match=rf"{call}\({name}\) is of Data Designer"):
        calls[call](**{name: "x"})
    with pytest.raises(TypeError, match="unexpected keyword argument 'nonsense'"):
        calls[call](nonsense=1)


def test_arguments_that_ask_for_nothing_are_taken() -> None:
    assert DataDesignerConfigBuilder(tool_configs=[]).columns == []


def test_columns_by_type_and_models_by_alias() -> None:
    builder = whole()
    assert [column.name for column in builder.get_columns_of_type("llm-text")] == ["a"]
    assert [column.name for column in builder.get_columns_excluding_type("llm-text")] == ["n", "j", "s"]
    assert builder.num_columns_of_type("expression") == 1
    assert builder.allowed_references == ["a", "a__trace", "n", "j", "s"]
    assert builder.delete_model_config("m").model_configs == []
    with pytest.raises(ConfigError, match="Did you mean `llm-text`"):
        builder.get_columns_of_type("llm-txt")


def test_paths_are_text() -> None:
    assert LocalFileSeedSource(path=Path("x.csv")).path == "x.csv"
