"""Rollouts to Arrow and back, and through what else reads Parquet."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import msgspec
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from rollmill.rollout import COLUMNS, Block, Function, Message, Rollout, ToolCall
from rollmill.rows import ROW_SCHEMA, batches, record_batch
from tests.writers.settings import examples

SNAPSHOT = """
trace_id: large_string
source_kind: large_string
source_path: large_string
root_session_id: large_string
agent_id: large_string
is_sidechain: bool
cwd: large_string
project_path: large_string
git_branch: large_string
started_at: large_string
ended_at: large_string
messages: large_list
  role: large_string
  content: large_list
    type: large_string
    text: large_string
    media: struct
      sha256: large_string
      media_type: large_string
      size: int64
      url: large_string
  reasoning_content: large_string
  tool_calls: large_list
    id: large_string
    type: large_string
    function: struct
      name: large_string
      arguments: large_string
  tool_call_id: large_string
  extra: struct
    id: large_string
    origin: large_string
    kind: large_string
    part: int64
    timestamp: large_string
    model: large_string
    is_error: bool
    line: int64
    segment: int64
    usage: struct
      input_tokens: int64
      cache_read_tokens: int64
      cache_write_tokens: int64
      output_tokens: int64
      reasoning_tokens: int64
    thinking: large_string
    block_order: large_string
    other: large_string
message_count: int64
tool_call_count: int64
final_assistant_message: large_string
source_meta: large_string
"""
"""The schema that users' files have. A change here is a new ``ROW_SCHEMA_VERSION`` and a line in the changelog."""


def spelled_out(fields: Any, indent: str = "") -> list[str]:
    lines = []
    for field in fields:
        kind = field.type
        inner = kind.value_type if pa.types.is_large_list(kind) else kind
        nested = pa.types.is_struct(inner)
        name = "large_list" if kind is not inner else "struct" if nested else str(kind)
        lines.append(f"{indent}{field.name}: {name}")
        if nested:
            lines += spelled_out(inner, indent + "  ")
    return lines


def test_the_schema_is_the_committed_one() -> None:
    assert spelled_out(ROW_SCHEMA) == SNAPSHOT.strip().splitlines()
    assert ROW_SCHEMA.metadata == {b"rollmill.row_schema": b"1"}
    assert tuple(ROW_SCHEMA.names) == COLUMNS


# Any rollout

_TEXT = st.text(max_size=6)
_COUNT = st.integers(0, 2**53)
"""pandas without its Arrow types makes floats of nested integers beside nulls: exact up to here."""


