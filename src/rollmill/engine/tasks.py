"""A share of the manifest to rows: the one function that this process, a worker process or a cluster runs."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from rollmill.engine.where import matching
from rollmill.files import Tree
from rollmill.formats import Branches
from rollmill.seeds.bulk import read_rollouts, uncollected
from rollmill.seeds.discovery import ManifestRow
from rollmill.seeds.summary import OnError, ReadSummary

if TYPE_CHECKING:
    import pyarrow as pa

    from rollmill.rollout import Rollout

TASK_BYTES = 8 << 20
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
        return batch if self.plan.where is None else matching(batch, self.plan.where)

    def _rollouts(self, manifest_rows: Sequence[ManifestRow], summary: ReadSummary) -> Iterator[Rollout]:
        return read_rollouts(
            manifest_rows,
            tree=self.tree,
            summary=summary,
            branches=self.plan.branches,
            media=self.plan.media,
            on_error=self.plan.on_error,
        )


def tasks(manifest_rows: Iterable[ManifestRow], task_bytes: int = TASK_BYTES) -> Iterator[list[ManifestRow]]:
    """The manifest in order, cut into tasks of about so many bytes. No row is taken before its task is."""
    task: list[ManifestRow] = []
    size = 0
    for row in manifest_rows:
        task.append(row)
        size += row["size"]
        if size >= task_bytes:
            yield task
            task, size = [], 0
    if task:
        yield task


def give_back_memory() -> None:
    """Return to the system what a huge file took. glibc keeps it else, beside what writing the rows takes; where the
    C library has no such call, nothing happens."""
    import ctypes

    with suppress(OSError, AttributeError):
        ctypes.CDLL(None).malloc_trim(0)
