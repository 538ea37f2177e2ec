"""Seed rows as Arrow record batches, made as they are asked for."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import islice
from typing import Any

import pyarrow as pa

from rollmill.errors import SeedReaderError
from rollmill.seeds.records import Record


class BatchReader:
    """Batches one at a time: by ``read_next_batch()``, which raises ``StopIteration`` after the last, or by ``for``.

    Nothing is read ahead. A selection that gives no row at all is an error with the text of ``why_empty``.
    """

    def __init__(self, batches: Iterator[pa.RecordBatch], why_empty: Callable[[], str]) -> None:
        self._batches = batches
        self._why_empty = why_empty
        self._started = False

    def read_next_batch(self) -> pa.RecordBatch:
        """The next batch."""
        try:
            batch = next(self._batches)
        except StopIteration:
            if self._started:
                raise
            self._started = True
            raise SeedReaderError(self._why_empty()) from None
        self._started = True
        return batch

    def __iter__(self) -> BatchReader:
        return self

    __next__ = read_next_batch


def record_batches(
    records: Iterator[Record], columns: Sequence[str], batch_size: int, reader_name: str
) -> Iterator[pa.RecordBatch]:
    """Batches of ``batch_size`` records, the last one shorter, with the types that Arrow finds in the values.

    A column that is null throughout one batch keeps the type it had in an earlier one.
    """
    types: dict[str, pa.DataType] = {}
    while chunk := list(islice(records, batch_size)):
        arrays = []
        for column in columns:
            array = _array([record[column] for record in chunk], column, reader_name)
            if pa.types.is_null(array.type):
                array = pa.nulls(len(chunk), types.get(column, array.type))
            types[column] = array.type
            arrays.append(array)
        yield pa.RecordBatch.from_arrays(arrays, names=list(columns))


def _array(values: Iterable[Any], column: str, reader_name: str) -> pa.Array:
    try:
        return pa.array(values)
    except (pa.ArrowException, ValueError, TypeError, OverflowError) as error:
        raise SeedReaderError(
            f"{reader_name}: column {column!r} cannot become an Arrow column ({error}); give it values of one plain "
            f"type (text, number, bool, list, dict), or write mixed values as JSON text"
        ) from error
