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
from rollmill.errors import ConfigError
from rollmill.refused import REFUSED

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
    with pytest.raises(AttributeError, match=rf"{name} is a name of Data Designer"):
        getattr(rollmill.config, name)


def test_paths_are_text() -> None:
    assert LocalFileSeedSource(path=Path("x.csv")).path == "x.csv"
