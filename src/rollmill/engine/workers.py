"""The tasks of a plan to their results, here or by worker processes.

Tasks go out in the manifest's order and their results come back in it, so that the output does not depend on how many
workers there are. No more tasks are under way than keep the workers busy: memory does not grow with the data.
"""

from __future__ import annotations

from collections.abc import Generator, Iterator, Sequence
from contextlib import closing

from rollmill.engine.crew import CAN_FORK, Crew
from rollmill.engine.tasks import TASK_BYTES, Plan, Result, Worker, tasks
from rollmill.seeds.discovery import ManifestRow


def task_results(plan: Plan, rows: Sequence[ManifestRow], workers: int) -> Generator[Result]:
    """The tasks' results in order, worked out here or by worker processes."""
    if workers <= 1 or len(rows) < 2 or not CAN_FORK:
        worker = Worker(plan)
        yield from map(worker.process, tasks(rows))
    else:
        yield from _from_crew(plan, rows, workers)


def _from_crew(plan: Plan, rows: Sequence[ManifestRow], workers: int) -> Iterator[Result]:
    todo = iter(rows)
    with closing(Crew(plan, workers, {row["source_kind"] for row in rows})) as crew:
        yield from _meanwhile(plan, todo, crew)
        for task in tasks(todo):
            crew.begin(task)
            while crew.has_enough():
                yield crew.next_result()
        crew.that_was_all()
        while crew.is_busy():
            yield crew.next_result()


def _meanwhile(plan: Plan, todo: Iterator[ManifestRow], crew: Crew) -> Iterator[Result]:
    """Results that are worked out here until the first worker has started, which takes some tenths of a second. The
    tasks are short, for it is kept waiting until one ends."""
    worker, short_tasks = Worker(plan), tasks(todo, TASK_BYTES // 8)
    while not crew.has_started() and (task := next(short_tasks, None)) is not None:
        yield worker.process(task)
