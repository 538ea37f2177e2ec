"""What a seed reader must give, and the errors that tell its author what it gave instead.

A manifest is a list of dicts (or a pandas DataFrame); a hydrated row is a dict or an iterable of dicts, each with
exactly the reader's output columns.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Any

from rollmill.errors import SeedReaderError

Record = dict[str, Any]


def manifest_records(manifest: Any, reader_name: str) -> list[Record]:
    """The manifest as dicts that all have the same keys; a key that a row lacks is None."""
    rows = manifest.to_dict(orient="records") if hasattr(manifest, "to_dict") else manifest
    if not isinstance(rows, list):
        raise SeedReaderError(
            f"{reader_name}.build_manifest() returned {type(rows).__name__}; "
            f"return a list of dicts or a pandas DataFrame, one row per file or group of files"
        )
    for number, row in enumerate(rows):
        if not isinstance(row, dict):
            raise SeedReaderError(
                f"{reader_name}.build_manifest(): row {number} is {type(row).__name__} {row!r:.80}; make it a dict"
            )
    return _with_the_same_keys(rows)


def _with_the_same_keys(rows: list[Record]) -> list[Record]:
    first = list(rows[0]) if rows else []
    if all(list(row) == first for row in rows):
        return rows
    columns = dict.fromkeys(key for row in rows for key in row)
    return [{column: row.get(column) for column in columns} for row in rows]


def hydrated_records(output: Any, columns: Sequence[str], reader_name: str, row_name: str) -> Iterator[Record]:
    """The records that ``hydrate_row`` returned for one manifest row, one after the other, each checked."""
    place = f"{reader_name}.hydrate_row() for manifest row {row_name}"
    if isinstance(output, dict):
        output = [output]
    if not isinstance(output, Iterable):
        raise SeedReaderError(f"{place} returned {type(output).__name__}; return a dict or an iterable of dicts")
    expected = set(columns)
    for number, record in enumerate(output):
        if not isinstance(record, dict):
            raise SeedReaderError(f"{place}: record {number} is {type(record).__name__} {record!r:.80}; make it a dict")
        if record.keys() != expected:
            raise SeedReaderError(f"{place}: record {number} {_difference(record, columns)}")
        yield record


def _difference(record: Record, columns: Sequence[str]) -> str:
    missing = [repr(column) for column in columns if column not in record]
    undeclared = [repr(column) for column in record if column not in columns]
    parts = []
    if missing:
        parts.append(f"lacks {', '.join(missing)}")
    if undeclared:
        parts.append(f"has {', '.join(undeclared)}, which output_columns does not name")
    return f"{' and '.join(parts)}; every record needs exactly the output columns {', '.join(columns)}"
