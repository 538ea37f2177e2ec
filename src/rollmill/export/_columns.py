"""Rows as Arrow: JSON columns that ``datasets`` reads as ``Json()``, which no null-filling can change.

    {"messages": [{"role": "user", "content": "Hi"}], "tools": None}  →  list<json>, list<json>

Arrow cannot build lists of JSON from Python values, so their texts are laid out first and the type put around them.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import accumulate
from typing import Any

import msgspec
import pyarrow as pa

JSON = pa.json_()
JSON_LIST = pa.list_(JSON)
_encode: Callable[[Any], bytes] = msgspec.json.Encoder().encode


def record_batch(rows: Sequence[dict[str, Any]], schema: pa.Schema) -> pa.RecordBatch:
    """The rows as one batch; values of JSON columns are encoded, missing keys are null."""
    arrays = [_array([row.get(field.name) for row in rows], field.type) for field in schema]
    return pa.RecordBatch.from_arrays(arrays, schema=schema)


def _array(values: list[Any], kind: pa.DataType) -> pa.Array:
    if kind == JSON:
        return _json(values)
    if kind == JSON_LIST:
        return _json_lists(values)
    return pa.array(values, kind)


def _json(values: list[Any]) -> pa.Array:
    texts = [None if value is None else _encode(value).decode() for value in values]
    return pa.ExtensionArray.from_storage(JSON, pa.array(texts, JSON.storage_type))


def _json_lists(values: list[list[Any] | None]) -> pa.Array:
    items = _json([item for value in values if value for item in value])
    ends = list(accumulate((len(value or ()) for value in values), initial=0))
    offsets = pa.array(ends, pa.int32())
    nulls = pa.array([value is None for value in values])
    return pa.ListArray.from_arrays(offsets, items, type=JSON_LIST, mask=nulls)


def features(schema: pa.Schema) -> list[dict[str, Any]]:
    """The columns as a dataset card's ``dataset_info.features`` has them, so that ``load_dataset`` need not guess."""
    return [{"name": field.name, **_feature(field.type)} for field in schema]


def _feature(kind: pa.DataType) -> dict[str, Any]:
    if kind == JSON:
        return {"dtype": "json"}
    if pa.types.is_struct(kind):
        return {"struct": features(kind)}
    if pa.types.is_list(kind):
        inner = _feature(kind.value_type)
        return {"list": inner["dtype"] if set(inner) == {"dtype"} else inner.get("struct", inner)}
    return {"dtype": str(kind)}
