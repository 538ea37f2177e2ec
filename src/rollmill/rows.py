"""Rollouts as Arrow: the one fixed schema, and its record batches.

Batches are built from flat child arrays (all roles, all texts, …) rather than from nested dictionaries, which costs
a fifth; 64-bit offsets, because plain lists and strings end at 2 GiB in a row group.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import partial
from itertools import accumulate, chain, count
from operator import attrgetter
from typing import Any

import msgspec
import pyarrow as pa
from msgspec import Struct
from msgspec.structs import astuple

from rollmill.rollout import Block, Extra, Function, Media, Message, Rollout, ToolCall, Usage

ROW_SCHEMA_VERSION = 1
BATCH_BYTES = 4 << 20
"""A batch is cut when its texts reach this size: small enough that its memory is used again for the next."""

_STRING, _INT = pa.large_string(), pa.int64()
_MEDIA = pa.struct([("sha256", _STRING), ("media_type", _STRING), ("size", _INT), ("url", _STRING)])
_BLOCK = pa.struct([("type", _STRING), ("text", _STRING), ("media", _MEDIA)])
_FUNCTION = pa.struct([("name", _STRING), ("arguments", _STRING)])
_TOOL_CALL = pa.struct([("id", _STRING), ("type", _STRING), ("function", _FUNCTION)])
_USAGE = pa.struct([(name, _INT) for name in Usage.__struct_fields__])
_EXTRA = pa.struct(
    [
        ("id", _STRING),
        ("origin", _STRING),
        ("kind", _STRING),
        ("part", _INT),
        ("timestamp", _STRING),
        ("model", _STRING),
        ("is_error", pa.bool_()),
        ("line", _INT),
        ("segment", _INT),
        ("usage", _USAGE),
        ("thinking", _STRING),
        ("block_order", _STRING),
        ("other", _STRING),
    ]
)
_MESSAGE = pa.struct(
    [
        ("role", _STRING),
        ("content", pa.large_list(_BLOCK)),
        ("reasoning_content", _STRING),
        ("tool_calls", pa.large_list(_TOOL_CALL)),
        ("tool_call_id", _STRING),
        ("extra", _EXTRA),
    ]
)
ROW_SCHEMA = pa.schema(
    [
        ("trace_id", _STRING),
        ("source_kind", _STRING),
        ("source_path", _STRING),
        ("root_session_id", _STRING),
        ("agent_id", _STRING),
        ("is_sidechain", pa.bool_()),
        ("cwd", _STRING),
        ("project_path", _STRING),
        ("git_branch", _STRING),
        ("started_at", _STRING),
        ("ended_at", _STRING),
        ("messages", pa.large_list(_MESSAGE)),
        ("message_count", _INT),
        ("tool_call_count", _INT),
        ("final_assistant_message", _STRING),
        ("source_meta", _STRING),
    ],
    metadata={"rollmill.row_schema": str(ROW_SCHEMA_VERSION)},
)
"""The 16 columns of a row, in order. ``docs/rows.md`` explains each."""

_MANY_FIELDS = 5
_encode_meta: Callable[[Any], bytes] = msgspec.json.Encoder().encode


def _pool() -> pa.MemoryPool:
    """Where arrays are allocated: by jemalloc where pyarrow has it. Batches come and go, and it hands the same pages
    out again: a tenth faster than with pyarrow's default, a quarter less memory."""
    try:
        return pa.jemalloc_memory_pool()
    except NotImplementedError:
        return pa.default_memory_pool()


new_array: Callable[..., pa.Array] = partial(pa.array, memory_pool=_pool())
"""``pyarrow.array`` in that memory."""


def record_batch(rollouts: Sequence[Rollout]) -> pa.RecordBatch:
    """One batch of ``ROW_SCHEMA`` with a row for each rollout."""
    columns = {field.name: field.type for field in ROW_SCHEMA}
    plain: dict[str, Any] = {
        name: [getattr(rollout, name) for rollout in rollouts]
        for name in columns
        if name not in ("messages", "source_meta")
    }
    plain["source_meta"] = [_encode_meta(rollout.source_meta).decode() for rollout in rollouts]
    arrays = {name: new_array(values, columns[name]) for name, values in plain.items()}
    arrays["messages"] = _lists([rollout.messages for rollout in rollouts], _MESSAGE, _messages)
    return pa.RecordBatch.from_arrays([arrays[name] for name in columns], schema=ROW_SCHEMA)


