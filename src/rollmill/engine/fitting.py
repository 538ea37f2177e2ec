"""Parts that fit together. Where a column's type follows from its values (custom columns, seeds of other packages),
the parts of one data set may have different ones; at the end of a run all get the one that holds every value: numbers
with a fraction for numbers, all fields for mappings, and text, JSON where it was none, for what has nothing in common.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import pyarrow as pa
import pyarrow.parquet as pq

from rollmill.engine.tables import TEXT, as_text

if TYPE_CHECKING:
    from rollmill.engine.store import RunFolder


class _Misfit(Exception):
    """A column whose values do not all become the type that its parts have in common."""


def fit_parts(folder: RunFolder) -> None:
    """Give each column one type in all parts of the folder. Parts that have it already are not touched."""
    texts: set[str] = set()
    while (misfit := _fit(folder, texts)) is not None:
        texts.add(misfit)


def _fit(folder: RunFolder, texts: set[str]) -> str | None:
    """Rewrites the parts that differ, with these columns as text; the name of a column that has to be text too."""
    parts = {path: schema for path in folder.part_paths() if (schema := _schema(path)) is not None}
    schemas = list(parts.values())
    wanted = [(name, TEXT if name in texts else common_type(_types(name, schemas))) for name in _names(schemas)]
    try:
        for path, schema in parts.items():
            _rewrite(folder, path, schema, pa.schema(wanted))
    except _Misfit as misfit:
        return str(misfit)
    return None


def _schema(path: Path) -> pa.Schema | None:
    """The part's schema; None for a damaged part, which a run that comes to its end writes anew."""
    try:
        return pq.read_schema(path)
    except (OSError, pa.ArrowException):
        return None


def _names(schemas: Iterable[pa.Schema]) -> list[str]:
    return list(dict.fromkeys(name for schema in schemas for name in schema.names))


def _types(name: str, schemas: Iterable[pa.Schema]) -> list[pa.DataType]:
    return [schema.field(name).type for schema in schemas if name in schema.names]


def common_type(types: Sequence[pa.DataType]) -> pa.DataType:
    """The type that values of all these have in common; text when they have none."""
    schemas = [pa.schema([("x", kind)]) for kind in dict.fromkeys(types)]
    try:
        return pa.unify_schemas(schemas, promote_options="permissive").field("x").type
    except pa.ArrowException:
        return TEXT


def _rewrite(folder: RunFolder, path: Path, schema: pa.Schema, wanted: pa.Schema) -> None:
    if schema.equals(wanted):
        return
    with pq.ParquetFile(path) as part:
        table = part.read()
    columns = [_as_type(table.column(field.name), field) for field in wanted]
    folder.rewrite_part(path, pa.table(columns, schema=wanted.with_metadata(table.schema.metadata)))


def _as_type(column: pa.ChunkedArray, field: pa.Field) -> pa.ChunkedArray | pa.Array:
    """The column as this type; numbers and lists as JSON where it is text. Raises ``_Misfit``."""
    if column.type.equals(field.type):
        return column
    if field.type.equals(TEXT) and not pa.types.is_string(column.type):
        return pa.array([None if value is None else as_text(value) for value in column.to_pylist()], TEXT)
    try:
        if pa.types.is_nested(column.type):  # Fields may come in another order, which no cast takes.
            return pa.array(column.to_pylist(), field.type)
        return column.cast(field.type)
    except pa.ArrowException:
        raise _Misfit(field.name) from None
