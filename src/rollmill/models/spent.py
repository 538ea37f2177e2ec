"""What all runs of a folder asked, from its journal: each reply there was paid for once, whatever became of the run."""

from __future__ import annotations

import sqlite3
from contextlib import closing, suppress
from pathlib import Path

import msgspec
from msgspec import Struct

from rollmill.models.recovery import connected
from rollmill.models.types import Usage


class Spent(Struct):
    """Calls that were answered, and their tokens together."""

    calls: int = 0
    usage: Usage = msgspec.field(default_factory=Usage)

    def add(self, usage: Usage) -> None:
        self.calls += 1
        self.usage.input_tokens += usage.input_tokens
        self.usage.cached_tokens += usage.cached_tokens
        self.usage.output_tokens += usage.output_tokens
        self.usage.reasoning_tokens += usage.reasoning_tokens


class _Kept(Struct):
    """Of a kept reply, only what it took."""

    usage: Usage


def spent(journal: Path) -> dict[tuple[str, str], Spent]:
    """The calls in a journal by column and model. What cannot be read counts as nothing."""
    found: dict[tuple[str, str], Spent] = {}
    decoder = msgspec.json.Decoder(_Kept)
    with closing(connected(journal)) as connection, suppress(sqlite3.DatabaseError):
        for column, model, reply in connection.execute("SELECT column_name, model, reply FROM replies NOT INDEXED"):
            with suppress(msgspec.MsgspecError):
                found.setdefault((column, model), Spent()).add(decoder.decode(reply).usage)
    return found
