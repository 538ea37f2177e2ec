"""Tables in and out: local files and data frames as records, and a part's rows as one Arrow table."""

from __future__ import annotations

import csv
import glob
import json
import os
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

import msgspec
import pyarrow as pa
import pyarrow.parquet as pq

from rollmill.config import DataFrameSeedSource, LocalFileSeedSource
from rollmill.engine.where import matching
from rollmill.errors import SeedReaderError
from rollmill.rollout import Rollout
from rollmill.rows import new_array, record_batch
from rollmill.seeds.source import SeedSource

Record = dict[str, Any]
CHUNK, CHUNK_BYTES = 100, 4 << 20
"""Rows are read so many at a time, fewer where they are big."""
STREAM_BYTES = 1 << 20
TEXT = pa.large_string()
"""The type of what is text, and of what has no other: JSON."""


@dataclass
class Table:
    """Records with known columns: ``records()`` reads them from the start, one after the other."""

    schema: pa.Schema
    files: Sequence[Path]
    records: Callable[[], Iterator[Record]]
    size: Callable[[], int]


def open_table(source: SeedSource) -> Table:
    """The table of a local file, files or a data frame. Raises ``SeedReaderError`` for what cannot be read."""
    if isinstance(source, DataFrameSeedSource):
        return _frame(source.df)
    assert isinstance(source, LocalFileSeedSource)
    files = _files(source.path)
    kind = files[0].suffix.lower()
    with_reader = {".parquet": _parquet, ".csv": _csv, ".jsonl": _jsonl, ".ndjson": _jsonl, ".json": _jsonl}
    if kind not in with_reader or any(file.suffix.lower() != kind for file in files):
        raise SeedReaderError(f"{source.path!r}: give files of one kind, .parquet, .jsonl or .csv")
    try:
        return with_reader[kind](files)
    except (OSError, UnicodeDecodeError, pa.ArrowInvalid, csv.Error) as error:
        raise SeedReaderError(f"{source.path!r} cannot be read: {error}") from error


def _files(pattern: str) -> list[Path]:
    path = Path(os.path.expanduser(pattern))
    if path.is_file():
        return [path]
    if path.is_dir():
        raise SeedReaderError(f"seed path {pattern!r} is a folder; give its files: '{pattern.rstrip('/')}/*.parquet'")
    found = sorted(Path(name) for name in glob.glob(str(path), recursive=True) if Path(name).is_file())
    if not found:
        raise SeedReaderError(f"no file is called {pattern!r} (looked in {Path.cwd()})")
    return found


def _frame(df: Any) -> Table:
    """A pandas or Polars frame, or an Arrow table."""
    try:
        table = df if isinstance(df, pa.Table) else df.to_arrow() if hasattr(df, "to_arrow") else _from_pandas(df)
    except (pa.ArrowException, TypeError, ValueError) as error:
        raise SeedReaderError(f"the data frame cannot become an Arrow table: {error}") from error
    return Table(table.schema, (), lambda: _of_batches(table.to_batches(CHUNK)), lambda: table.num_rows)


def _from_pandas(df: Any) -> pa.Table:
    return pa.Table.from_pandas(df, preserve_index=False)


def _of_batches(batches: Iterable[pa.RecordBatch]) -> Iterator[Record]:
    """The batches' rows. Each is let go when it is handed on: where texts are long, a batch is many megabytes."""
    for batch in batches:
        waiting = batch.to_pylist()[::-1]
        del batch
        while waiting:
            yield waiting.pop()


def _parquet(files: Sequence[Path]) -> Table:
    schema = pa.unify_schemas([pq.read_schema(file) for file in files], promote_options="permissive")
    schema = schema.remove_metadata()

    def records() -> Iterator[Record]:
        for file in files:
            # Read as it is asked for: else every byte once read is held until the file is closed.
            with pq.ParquetFile(file, pre_buffer=False, buffer_size=STREAM_BYTES) as opened:
                for record in _of_batches(opened.iter_batches(_rows_at_once(opened.metadata), use_threads=False)):
                    yield {name: record.get(name) for name in schema.names}

    return Table(schema, files, records, lambda: sum(pq.read_metadata(file).num_rows for file in files))


def _rows_at_once(file: Any) -> int:
    """As many rows as have few megabytes, by the size the file has unpacked."""
    size = sum(file.row_group(number).total_byte_size for number in range(file.num_row_groups))
    fitting: int = CHUNK_BYTES * file.num_rows // max(size, 1)
    return max(1, min(CHUNK, fitting))


def _jsonl(files: Sequence[Path]) -> Table:
    def read() -> Iterator[Record]:
        return (record for file in files for record in _json_records(file))

    return _inferred(read, files)


def _json_records(file: Path) -> Iterator[Record]:
    with file.open("rb") as lines:
        for number, line in enumerate(lines, 1):
            if line.strip():
                yield _json_record(line, file, number)


def _json_record(line: bytes, file: Path, number: int) -> Record:
    try:
        record = msgspec.json.decode(line)
    except (msgspec.MsgspecError, UnicodeError, RecursionError) as error:
        raise SeedReaderError(f"{file}, line {number} is no JSON: {error}; a seed file has one object a line") from None
    if not isinstance(record, dict):
        raise SeedReaderError(f"{file}, line {number} is {type(record).__name__}; a seed file has one object a line")
    return record