def batches(
    rollouts: Iterable[Rollout], max_bytes: int = BATCH_BYTES, max_rows: int | None = None
) -> Iterator[pa.RecordBatch]:
    """Record batches in order, each cut when its text reaches ``max_bytes`` or it has ``max_rows`` rows."""
    waiting: list[Rollout] = []
    size = 0
    for rollout in rollouts:
        waiting.append(rollout)
        size += text_size(rollout)
        if size >= max_bytes or len(waiting) == max_rows:
            batch = record_batch(waiting)
            waiting, size = [], 0
            yield batch
    if waiting:
        yield record_batch(waiting)


def text_size(rollout: Rollout) -> int:
    """About how many bytes the rollout's messages take: the length of their texts and arguments."""
    size = 0
    for message in rollout.messages:
        size += 200 + len(message.reasoning_content or "")
        for block in message.content:
            size += len(block.text or "")
        for call in message.tool_calls:
            size += len(call.function.arguments)
    return size


def _lists(lists: Sequence[Sequence[Any]], item: pa.DataType, build: Callable[[list[Any]], pa.Array]) -> pa.Array:
    offsets = new_array(list(accumulate(map(len, lists), initial=0)), pa.int64())
    values = build(list(chain.from_iterable(lists)))
    return pa.LargeListArray.from_arrays(offsets, values, type=pa.large_list(item))


def _struct(kind: pa.DataType, columns: Sequence[Any]) -> pa.Array:
    """A struct array; a column that is an array already is taken as it is."""
    arrays = [
        column if isinstance(column, pa.Array) else new_array(column, field.type)
        for column, field in zip(columns, kind, strict=True)
    ]
    return pa.StructArray.from_arrays(arrays, fields=list(kind))


def _columns(values: Sequence[Any], names: tuple[str, ...]) -> Sequence[Any]:
    """Each field of all structs. Tuples of whole structs are quicker where there are many fields, slower where few."""
    if len(names) >= _MANY_FIELDS and values:
        return list(zip(*map(astuple, values), strict=True))
    return [list(map(attrgetter(name), values)) for name in names]


def _messages(messages: list[Message]) -> pa.Array:
    roles, contents, reasonings, calls, answered, extras = _columns(messages, Message.__struct_fields__)
    return _struct(
        _MESSAGE,
        [
            roles,
            _lists(contents, _BLOCK, _blocks),
            reasonings,
            _lists(calls, _TOOL_CALL, _tool_calls),
            answered,
            _extras(extras),
        ],
    )


def _blocks(blocks: list[Block]) -> pa.Array:
    types, texts, media = _columns(blocks, Block.__struct_fields__)
    return _struct(_BLOCK, [types, texts, _optional(media, Media, _MEDIA)])


def _tool_calls(calls: list[ToolCall]) -> pa.Array:
    ids, functions, types = _columns(calls, ToolCall.__struct_fields__)
    return _struct(_TOOL_CALL, [ids, types, _struct(_FUNCTION, _columns(functions, Function.__struct_fields__))])


_USAGE_FIELD = Extra.__struct_fields__.index("usage")


def _extras(extras: list[Extra]) -> pa.Array:
    columns = [*_columns(extras, Extra.__struct_fields__)]
    columns[_USAGE_FIELD] = _optional(columns[_USAGE_FIELD], Usage, _USAGE)
    return _struct(_EXTRA, columns)


def _optional(values: Sequence[Any], kind_of: type[Struct], kind: pa.DataType) -> pa.Array:
    """Structs of which some are None: null there, not a struct of nulls."""
    there = [value for value in values if value is not None]
    if not there:
        return pa.nulls(len(values), kind)
    numbers = count()
    places = new_array([None if value is None else next(numbers) for value in values], _INT)
    return _struct(kind, _columns(there, kind_of.__struct_fields__)).take(places)