def _optional(values: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    return st.one_of(st.none(), values)


_json_text = st.builds(json.dumps, st.dictionaries(_TEXT, st.integers(), max_size=2))
st.register_type_strategy(str, _TEXT)
st.register_type_strategy(int, _COUNT)


def structs(kind: type, **given_values: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    """Any value of a msgspec struct, field by field from its annotations."""
    fields = {}
    for field in msgspec.structs.fields(kind):
        fields[field.name] = given_values.get(field.name) or _of_type(field.type)
    return st.builds(kind, **fields)


def _of_type(kind: Any) -> st.SearchStrategy[Any]:
    if isinstance(kind, type) and issubclass(kind, msgspec.Struct):
        return structs(kind)
    origin, arguments = getattr(kind, "__origin__", None), getattr(kind, "__args__", ())
    if origin is list:
        inner = _json if arguments[0] is Any else _of_type(arguments[0])
        return st.lists(inner, max_size=3)
    if origin is dict:
        return st.dictionaries(_TEXT, _json if arguments[1] is Any else _of_type(arguments[1]), max_size=2)
    if arguments and type(None) in arguments:
        return st.one_of(st.none(), *(_of_type(each) for each in arguments if each is not type(None)))
    return st.from_type(kind)


_json = st.recursive(
    st.one_of(st.none(), st.booleans(), st.integers(-(2**53), 2**53), _TEXT),
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(_TEXT, inner, max_size=2),
    max_leaves=4,
)
_rollouts = structs(Rollout)
_some_rollouts = st.lists(_rollouts, max_size=4)


def python_rows(table: pa.Table | pa.RecordBatch) -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = table.to_pylist()
    for row in rows:
        row["source_meta"] = json.loads(row["source_meta"])
    return rows


@examples(60)
@given(_some_rollouts)
def test_a_batch_says_what_the_rollouts_say(rollouts: list[Rollout]) -> None:
    batch = record_batch(rollouts)
    batch.validate(full=True)
    assert batch.schema.equals(ROW_SCHEMA, check_metadata=True)
    assert python_rows(batch) == [rollout.to_row() for rollout in rollouts]


@examples(30)
@given(_some_rollouts, st.integers(1, 2000), st.one_of(st.none(), st.integers(1, 3)))
def test_batches_keep_every_row_in_order(rollouts: list[Rollout], size: int, rows: int | None) -> None:
    cut = list(batches(rollouts, size, rows))
    assert [row for batch in cut for row in python_rows(batch)] == [rollout.to_row() for rollout in rollouts]
    assert all(0 < batch.num_rows <= (rows or batch.num_rows) for batch in cut)


# Other readers


def _example_rollouts() -> list[Rollout]:
    """A hundred rollouts; every optional field is there in some and absent in others."""
    found: list[Rollout] = []

    @examples(100)
    @given(_rollouts)
    def collect(rollout: Rollout) -> None:
        found.append(rollout)

    collect()
    return found


@pytest.fixture(scope="module")
def table() -> pa.Table:
    return pa.Table.from_batches([record_batch(_example_rollouts())])


@pytest.fixture(scope="module")
def parquet(table: pa.Table, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path: Path = tmp_path_factory.mktemp("rows") / "rows.parquet"
    pq.write_table(table, path, row_group_size=30)
    return path


def same(read: pa.Table, original: pa.Table) -> None:
    assert read.cast(ROW_SCHEMA).to_pylist() == original.to_pylist()


def test_the_examples_have_everything(table: pa.Table) -> None:
    messages = [message for row in table["messages"].to_pylist() for message in row]
    assert {bool(message["extra"]["usage"]) for message in messages} == {True, False}
    assert {bool(block["media"]) for message in messages for block in message["content"]} == {True, False}
    assert {bool(message["tool_calls"]) for message in messages} == {True, False}
    assert {row["agent_id"] is None for row in table.select(["agent_id"]).to_pylist()} == {True, False}
    assert 0 in table["message_count"].to_pylist()


def test_parquet(parquet: Path, table: pa.Table) -> None:
    schema = pq.read_table(parquet).schema
    assert schema.equals(ROW_SCHEMA) and schema.metadata == ROW_SCHEMA.metadata
    same(pq.read_table(parquet), table)


def test_duckdb(parquet: Path, table: pa.Table) -> None:
    duckdb = pytest.importorskip("duckdb")
    with duckdb.connect() as connection:
        same(connection.sql(f"select * from '{parquet}'").to_arrow_table(), table)
        (count,) = connection.execute(
            "select count(*) from (select unnest(messages) as m from read_parquet(?)) where m.extra.usage is null",
            [str(parquet)],
        ).fetchone()
    assert count == sum(m["extra"]["usage"] is None for row in table["messages"].to_pylist() for m in row)


def test_duckdb_writes_it_back(parquet: Path, table: pa.Table, tmp_path: Path) -> None:
    duckdb = pytest.importorskip("duckdb")
    target = tmp_path / "again.parquet"
    with duckdb.connect() as connection:
        connection.execute(f"copy (select * from read_parquet('{parquet}')) to '{target}' (format parquet)")
    same(pq.read_table(target), table)


def test_polars(parquet: Path, table: pa.Table, tmp_path: Path) -> None:
    polars = pytest.importorskip("polars")
    frame = polars.read_parquet(parquet)
    same(frame.to_arrow(), table)
    frame.write_parquet(tmp_path / "again.parquet")
    same(pq.read_table(tmp_path / "again.parquet"), table)


def test_pandas(parquet: Path, table: pa.Table, tmp_path: Path) -> None:
    pandas = pytest.importorskip("pandas")
    frame = pandas.read_parquet(parquet, dtype_backend="pyarrow")
    same(pa.Table.from_pandas(frame, preserve_index=False), table)
    plain = pandas.read_parquet(parquet)
    same(pa.Table.from_pandas(plain, schema=ROW_SCHEMA, preserve_index=False), table)
    frame.to_parquet(tmp_path / "again.parquet", index=False)
    same(pq.read_table(tmp_path / "again.parquet"), table)


def test_hugging_face_datasets(parquet: Path, table: pa.Table, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in {"HF_HUB_OFFLINE": "1", "HF_HOME": str(tmp_path), "HF_DATASETS_OFFLINE": "1"}.items():
        monkeypatch.setenv(name, value)
    assert os.environ["HF_HUB_OFFLINE"] == "1"
    datasets = pytest.importorskip("datasets")
    data = datasets.load_dataset("parquet", data_files=str(parquet), split="train", cache_dir=str(tmp_path / "cache"))
    same(data.with_format("arrow")[:], table)
    assert data[0]["trace_id"] == table["trace_id"][0].as_py()
    data.to_parquet(str(tmp_path / "again.parquet"))
    same(pq.read_table(tmp_path / "again.parquet"), table)


# Sizes


def test_row_groups_are_at_most_64_mb(tmp_path: Path) -> None:
    """Ordinary rows (up to some megabytes each) one batch a row group."""
    text = "ab€" * 300_000

    def rollout(number: int) -> Rollout:
        calls = [ToolCall(str(number), Function("f", text))]
        messages = [Message("user", [Block("text", text)]), Message("assistant", [], text, calls)]
        empty = msgspec.convert({"parser": "x"}, type=msgspec.structs.fields(Rollout)[-1].type)
        return Rollout(str(number), "x", "p", None, None, False, None, None, None, None, None, messages, empty)

    path = tmp_path / "rows.parquet"
    with pq.ParquetWriter(path, ROW_SCHEMA, compression="none", use_dictionary=False) as writer:
        for batch in batches(rollout(n) for n in range(30)):
            writer.write_batch(batch)
    metadata = pq.read_metadata(path)
    sizes = [metadata.row_group(n).total_byte_size for n in range(metadata.num_row_groups)]
    assert metadata.num_rows == 30 and len(sizes) > 1
    assert max(sizes) <= 64 << 20
