"""From folders of rollouts to a file of rows: read, filter, write, with as many processes as asked for.

Tasks go out in the manifest's order and their rows come back in it, so that the output does not depend on how many
workers there are. No more tasks are under way than keep the workers busy: memory does not grow with the data.
"""

from __future__ import annotations

import multiprocessing
import signal
import threading
import time
from collections import deque
from collections.abc import Callable, Collection, Generator, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, ThreadPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple, TypeVar

from rollmill.engine.handover import Handed, Receiver
from rollmill.engine.tasks import TASK_BYTES, Plan, Result, Worker, tasks
from rollmill.engine.where import check_condition
from rollmill.engine.worker import begin, process, started
from rollmill.errors import ConfigError, RollmillError
from rollmill.files import is_inside
from rollmill.seeds.discovery import Discovery, ManifestRow
from rollmill.seeds.rollout_reader import AgentRolloutSeedReader
from rollmill.seeds.selection import PartitionBlock, select
from rollmill.seeds.source import AgentRolloutSeedSource
from rollmill.seeds.summary import OnError, ReadSummary

if TYPE_CHECKING:
    import pyarrow as pa

T = TypeVar("T")
TASKS_PER_WORKER, SMALL_TASKS_PER_WORKER = 2, 6
"""Tasks under way for each worker: one that it works on and one that waits for it; more while they are small, so that
it has something to do while a row group is written."""
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
        _refuse_input(output, discovery.root, rows)
        summary.reading.add_discovery(discovery, selected=len(rows))
        jobs.append((Plan(discovery.root, each.recursive, each.branches, media, on_error, where), rows))
    state = Progress(sum(len(rows) for _, rows in jobs), sum(row["size"] for _, rows in jobs for row in rows))
    target = open_output(output)
    try:
        for plan, rows in jobs:
            with closing(_results(plan, rows, workers)) as results:
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


def _refuse_input(output: Path, root: Path, rows: Sequence[ManifestRow]) -> None:
    """Raise ``ConfigError`` when writing would replace one of the files to be read."""
    if output.is_file() and is_inside(output, root):
        real = output.resolve()
        if any(Path(row["source_path"]).resolve() == real for row in rows):
            raise ConfigError(f"{output} is one of the files to be read; write to another")


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


# Workers


def _results(plan: Plan, rows: Sequence[ManifestRow], workers: int) -> Generator[Result]:
    """The tasks' results in order, worked out here or by worker processes."""
    if workers <= 1 or len(rows) < 2:
        worker = Worker(plan)
        yield from map(worker.process, tasks(rows))
    else:
        yield from _from_processes(plan, rows, workers)


def _from_processes(plan: Plan, rows: Sequence[ManifestRow], workers: int) -> Iterator[Result]:
    todo, waiting = tasks(rows), deque[_UnderWay]()
    with closing(Receiver()) as receiver, _pool(plan, workers, receiver) as pool:
        try:
            yield from _meanwhile(plan, todo, pool, workers)
            for task in todo:
                waiting.append(_UnderWay(_submitted(pool, process, task), sum(row["size"] for row in task)))
                while _are_enough(waiting, workers):
                    yield receiver.received(waiting.popleft().result.result())
            while waiting:
                yield receiver.received(waiting.popleft().result.result())
        except BrokenProcessPool as error:
            raise RollmillError(
                "a worker process died, killed perhaps for its memory; run again with fewer --workers"
            ) from error


class _UnderWay(NamedTuple):
    """A task, and how many bytes its files have."""

    result: Future[Result | Handed]
    size: int


def _are_enough(waiting: Collection[_UnderWay], workers: int) -> bool:
    """Whether so many tasks are under way that the first has to end before another begins."""
    small = sum(task.size for task in waiting) < workers * SMALL_TASKS_PER_WORKER * TASK_BYTES
    return len(waiting) >= workers * (SMALL_TASKS_PER_WORKER if small else TASKS_PER_WORKER)


def _meanwhile(
    plan: Plan, todo: Iterator[list[ManifestRow]], pool: ProcessPoolExecutor, workers: int
) -> Iterator[Result]:
    """Results that are worked out here until the first worker has started, which takes half a second."""
    worker = Worker(plan)
    aside = ThreadPoolExecutor(1)  # to ask for a process waits for it
    starting = aside.submit(_start, pool, workers)
    try:
        while not starting.done() and (task := next(todo, None)) is not None:
            yield worker.process(task)
    finally:
        aside.shutdown(wait=False)
    if starting.done():
        starting.result()


def _start(pool: ProcessPoolExecutor, workers: int) -> None:
    """Returns when a worker has started; the others are starting."""
    wait([_submitted(pool, started) for _ in range(workers)], return_when=FIRST_COMPLETED)


def _submitted(pool: ProcessPoolExecutor, work: Callable[..., T], *arguments: Any) -> Future[T]:
    with _startable():
        return pool.submit(work, *arguments)


@contextmanager
def _startable() -> Iterator[None]:
    """A system that gives no more processes, or no more files for them, is told of in one message."""
    try:
        yield
    except (OSError, EOFError) as error:
        why = getattr(error, "strerror", None) or type(error).__name__
        raise RollmillError(
            f"worker processes cannot be started ({why}); raise the limits (ulimit -n, -u), or run with --workers 1"
        ) from error


@contextmanager
def _pool(plan: Plan, workers: int, receiver: Receiver) -> Iterator[ProcessPoolExecutor]:
    """Worker processes, all stopped at the end whatever happened."""
    has_forkserver = "forkserver" in _start_methods()
    context = multiprocessing.get_context("forkserver" if has_forkserver else "spawn")
    with _startable():
        if has_forkserver:
            context.set_forkserver_preload(["rollmill.engine.preload"])
            _start_forkserver()
        stop = context.Event()
        pool = ProcessPoolExecutor(workers, context, begin, (plan, stop, receiver.into))
    try:
        yield pool
    finally:
        # Never terminated: one that dies while it sends a result leaves this process reading the rest for ever.
        stop.set()
        with _deaf():
            pool.shutdown(wait=True, cancel_futures=True)


@contextmanager
def _deaf() -> Iterator[None]:
    """No Ctrl-C meanwhile: workers that are not told to go would be waited for ever."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)


def _start_forkserver() -> None:
    """Start it deaf to Ctrl-C, which a terminal sends to every process; its workers inherit that, this one is told
    afterwards. The resource tracker comes first, because it would end the silence when it starts."""
    from multiprocessing import forkserver, resource_tracker

    resource_tracker.ensure_running()
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        forkserver.ensure_running()
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _start_methods() -> list[str]:
    return multiprocessing.get_all_start_methods()
