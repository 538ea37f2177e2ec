"""The rows of an export between its two passes: what is learnt from all of them decides how each is written.

Inferred tool schemas, the shape of the rows, and the groups of the splits need the whole data set. So the first pass
writes every row it keeps, redacted, to one temporary file, and the second reads it again: memory stays small, and
nothing unredacted is written.
"""

from __future__ import annotations

import os
import struct
from collections.abc import Iterator
from pathlib import Path
from types import TracebackType
from typing import Any

import msgspec
from msgspec import Struct

from rollmill.curate.masks import Facts
from rollmill.curate.sample import Redacted
from rollmill.rollout import Rollout, SourceMeta


class Entry(Struct, array_like=True):
    """One row with what the first pass found out about it.

    ``number`` counts rows of one trace id from 1. ``contents`` are the digests of what its messages say, ``keys`` those
    by which its model messages are known again in other rows, both by index. ``known`` is how many secrets were known
    when it was redacted.
    """

    number: int
    rollout: Rollout
    task_id: str
    contents: list[bytes]
    keys: list[list[bytes]]
    facts: Facts
    signals: dict[str, Any]
    redaction: Redacted | None
    known: int = 0


_NO_META = SourceMeta("")
_LENGTHS = struct.Struct("<QQ")


class Spool:
    """Entries on the disk, one behind the other, in a file that its owner alone may read."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.bytes_total = 0
        self.bytes_done = 0
        self._file = os.fdopen(os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o600), "w+b")
        self._encode, self._decode = msgspec.msgpack.encode, msgspec.msgpack.Decoder(Entry).decode
        self._decode_meta = msgspec.json.Decoder(SourceMeta).decode

    def __enter__(self) -> Spool:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._file.close()
        self.path.unlink(missing_ok=True)

    def add(self, entry: Entry) -> None:
        """Write one entry. Its ``source_meta`` goes as JSON: logs have integers that MessagePack cannot hold."""
        meta = msgspec.json.encode(entry.rollout.source_meta)
        rollout = msgspec.structs.replace(entry.rollout, source_meta=_NO_META)
        rest = self._encode(msgspec.structs.replace(entry, rollout=rollout))
        self.bytes_total += self._file.write(b"".join((_LENGTHS.pack(len(meta), len(rest)), meta, rest)))

    def __iter__(self) -> Iterator[Entry]:
        self._file.seek(0)
        while lengths := self._file.read(_LENGTHS.size):
            meta, rest = map(self._file.read, _LENGTHS.unpack(lengths))
            entry = self._decode(rest)
            entry.rollout.source_meta = self._decode_meta(meta)
            self.bytes_done += len(lengths) + len(meta) + len(rest)
            yield entry
