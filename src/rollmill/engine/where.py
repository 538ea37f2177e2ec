"""The user's condition over rows, in DuckDB's SQL: checked before anything is read, asked of each batch."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from rollmill.errors import ConfigError

if TYPE_CHECKING:
    import duckdb
    import pyarrow as pa

_NUMBER = "__number"
_HELPERS = re.compile(r',? ?"(?:__place|__number|rollmill_number)"')


def matching(batch: pa.RecordBatch, where: str) -> pa.RecordBatch:
    """The rows of the batch for which the user's SQL condition holds, unchanged. Raises ``ConfigError`` for a condition
    that does not work on one of them."""
    import duckdb
    import pyarrow as pa

    numbered = pa.table(batch).append_column(_NUMBER, pa.array(range(batch.num_rows), pa.int64()))
    try:
        with _asking(numbered) as connection:
            found = connection.execute(f"SELECT {_NUMBER} FROM rows WHERE ({where}\n) ORDER BY {_NUMBER}").fetchall()
    except duckdb.Error as error:
        raise _where_error(where, error) from error
    return batch.take(pa.array([number for (number,) in found], pa.int64()))


def check_condition(where: str | None, rows: pa.RecordBatch, *, types_known: bool = True) -> None:
    """Raise ``ConfigError`` for a condition that cannot be asked of rows like these, before anything is read. Where
    the types of columns are not known, only what is no SQL, and names that no column has, are told."""
    if where is None:
        return
    if not where.strip():
        raise _does_not_work(where, "it is empty")
    import duckdb

    try:
        kind = _kind(where, rows)
    except duckdb.Error as error:
        guessed = isinstance(error, duckdb.BinderException) and "not found" not in str(error)
        if types_known or not guessed:
            raise _where_error(where, error) from error
        return
    if types_known and kind != "BOOLEAN":
        raise _does_not_work(where, f"it must be true or false, as message_count > 4 is, and is {kind}")
    matching(rows, where)


def _kind(where: str, rows: pa.RecordBatch) -> str:
    """The SQL type of what the condition gives. Two brackets stand around it, where one does when it is asked: what
    closes a bracket that it did not open fits only one of them."""
    import pyarrow as pa

    with _asking(pa.table(rows)) as connection:
        return str(connection.sql(f"SELECT (({where}\n)) FROM rows").types[0])


@contextmanager
def _asking(rows: pa.Table) -> Iterator[duckdb.DuckDBPyConnection]:
    """DuckDB with the table ``rows``, which is all it sees: no file, no network, no setting."""
    import duckdb

    with duckdb.connect(":memory:", config={"threads": 1}) as connection:
        connection.execute("SET enable_external_access = false; SET lock_configuration = true")
        connection.register("rows", rows)
        yield connection


def _where_error(where: str, error: Exception) -> ConfigError:
    """A condition that does not work, in DuckDB's words, without the query around it and the helper columns in it."""
    words = _HELPERS.sub("", str(error).partition("\n\nLINE ")[0]).replace("bindings:, ", "bindings: ").strip()
    return _does_not_work(where, words)


def _does_not_work(where: str, why: str) -> ConfigError:
    return ConfigError(f"the where condition {where!r} does not work: {why}")
