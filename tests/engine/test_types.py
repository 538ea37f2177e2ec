"""The types of what custom columns return, of values that stand in for skipped cells; parts that fit together."""

from __future__ import annotations

import datetime
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pyarrow as pa
import pyarrow.dataset
import pytest
from pydantic import BaseModel

from rollmill.config import (
    CustomColumnConfig,
    DataDesignerConfigBuilder,
    DataFrameSeedSource,
    FileSystemSeedSource,
    custom_column_generator,
)
from rollmill.designer import DataDesigner
from rollmill.engine import window
from rollmill.engine.seedrows import READ_AT_ONCE
from rollmill.errors import ConfigError
from rollmill.results import DatasetCreationResults
from rollmill.seeds.reader import FileSystemSeedReader, SeedReaderFileSystemContext


class Point(BaseModel):
    x: int


VALUES: list[Any] = []


@custom_column_generator(required_columns=["n"], side_effect_columns=["side"])
def given(row: dict[str, Any]) -> dict[str, Any]:
    return {"c": VALUES[row["n"]], "side": row["n"] * 1.5}


def made(tmp_path: Path, *values: Any) -> DatasetCreationResults:
    """A data set whose column ``c`` has these values."""
    VALUES[:] = values
    builder = DataDesignerConfigBuilder().with_seed_dataset(
        DataFrameSeedSource(df=pa.table({"n": list(range(len(values)))}))
    )
    builder.add_column(CustomColumnConfig(name="c", generator_function=given))
    return DataDesigner(tmp_path).create(builder, num_records=None)


def column(results: DatasetCreationResults) -> list[Any]:
    found: list[Any] = results.load_dataset("arrow")["c"].to_pylist()
    return found


@pytest.mark.parametrize(
    ("values", "kept"),
    [
        ([1, None, 3], None),
        ([1, 2.5], [1.0, 2.5]),
        ([True, False], None),
        (["a", None], None),
        ([[1, 2], []], None),
        ([{"a": 1, "b": ["x"]}, {"a": None, "b": []}], None),
        ([(1, 2), {3}], [[1, 2], [3]]),
        ([datetime.date(2026, 1, 2)], None),
        ([np.int64(3), np.array([1, 2])[0]], [3, 1]),
        ([Point(x=1)], [{"x": 1}]),
        ([{1: "a"}], [{"1": "a"}]),
        ([None, None], None),
        # What no column holds is JSON text.
        ([1, "a", None, [2]], ["1", "a", None, "[2]"]),
        ([True, 1], ["true", "1"]),
        ([{}, {}], ["{}", "{}"]),
        ([1 << 70], [str(1 << 70)]),
    ],
)
def test_functions_values_are_kept(tmp_path: Path, values: list[Any], kept: list[Any] | None) -> None:
    results = made(tmp_path, *values)
    assert column(results) == (values if kept is None else kept)
    assert results.load_dataset("arrow")["side"].to_pylist() == [n * 1.5 for n in range(len(values))]


def test_what_is_no_data_is_a_failed_cell(tmp_path: Path) -> None:
    results = made(tmp_path, 1, object())
    assert column(results) == [1, None] and results.summary.causes == {"custom_failed": 1}


@pytest.mark.parametrize(
    ("values", "kept"),
    [
        ([1, 2, 3.5], [1.0, 2.0, 3.5]),
        ([None, 2, None], [None, 2, None]),
        ([1, 2, "a"], ["1", "2", "a"]),
        ([{"a": 1}, {"b": "x", "a": 2}], [{"a": 1, "b": None}, {"a": 2, "b": "x"}]),
        ([[], [1]], [[], [1]]),
        ([(1 << 60) + 1, 0.5], [str((1 << 60) + 1), "0.5"]),
        ([{"a": 1}, {"a": "x"}], ['{"a": 1}', '{"a": "x"}']),
    ],
)
def test_parts_fit_together(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, values: list[Any], kept: list[Any]
) -> None:
    monkeypatch.setattr(window, "PART_ROWS", 1)
    results = made(tmp_path, *values)
    assert column(results) == kept
    folder = results.artifact_storage.final_dataset_path
    assert pyarrow.dataset.dataset(folder).to_table().column("c").to_pylist() == kept, "whoever reads the parts"
    again = made(tmp_path, *values)
    assert again.summary.parts_kept == len(values) and column(again) == kept


