"""From folders of rollouts to a file of rows: read, filter, write, and count what became of every file."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rollmill.engine.tasks import Plan, Result
from rollmill.engine.where import check_condition
from rollmill.engine.workers import task_results
from rollmill.errors import ConfigError
from rollmill.seeds.discovery import Discovery, ManifestRow
from rollmill.seeds.rollout_reader import AgentRolloutSeedReader
from rollmill.seeds.selection import PartitionBlock, select
from rollmill.seeds.source import AgentRolloutSeedSource
from rollmill.seeds.summary import OnError, ReadSummary

if TYPE_CHECKING:
    import pyarrow as pa

SHOWN_PROBLEMS = 10


@dataclass
class Progress:
    """How far a run is. Bytes are those of the files, as they lie on the disk."""

    files_total: int
    bytes_total: int
    files_done: int = 0
    bytes_done: int = 0
    rows: int = 0
    problems: int = 0
    seconds: float = 0.0


@dataclass
class IngestSummary:
    """What a run did. ``files_seen == files_read + skipped + problems with a file + files_left``."""

    reading: ReadSummary = field(default_factory=ReadSummary)
    rows: int = 0
    """Rows written."""
    rows_filtered: int = 0
    """Rows the ``where`` condition left out."""
    rows_over_limit: int = 0
    """Rows that were read and not written, because ``limit`` was reached."""
    paths: list[Path] = field(default_factory=list)
    media: Path | None = None
    seconds: float = 0.0

    @property
    def files_seen(self) -> int:
        return self.reading.files

    @property
    def files_read(self) -> int:
        return self.reading.read

    @property
    def files_left(self) -> int:
        return self.reading.left

    @property
    def skipped(self) -> dict[str, int]:
        return dict(self.reading.skipped)

    @property
    def problems(self) -> list[Any]:
        return self.reading.problems

    @property
    def collisions(self) -> dict[str, int]:
        """How many rows each trace_id has that came more than once."""
        return {trace_id: len(paths) for trace_id, paths in self.reading.collisions.items()}

    @property
    def media_stored(self) -> int:
        return len(self.reading.media)

    @property
    def bytes_read(self) -> int:
        return self.reading.bytes

    def lines(self) -> list[str]:
        """The counts for people, so that they add up on the screen."""
        lines = [_counted(self.files_seen, "file seen", "files seen")]
        lines += [f"  {count} skipped: {reason}" for reason, count in sorted(self.skipped.items())]
        lines += [f"  {count} not readable: {kind}" for kind, count in sorted(self.reading.problem_kinds.items())]
        if self.files_left:
            lines.append(f"  {self.files_left} left when the limit was reached")
        lines.append(f"  {self.files_read} read, {_counted(self.reading.rows, 'row', 'rows')}")
        lines += [f"  {n} {text}" for n, text in self._rows_not_written() if n]
        lines.append(f"{_counted(self.rows, 'row', 'rows')} written to {', '.join(map(str, self.paths)) or 'nothing'}")
        if self.media_stored:
            lines.append(f"{_counted(self.media_stored, 'medium', 'media')} stored in {self.media}")
        if self.collisions:
            lines.append(f"{_counted(len(self.collisions), 'trace_id has', 'trace_ids have')} more than one row:")
            lines += [f"  {trace_id}: {count} rows" for trace_id, count in list(self.collisions.items())[:5]]
        shown = self.problems[:SHOWN_PROBLEMS]
        return lines + [f"problem: {problem}" for problem in shown] + self._more_problems()

    def _rows_not_written(self) -> list[tuple[int, str]]:
        return [(self.rows_filtered, "rows left out by --where"), (self.rows_over_limit, "rows beyond --limit")]

    def _more_problems(self) -> list[str]:
        more = len(self.problems) - SHOWN_PROBLEMS
        return [f"… and {_counted(more, 'problem', 'problems')} more (--json lists all)"] if more > 0 else []

    def to_dict(self) -> dict[str, Any]:
        """The counts as plain data."""
        return {
            "files_seen": self.files_seen,
            "files_read": self.files_read,
            "files_left": self.files_left,
            "skipped": self.skipped,
            "problems": [vars(problem) for problem in self.problems],
            "rows_read": self.reading.rows,
            "rows_filtered": self.rows_filtered,
            "rows_over_limit": self.rows_over_limit,
            "rows": self.rows,
            "collisions": self.reading.collisions,
            "media_stored": self.media_stored,
            "media": str(self.media) if self.media_stored else None,
            "paths": [str(path) for path in self.paths],
            "bytes_read": self.bytes_read,
            "seconds": round(self.seconds, 3),
        }


def _counted(number: int, one: str, many: str) -> str:
    return f"{number} {one if number == 1 else many}"


def ingest(
    source: AgentRolloutSeedSource | Sequence[AgentRolloutSeedSource],
    output: Path,
    *,
    limit: int | None = None,
    shuffle: bool = False,
    seed: int | None = None,
    partition: PartitionBlock | None = None,
    where: str | None = None,
    workers: int = 1,
    media: Path | None = None,
    on_error: OnError = "record",
    progress: Callable[[Progress], None] | None = None,
) -> IngestSummary:
    """Write the rows of one or several sources to ``output`` (``.parquet``, ``.jsonl``, or a folder).

    ``partition`` and ``shuffle`` select and order files, ``limit`` counts rows written, ``where`` is a condition in
    DuckDB's SQL over a row's columns. Embedded media go to ``media``, by default beside the output. Raises
    ``ConfigError`` and ``SeedReaderError`` for what the user can fix, before the output is touched where possible.
    """
    from rollmill.engine.outputs import explained, media_folder, open_output
    from rollmill.rows import record_batch

    started = time.monotonic()
    check_condition(where, record_batch([]))
    sources = [source] if isinstance(source, AgentRolloutSeedSource) else list(source)
    media = media or media_folder(output)
    summary = IngestSummary(media=media)
    select_rows = partial(_selected, partition=partition, shuffle=shuffle, seed=seed, must_have=len(sources) == 1)
    jobs = []
    for each in sources:
        discovery, rows = select_rows(each)
        if discovery.holds(output):
            raise ConfigError(f"{output} is what is to be read; write to another")
        summary.reading.add_discovery(discovery, selected=len(rows))
        jobs.append((Plan(discovery.root, each.recursive, each.branches, media, on_error, where), rows))
    state = Progress(sum(len(rows) for _, rows in jobs), sum(row["size"] for _, rows in jobs for row in rows))
    target = open_output(output)
    try:
        for plan, rows in jobs:
            with closing(task_results(plan, rows, workers)) as results:
                for result in results:
                    with explained(output):
                        _take(result, summary, target, limit)
                    _report(state, summary, started, progress)
                    if summary.rows == limit:
                        break
        with explained(output):
            target.close()
    except BaseException:
        target.discard()
        raise
    summary.paths = target.paths
    summary.seconds = time.monotonic() - started
    return summary


def _selected(
    source: AgentRolloutSeedSource,
    partition: PartitionBlock | None,
    shuffle: bool,
    seed: int | None,
    must_have: bool,
) -> tuple[Discovery, list[ManifestRow]]:
    """What lies in a source's folder, and the files to read of it. ``must_have``: nothing to read is an error."""
    reader = AgentRolloutSeedReader()
    reader.attach(source)
    discovery = reader.discovered()
    found = reader.manifest_rows() if must_have else discovery.rows
    index_range = partition.to_index_range(len(found)) if partition and found else None
    return discovery, select(found, index_range, shuffle, seed)


def _take(result: Result, summary: IngestSummary, target: Any, limit: int | None) -> None:
    """Write a task's rows, up to the limit, and add its counts."""
    summary.reading.merge(result.summary)
    summary.rows_filtered += result.filtered
    for batch in result.batches:
        kept = _up_to(batch, None if limit is None else limit - summary.rows)
        summary.rows += kept.num_rows
        summary.rows_over_limit += batch.num_rows - kept.num_rows
        target.write(kept)


def _up_to(batch: pa.RecordBatch, rows: int | None) -> pa.RecordBatch:
    return batch if rows is None or batch.num_rows <= rows else batch.slice(0, rows)


def _report(
    state: Progress, summary: IngestSummary, started: float, progress: Callable[[Progress], None] | None
) -> None:
    if progress is not None:
        state.files_done = state.files_total - summary.files_left
        state.bytes_done = summary.bytes_read
        state.rows, state.problems = summary.rows, len(summary.problems)
        state.seconds = time.monotonic() - started
        progress(state)
