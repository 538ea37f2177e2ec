"""A run from its plan to its folder: the door between the async room and everything else.

    summary = create(plan, seed, folder, …)      to disk, resumable
    filled, summary = preview(plan, seed, …)     in memory

Ctrl-C once sends no more, not even what waits for a place, and writes what became whole; twice waits for nothing. What
was answered is in the journal either way.
"""

from __future__ import annotations

import asyncio
import gc
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rollmill.engine.fill import BoundModel, FilledRow, Filler, Redact, Stop
from rollmill.engine.loops import interrupts, run_async
from rollmill.engine.plan import Plan, PlannedModel
from rollmill.engine.progress import Progress, RunSummary, duration
from rollmill.engine.seedrows import Seed, cycled
from rollmill.engine.shelves import FolderShelf, MemoryShelf
from rollmill.engine.spending import budget_of, usage_before
from rollmill.engine.store import RunFolder
from rollmill.engine.window import TICK, Window, width
from rollmill.errors import ConfigError, RollmillError
from rollmill.models import OpenedModel, Waiting, open_model
from rollmill.models.budget import Budget
from rollmill.models.gate import PATIENCE, Gate
from rollmill.models.journal import Journal
from rollmill.models.prices import Prices, cost, prices
from rollmill.models.types import Reply

Show = Callable[[Progress], None]


@dataclass(frozen=True)
class Settings:
    """How a run goes, nothing of what it makes. ``redactor`` gives what takes secrets out of one cell's messages,
    for models with a policy; ``keys`` gives a provider its key."""

    num_records: int | None = None
    max_cost: float | None = None
    redactor: Callable[[], Redact] | None = None
    show: Show | None = None
    price_table: Path | None = None
    patience: float = PATIENCE
    once: bool = False
    """Whether the seed is not gone through again when it has fewer rows than are wanted."""


def create(plan: Plan, seed: Seed, folder: RunFolder, settings: Settings) -> RunSummary:
    """Fill every row into the parts of an opened folder. The summary says whether it came to the end; raises
    ``RollmillError`` when a model's error stopped it, with everything answered kept."""
    summary = RunSummary(plan_hash=plan.hash)
    folder.set_aside_other_plans(plan.hash)
    folder.write_config(config_text(plan))
    shelf = FolderShelf(plan, seed, folder, summary)
    journal = Journal(folder.journal)
    if journal.recovered is not None:
        summary.notes.append(journal.recovered.text)
    try:
        run_async(_run(plan, seed, shelf, journal, settings, summary))
    except BaseException as error:
        summary.status, summary.message = "failed", str(error)
        with suppress(Exception):
            folder.write_summary(summary.to_dict())
        raise
    finally:
        with suppress(Exception):
            journal.close_now()
    shelf.finish()
    summary.notes += folder.notes
    folder.write_summary(summary.to_dict())
    return summary


def preview(plan: Plan, seed: Seed, settings: Settings) -> tuple[list[FilledRow], RunSummary]:
    """The filled rows, in memory, and the counts. Nothing is written."""
    summary = RunSummary(plan_hash=plan.hash)
    shelf = MemoryShelf(plan, summary)
    run_async(_run(plan, seed, shelf, None, settings, summary))
    return [row for index in sorted(shelf.filled) for row in shelf.filled[index]], summary


def config_text(plan: Plan) -> str:
    """The configuration as it is kept beside the parts; a data frame's place only is named."""
    try:
        return plan.config.to_yaml()
    except ConfigError:
        return plan.config.model_copy(update={"seed_config": None}).to_yaml() + "# seeded from a data frame\n"