class Numbers(FileSystemSeedSource):
    seed_type: str = "numbers-of-a-test"


class NumbersReader(FileSystemSeedReader[Numbers]):
    output_columns: ClassVar[list[str] | None] = ["n"]

    def build_manifest(self, *, context: SeedReaderFileSystemContext) -> list[dict[str, Any]]:
        return [{"number": 1}] * READ_AT_ONCE + [{"number": 2.5}]

    def hydrate_row(
        self, *, manifest_row: dict[str, Any], context: SeedReaderFileSystemContext
    ) -> list[dict[str, Any]]:
        return [{"n": manifest_row["number"]}]


def test_seeds_of_readers_keep_their_fractions(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The type of the first part was taken for all: 2.5 became 2."""
    monkeypatch.setattr(window, "PART_ROWS", READ_AT_ONCE)
    builder = DataDesignerConfigBuilder().with_seed_dataset(Numbers(path=tmp_path))
    builder.add_column(name="e", column_type="expression", expr="{{ n }}")
    results = DataDesigner(tmp_path / "a", seed_readers=[NumbersReader()]).create(builder, num_records=None)
    assert results.load_dataset("arrow")["n"].to_pylist() == [1.0] * READ_AT_ONCE + [2.5]


OPEN = {"type": "object"}
FIXED = {"type": "object", "properties": {"a": {"type": "string"}}, "additionalProperties": False}


@pytest.mark.parametrize(
    ("fields", "value", "fits"),
    [
        ({"column_type": "expression", "expr": "1", "dtype": "int"}, "n/a", False),
        ({"column_type": "expression", "expr": "1", "dtype": "int"}, 1.5, False),
        ({"column_type": "expression", "expr": "1", "dtype": "int"}, True, False),
        ({"column_type": "expression", "expr": "1", "dtype": "int"}, -1, True),
        ({"column_type": "expression", "expr": "1", "dtype": "float"}, 1, True),
        ({"column_type": "expression", "expr": "1", "dtype": "bool"}, 0, False),
        ({"column_type": "expression", "expr": "1"}, "n/a", True),
        ({"column_type": "expression", "expr": "1"}, 1, False),
        ({"column_type": "llm-text", "prompt": "x", "model_alias": "m"}, "none", True),
        ({"column_type": "llm-structured", "prompt": "x", "model_alias": "m", "output_format": FIXED}, "NA", False),
        ({"column_type": "llm-structured", "prompt": "x", "model_alias": "m", "output_format": FIXED}, None, True),
        ({"column_type": "llm-structured", "prompt": "x", "model_alias": "m", "output_format": OPEN}, "NA", True),
        ({"column_type": "custom", "generator_function": given}, "NA", True),
    ],
)
def test_what_stands_in_skipped_cells_fits(fields: dict[str, Any], value: Any, fits: bool) -> None:
    builder = DataDesignerConfigBuilder().add_column(name="c", skip={"when": "1", "value": value}, **fields)
    mistakes = builder.columns[0].check(["c", "n", "side"])
    assert [each for each in mistakes if "skip.value" in each] == mistakes and bool(mistakes) is not fits


def test_a_value_that_does_not_fit_stops_the_run_before_it_begins(tmp_path: Path) -> None:
    builder = DataDesignerConfigBuilder()
    builder.add_column(name="e", column_type="expression", expr="1", dtype="int", skip={"when": "", "value": "n/a"})
    with pytest.raises(ConfigError, match=r"skip\.value is 'n/a', and its cells are whole numbers"):
        DataDesigner(tmp_path).validate(builder)
