"""A share of the manifest to rows: the one function that this process, a worker process or a cluster runs."""

from __future__ import annotations

import ctypes
import re
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from rollmill.errors import ConfigError
from rollmill.files import Tree
from rollmill.formats import Branches
from rollmill.seeds.bulk import read_rollouts, uncollected
from rollmill.seeds.discovery import ManifestRow
from rollmill.seeds.summary import OnError, ReadSummary

if TYPE_CHECKING:
    import pyarrow as pa

    from rollmill.rollout import Rollout

TASK_BYTES = 4 << 20
"""A task ends when its files reach this size, so that its result is small whatever the files are."""

BIG_TASK_BYTES = 64 << 20


@dataclass(frozen=True)
class Plan:
    """What every task of a run shares."""

    root: Path
    recursive: bool
    branches: Branches
    media: Path | None
    on_error: OnError
    where: str | None


@dataclass
class Result:
    """The rows of one task, and the counts of its files."""

    batches: list[pa.RecordBatch]
    summary: ReadSummary
    filtered: int = 0


@dataclass
class Worker:
    """Runs the tasks of one plan, keeping what spans files between them."""

    plan: Plan
    tree: Tree = field(init=False)

    def __post_init__(self) -> None:
        self.tree = Tree(self.plan.root, self.plan.recursive)

    def process(self, manifest_rows: Sequence[ManifestRow]) -> Result:
        """The rows of the files, cut into batches by their size, and filtered."""
        from rollmill.rows import batches

        result = Result([], ReadSummary())
        for batch in uncollected(batches(self._rollouts(manifest_rows, result.summary))):
            kept = self._kept(batch)
            result.filtered += batch.num_rows - kept.num_rows
            if kept.num_rows:
                result.batches.append(kept)
        if sum(row["size"] for row in manifest_rows) > BIG_TASK_BYTES:
            give_back_memory()
        return result

    def _kept(self, batch: pa.RecordBatch) -> pa.RecordBatch:
        if self.plan.where is None:
            return batch
        import duckdb

        try:
            return matching(batch, self.plan.where)
        except duckdb.Error as error:
            raise where_error(self.plan.where, error) from error

    def _rollouts(self, manifest_rows: Sequence[ManifestRow], summary: ReadSummary) -> Iterator[Rollout]:
        return read_rollouts(
            manifest_rows,
            tree=self.tree,
            summary=summary,
            branches=self.plan.branches,
            media=self.plan.media,
            on_error=self.plan.on_error,
        )


def tasks(manifest_rows: Sequence[ManifestRow]) -> Iterator[list[ManifestRow]]:
    """The manifest in order, cut into tasks of about ``TASK_BYTES``."""
    task: list[ManifestRow] = []
    size = 0
    for row in manifest_rows:
        task.append(row)
        size += row["size"]
        if size >= TASK_BYTES:
            yield task
            task, size = [], 0
    if task:
        yield task


def matching(batch: pa.RecordBatch, where: str) -> pa.RecordBatch:
    """The rows of the batch for which the user's SQL condition holds, unchanged.

    DuckDB sees the batch as the table ``rows`` and nothing else: no file, no network, no setting."""
    import duckdb
    import pyarrow as pa

    with duckdb.connect(":memory:", config={"threads": 1}) as connection:
        connection.execute("SET enable_external_access = false; SET lock_configuration = true")
        numbered = pa.table(batch).append_column("__number", pa.array(range(batch.num_rows), pa.int64()))
        connection.register("rows", numbered)
        found = connection.execute(f"SELECT __number FROM rows WHERE ({where}\n) ORDER BY __number")
        return batch.take(pa.array([number for (number,) in found.fetchall()], pa.int64()))


_HELPERS = re.compile(r',? ?"(?:__place|__number|rollmill_number)"')


def where_error(where: str, error: Exception) -> ConfigError:
    """A condition that does not work, in DuckDB's words, without the query around it and the helper columns in it."""
    words = _HELPERS.sub("", str(error).partition("\n\nLINE ")[0]).replace("bindings:, ", "bindings: ").strip()
    return ConfigError(f"the where condition {where!r} does not work: {words}")


def give_back_memory() -> None:
    """Return to the system what a huge file took. glibc keeps it else, beside what writing the rows takes; where the
    C library has no such call, nothing happens."""
    with suppress(OSError, AttributeError):
        ctypes.CDLL(None).malloc_trim(0)
