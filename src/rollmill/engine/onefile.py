"""A data set's parts as one file: JSON lines, CSV or Parquet, a part at a time."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import IO, Any

import msgspec
import pyarrow as pa
import pyarrow.parquet as pq

from rollmill.engine.outputs import COMPRESSION, COMPRESSION_LEVEL, _Aside, explained
from rollmill.engine.tables import as_text
from rollmill.errors import ConfigError, RollmillError

FORMATS = ("jsonl", "csv", "parquet")


def write_one_file(parts: Sequence[Path], path: Path, kind: str | None = None) -> Path:
    """The file, which has the parts' rows and appears when it is whole. ``kind`` is one of ``FORMATS``; None takes it
    from the file's ending. Raises ``ConfigError`` for other kinds, ``RollmillError`` when it cannot be written."""
    kind = path.suffix.lstrip(".").lower() if kind is None else kind
    if kind not in FORMATS:
        raise ConfigError(f"{path}: there is no format {kind!r}; give one of {', '.join(FORMATS)}")
    if not parts:
        raise RollmillError(f"there are no rows to write to {path}")
    aside = _Aside(path)
    try:
        with explained(path):
            {"jsonl": _json_lines, "csv": _csv, "parquet": _parquet}[kind](parts, aside.file)
            aside.keep()
    except BaseException:
        aside.discard()
        raise
    return path


def _tables(parts: Sequence[Path]) -> Iterator[pa.Table]:
    for part in parts:
        with pq.ParquetFile(part) as opened:
            yield opened.read().replace_schema_metadata(None)


def _json_lines(parts: Sequence[Path], file: IO[bytes]) -> None:
    encode = msgspec.json.Encoder(enc_hook=str).encode
    for table in _tables(parts):
        for batch in table.to_batches(100):
            file.writelines(encode(row) + b"\n" for row in batch.to_pylist())


def _csv(parts: Sequence[Path], file: IO[bytes]) -> None:
    """Lists and mappings are JSON; null is nothing."""
    text = io.TextIOWrapper(file, encoding="utf-8", newline="", write_through=True)
    writer = csv.writer(text)
    for number, table in enumerate(_tables(parts)):
        if not number:
            writer.writerow(table.column_names)
        for batch in table.to_batches(100):
            writer.writerows([_field(value) for value in row.values()] for row in batch.to_pylist())
    text.detach()


def _field(value: Any) -> Any:
    return as_text(value) if isinstance(value, list | dict) else value


def _parquet(parts: Sequence[Path], file: IO[bytes]) -> None:
    writer: pq.ParquetWriter | None = None
    for table in _tables(parts):
        options = {"compression": COMPRESSION, "compression_level": COMPRESSION_LEVEL}
        writer = writer or pq.ParquetWriter(file, table.schema, **options)
        writer.write_table(table)
    if writer is not None:
        writer.close()