async def _run(
    plan: Plan, seed: Seed, shelf: Any, journal: Journal | None, settings: Settings, summary: RunSummary
) -> None:
    progress, stop = Progress(seed.expected() if settings.num_records is None else settings.num_records), Stop()
    opened: dict[str, OpenedModel] = {}
    try:
        table = prices(settings.price_table)
        before = {} if journal is None else usage_before(plan, journal.path, table)
        budget = budget_of(plan, settings.max_cost, table, before)
        opened |= _open_models(plan, journal, budget, settings, progress)
        bound = {alias: _bound(plan.models[alias], model, settings, table) for alias, model in opened.items()}
        filler = Filler(plan, bound, progress, stop)
        gates = list({id(model.gate): model.gate for model in opened.values()}.values())
        stop.on_change(lambda: _give_back(gates, budget))
        window = Window(filler, shelf, progress, stop, width(lambda: sum(gate.limit for gate in gates)))
        with interrupts(stop), _collected_rarely():
            ticking = asyncio.create_task(_tick(progress, gates, settings.show))
            try:
                await window.work(cycled(seed, settings.num_records, settings.once))
            finally:
                ticking.cancel()
                _look_at(gates, progress)
    finally:
        for model in opened.values():
            await model.close()
    summary.take(progress, before)
    _sum_up(summary, window, progress, stop, seed)
    if settings.show is not None:
        settings.show(progress)


def _open_models(
    plan: Plan, journal: Journal | None, budget: Budget | None, settings: Settings, progress: Progress
) -> dict[str, OpenedModel]:
    def on_wait(waiting: Waiting) -> None:
        left = waiting.seconds_left
        progress.waiting = f"{waiting.endpoint} does not answer ({waiting.kind}), {left:.0f} s left" if left else ""
        if settings.show is not None:
            settings.show(progress)

    return {
        alias: open_model(
            each.config, each.provider, journal, on_wait=on_wait, patience=settings.patience, budget=budget
        )
        for alias, each in plan.models.items()
    }


def _give_back(gates: Sequence[Gate], budget: Budget | None) -> None:
    """What waits is not sent any more, so that only what is in flight is waited for."""
    for gate in gates:
        gate.give_back()
    if budget is not None:
        budget.give_back()


def _bound(planned: PlannedModel, model: OpenedModel, settings: Settings, table: Prices) -> BoundModel:
    def price(reply: Reply) -> float | None:
        return cost(reply.usage, planned.config.model, table)

    return BoundModel(planned, model, settings.redactor if planned.policy else None, price)


async def _tick(progress: Progress, gates: Sequence[Gate], show: Show | None) -> None:
    while show is not None:
        _look_at(gates, progress)
        show(progress)
        await asyncio.sleep(TICK)


def _look_at(gates: Sequence[Gate], progress: Progress) -> None:
    progress.in_flight = sum(gate.in_flight for gate in gates)
    progress.paused = "" if progress.in_flight else _paused(gates)
    progress.limit = sum(gate.limit for gate in gates)
    progress.retries = sum(gate.retries for gate in gates)
    if progress.rows_total is not None:
        progress.rows_total = max(progress.rows_total, progress.rows_read)  # A file may give several rows.


def _paused(gates: Sequence[Gate]) -> str:
    waits = [(seconds, gate.endpoint) for gate in gates if (seconds := gate.next_try) is not None]
    if not waits or min(waits)[0] < 1:
        return ""
    seconds, endpoint = min(waits)
    return f"{endpoint} wants no request now, {duration(seconds)} until the next"


def _sum_up(summary: RunSummary, window: Window, progress: Progress, stop: Stop, seed: Seed) -> None:
    summary.unfinished, summary.passes = window.unfinished, progress.passes if seed.columns else 1
    summary.unreadable = len(seed.summary.problems)
    summary.notes += [f"unreadable: {problem}" for problem in seed.summary.problems[:10]]
    if stop:
        summary.status, summary.message = stop.reason, stop.message


@contextmanager
def _collected_rarely() -> Iterator[None]:
    """Python's cyclic collector at a twentieth of its eagerness: rows and replies make no cycles worth a search of
    everything, which costs a tenth of all time."""
    before = gc.get_threshold()
    gc.freeze()
    gc.set_threshold(max(before[0], 1) * 20, before[1], before[2])
    try:
        yield
    finally:
        gc.set_threshold(*before)
        gc.unfreeze()


def raise_if_stopped(summary: RunSummary, how_to_resume: str) -> None:
    """Raise what a caller in Python expects of a run that a model's error, or Ctrl-C, ended."""
    if summary.status == "interrupted":
        raise KeyboardInterrupt(f"{_sentence(summary.message)} {how_to_resume}")
    if summary.status == "stopped":
        raise RollmillError(f"{_sentence(summary.message)} {how_to_resume}")


def _sentence(text: str) -> str:
    return text if text.endswith((".", "?", "!")) else f"{text}."
