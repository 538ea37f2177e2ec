"""Rollouts as Arrow: the one fixed schema, and its record batches.

Batches are built from flat child arrays (all roles, all texts, …) rather than from nested dictionaries, which costs
a fifth; 64-bit offsets, because plain lists and strings end at 2 GiB in a row group.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from functools import partial
from itertools import accumulate, chain
from typing import Any

import msgspec
import pyarrow as pa

from rollmill.rollout import Block, Extra, Media, Message, Rollout, ToolCall, Usage

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


def _struct(kind: pa.DataType, columns: Mapping[str, Any]) -> pa.Array:
    """A struct array of its fields' columns; a column that is an array already is taken as it is."""
    arrays = []
    for field in kind:
        column = columns[field.name]
        arrays.append(column if isinstance(column, pa.Array) else new_array(column, field.type))
    return pa.StructArray.from_arrays(arrays, fields=list(kind))


# A field of all structs at a time. Written out, for a comprehension that names its field takes less than half of the
# time of one general function that gets it by its name.


def _messages(messages: list[Message]) -> pa.Array:
    columns = {
        "role": [message.role for message in messages],
        "content": _lists([message.content for message in messages], _BLOCK, _blocks),
        "reasoning_content": [message.reasoning_content for message in messages],
        "tool_calls": _lists([message.tool_calls for message in messages], _TOOL_CALL, _tool_calls),
        "tool_call_id": [message.tool_call_id for message in messages],
        "extra": _extras([message.extra for message in messages]),
    }
    return _struct(_MESSAGE, columns)


def _blocks(blocks: list[Block]) -> pa.Array:
    columns = {
        "type": [block.type for block in blocks],
        "text": [block.text for block in blocks],
        "media": _optional([block.media for block in blocks], Media(), _MEDIA, _media),
    }
    return _struct(_BLOCK, columns)


def _media(media: list[Media]) -> pa.Array:
    columns = {
        "sha256": [medium.sha256 for medium in media],
        "media_type": [medium.media_type for medium in media],
        "size": [medium.size for medium in media],
        "url": [medium.url for medium in media],
    }
    return _struct(_MEDIA, columns)


def _tool_calls(calls: list[ToolCall]) -> pa.Array:
    functions = [call.function for call in calls]
    named = {
        "name": [function.name for function in functions],
        "arguments": [function.arguments for function in functions],
    }
    columns = {
        "id": [call.id for call in calls],
        "type": [call.type for call in calls],
        "function": _struct(_FUNCTION, named),
    }
    return _struct(_TOOL_CALL, columns)


def _extras(extras: list[Extra]) -> pa.Array:
    columns = {
        "id": [extra.id for extra in extras],
        "origin": [extra.origin for extra in extras],
        "kind": [extra.kind for extra in extras],
        "part": [extra.part for extra in extras],
        "timestamp": [extra.timestamp for extra in extras],
        "model": [extra.model for extra in extras],
        "is_error": [extra.is_error for extra in extras],
        "line": [extra.line for extra in extras],
        "segment": [extra.segment for extra in extras],
        "usage": _optional([extra.usage for extra in extras], Usage(), _USAGE, _usages),
        "thinking": [extra.thinking for extra in extras],
        "block_order": [extra.block_order for extra in extras],
        "other": [extra.other for extra in extras],
    }
    return _struct(_EXTRA, columns)


def _usages(usages: list[Usage]) -> pa.Array:
    columns = {
        "input_tokens": [usage.input_tokens for usage in usages],
        "cache_read_tokens": [usage.cache_read_tokens for usage in usages],
        "cache_write_tokens": [usage.cache_write_tokens for usage in usages],
        "output_tokens": [usage.output_tokens for usage in usages],
        "reasoning_tokens": [usage.reasoning_tokens for usage in usages],
    }
    return _struct(_USAGE, columns)


def _optional(values: list[Any], empty: Any, kind: pa.DataType, build: Callable[[list[Any]], pa.Array]) -> pa.Array:
    """Structs of which some are None: null there, where ``empty`` stands in the struct's columns. Not by ``take`` nor
    by a mask, which import ``pyarrow.compute``: 30 ms of each process's start."""
    there = [value is not None for value in values]
    if not any(there):
        return pa.nulls(len(values), kind)
    filled = build([empty if value is None else value for value in values])
    _, there_by_bits = new_array(there, pa.bool_()).buffers()
    columns = [filled.field(number) for number in range(kind.num_fields)]
    return pa.Array.from_buffers(kind, len(values), [there_by_bits], children=columns)