def _csv(files: Sequence[Path]) -> Table:
    def read() -> Iterator[dict[str, str]]:
        for file in files:
            with file.open(encoding="utf-8-sig", newline="") as lines:
                yield from _csv_records(csv.DictReader(lines, strict=True), file)

    kinds: dict[str, type] = {}
    for record in read():
        for name, text in record.items():
            kinds[name] = _narrower(kinds.get(name, int), text)

    def typed() -> Iterator[Record]:
        return ({name: _as_kind(text, kinds[name]) for name, text in record.items()} for record in read())

    return _inferred(typed, files)


def _csv_records(reader: csv.DictReader[str], file: Path) -> Iterator[dict[str, str]]:
    for record in reader:
        if None in record or None in record.values():
            raise SeedReaderError(f"{file}, line {reader.line_num}: a row has more or fewer fields than the first line")
        yield record


def _narrower(kind: type, text: str) -> type:
    """The kind of number that a column still can be with this text in it; ``str`` when it is none."""
    if kind is str or not text:
        return kind
    if kind is int and text.removeprefix("-").isdecimal() and text.isascii() and str(int(text)) == text:
        return int
    try:
        float(text)
    except ValueError:
        return str
    digits = text.lstrip("-")
    is_code = digits[:1] == "0" and digits[1:2].isdecimal()  # 007 is a name, not a number
    return str if is_code or "_" in text else float


def _as_kind(text: str, kind: type) -> Any:
    return (text if kind is str else kind(text)) if text else None


def _inferred(read: Callable[[], Iterator[Record]], files: Sequence[Path]) -> Table:
    """Records whose columns and types follow from all of them: they are read once to find these out."""
    fields: dict[str, pa.DataType] = {}
    size, source = 0, read()
    while chunk := list(islice(source, CHUNK)):
        size += len(chunk)
        for name in dict.fromkeys(name for record in chunk for name in record):
            fields[name] = _unified(fields.get(name), [record.get(name) for record in chunk])
    schema = pa.schema(list(fields.items()))

    def records() -> Iterator[Record]:
        return ({name: record.get(name) for name in schema.names} for record in read())

    return Table(schema, files, records, lambda: size)


def _unified(known: pa.DataType | None, values: list[Any]) -> pa.DataType:
    """A type that fits the values and those before them: text (JSON) when nothing else does."""
    try:
        found = pa.array(values).type
        schemas = [pa.schema([("x", each)]) for each in (known, found) if each is not None]
        return pa.unify_schemas(schemas, promote_options="permissive").field("x").type
    except (pa.ArrowException, ValueError, TypeError, OverflowError):
        return TEXT


def batch_of(records: Sequence[Record]) -> pa.RecordBatch:
    """Records of one shape as a batch, each column with the type its values have."""
    names = list(records[0])
    columns = [typed_array([record[name] for record in records], None) for name in names]
    return pa.RecordBatch.from_arrays(columns, names=names)


def matching_numbers(batch: pa.RecordBatch, where: str) -> list[int]:
    """The numbers of the batch's rows for which the condition holds. Raises ``ConfigError`` when it does not work."""
    numbers = pa.array(range(batch.num_rows), pa.int64())
    numbered = pa.RecordBatch.from_arrays([*batch.columns, numbers], names=[*batch.schema.names, "rollmill_number"])
    found: list[int] = matching(numbered, where).column("rollmill_number").to_pylist()
    return found


def no_rows(columns: Sequence[str], schema: pa.Schema | None) -> pa.RecordBatch:
    """A batch without rows, of this schema; where none is known, of columns of text."""
    return pa.RecordBatch.from_pylist([], schema or pa.schema([(name, TEXT) for name in columns]))


def typed_array(values: Sequence[Any], kind: pa.DataType | None) -> pa.Array:
    """The values as an array of a type (of the one Arrow finds); as JSON text when they have no common type, or one
    that Parquet does not hold."""
    try:
        array = new_array(values, kind)
        if kind is None:
            pq.write_table(pa.table({"x": array.slice(0, 0)}), pa.BufferOutputStream())
        return array
    except (pa.ArrowException, ValueError, TypeError, OverflowError):
        return new_array([value if value is None else as_text(value) for value in values], TEXT)


def as_text(value: Any) -> str:
    """The value as text: itself, or JSON."""
    text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False, default=str)
    return text.encode("utf-8", "replace").decode()


def seed_table(contents: Sequence[Rollout | Record], columns: Sequence[str], types: Mapping[str, Any]) -> pa.Table:
    """The seed's columns of these rows: rollouts in their fixed schema, records in the types that are known."""
    if contents and isinstance(contents[0], Rollout):
        return pa.Table.from_batches([record_batch(list(contents))])  # type: ignore[arg-type]
    arrays = [typed_array([row[name] for row in contents], types.get(name)) for name in columns]  # type: ignore[index]
    return pa.table(arrays, names=list(columns))
