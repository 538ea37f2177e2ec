"""What comes back from a run, in one file and as the next run's seed; replies to the same prompt."""

from __future__ import annotations

import csv
import json
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

from rollmill.config import CustomColumnConfig, custom_column_generator
from rollmill.designer import DataDesigner
from rollmill.engine import window
from rollmill.errors import ConfigError, RollmillError
from rollmill.results import DatasetCreationResults
from tests.engine.runs import builder, designer, prompts, seed_file
from tests.models.server import ModelServer


@pytest.fixture
def made(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> DatasetCreationResults:
    """Five rows in three parts."""
    monkeypatch.setattr(window, "PART_ROWS", 2)
    seed = seed_file(tmp_path / "s.jsonl", 5, data={"words": ["ä", "b\n,"]}, none=None)
    config = builder(seed, a={"expr": "{{ id }}!"}, n={"expr": "{{ 2 }}", "dtype": "int"})
    return DataDesigner(tmp_path).create(config, num_records=None)


def test_one_file(made: DatasetCreationResults, tmp_path: Path) -> None:
    rows = made.load_dataset("arrow").to_pylist()
    assert len(rows) == 5
    assert pq.read_table(made.export(tmp_path / "out.parquet")).to_pylist() == rows
    lines = made.export(str(tmp_path / "out.txt"), format="jsonl").read_text().splitlines()
    assert [json.loads(line) for line in lines] == rows
    with made.export(tmp_path / "out.csv").open(encoding="utf-8", newline="") as file:
        fields = list(csv.DictReader(file))
    assert [(each["id"], each["n"], each["none"]) for each in fields] == [(row["id"], "2", "") for row in rows]
    assert json.loads(fields[0]["data"]) == rows[0]["data"]
    assert not list(tmp_path.glob(".*writing*"))


def test_formats_that_are_none(made: DatasetCreationResults, tmp_path: Path) -> None:
    for wrong in ({"path": tmp_path / "out.xlsx"}, {"path": tmp_path / "out.csv", "format": "xml"}):
        with pytest.raises(ConfigError, match="jsonl, csv, parquet"):
            made.export(**wrong)
    (tmp_path / "file").touch()
    with pytest.raises(RollmillError, match="cannot be written"):
        made.export(tmp_path / "file" / "out.csv")


def test_rows_are_the_next_seed(made: DatasetCreationResults, tmp_path: Path) -> None:
    following = made.to_config_builder(columns=["id", "n"]).add_column(
        name="m", column_type="expression", expr="{{ n + 1 }}", dtype="int"
    )
    assert [model.alias for model in following.model_configs] == ["m"]
    rows = DataDesigner(tmp_path).preview(following).table.to_pylist()
    assert rows[0] == {"id": "row-00000", "n": 2, "m": 3} and len(rows) == 5
    with pytest.raises(ConfigError, match="Did you mean `id`"):
        made.to_config_builder(columns=["idd"])


def test_traces_can_be_left_out(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with ModelServer("words") as server:
        made = designer(tmp_path, server).preview(
            builder(a={"prompt": "x", "with_trace": "all_messages"}), num_records=1
        )
    made.display_sample_record(theme="dark")
    assert "a__trace" in capsys.readouterr().out
    made.display_sample_record(include_traces=False)
    shown = capsys.readouterr().out
    assert "a__trace" not in shown and "[a]" in shown


@custom_column_generator(model_aliases=["m"])
async def drafts(row: dict[str, Any], generator_params: None, models: Any) -> list[str]:
    return [(await models["m"].agenerate("A title", sample=number))[0] for number in (0, 1, 1)]


def test_samples_are_asked_once_each_and_kept(tmp_path: Path) -> None:
    replies = iter("abcdef")
    config = builder()
    config.add_column(CustomColumnConfig(name="titles", generator_function=drafts))
    with ModelServer(lambda body: next(replies)) as server:
        first = designer(tmp_path, server).create(config, num_records=1)
        config.add_column(name="more", column_type="expression", expr="1")
        again = designer(tmp_path, server).create(config, num_records=1)
        assert prompts(server) == ["A title"] * 2
    for results in (first, again):
        assert results.load_dataset("arrow")["titles"].to_pylist() == [["a", "b", "b"]]
