"""Rows with their columns made: the only async room.

Each row walks its own waves of columns; as many rows are under way as keep the endpoints busy, and no more, so that
memory does not grow with the data. A cell that fails is null and says why; the cells that need it are null too, and
nothing is asked for them.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from rollmill.columns import Cell, Column, Problem
from rollmill.columns.expression import ExpressionColumnConfig
from rollmill.columns.templates import TemplateError
from rollmill.engine.plan import Plan, PlannedModel
from rollmill.engine.progress import Progress
from rollmill.engine.seedrows import SeedRow
from rollmill.errors import ConfigError
from rollmill.models.offloop import BIG, off_loop
from rollmill.models.providers import sent_params
from rollmill.models.types import Model, ModelError, Reply, Request
from rollmill.rollout import Rollout

Redact = Callable[[str], str]


class Stopped(BaseException):
    """Nothing is asked any more. No column may take it for a failure of its own."""


class Stop:
    """Whether the run is to end. The first reason stays."""

    def __init__(self) -> None:
        self.reason = ""
        self.message = ""
        self.at_once = False
        self._tell: list[Callable[[], None]] = []

    def __bool__(self) -> bool:
        return bool(self.reason)

    def ask(self, reason: str, message: str = "") -> None:
        """Ask nothing more; what is in flight may finish."""
        if not self.reason:
            self.reason, self.message = reason, message
        for tell in self._tell:
            tell()

    def press(self) -> None:
        """Ctrl-C: the first asks for no more, the second waits for nothing either."""
        self.at_once = self.reason == "interrupted"
        self.ask("interrupted", "Stopped by Ctrl-C.")

    def on_change(self, tell: Callable[[], None]) -> None:
        """Call ``tell`` whenever this changes."""
        self._tell.append(tell)


@dataclass(frozen=True)
class BoundModel:
    """A planned model that can be asked. ``redactor`` makes what takes secrets out of one cell's messages; ``price``
    says what a reply cost."""

    planned: PlannedModel
    model: Model
    redactor: Callable[[], Redact] | None
    price: Callable[[Reply], float | None]
    params: dict[str, Any] = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "params", sent_params(self.planned.config, self.planned.provider))

    def request(
        self, row: SeedRow, column: str, messages: Sequence[dict[str, Any]], schema: Any, sample: int = 0
    ) -> Request:
        config = self.planned.config
        return Request(
            endpoint=self.planned.provider.endpoint,
            model=config.model,
            messages=tuple(messages),
            params=self.params,
            schema=schema,
            row_key=f"{row.key}\nsample {sample}" if sample else row.key,
            column=column,
            pass_number=row.pass_number,
            policy=self.planned.policy,
            timeout=config.inference_parameters.timeout,
        )


@dataclass
class FilledRow:
    """A row with its cells, by the names of columns and side columns. ``failed`` and ``skipped`` are the columns whose
    cells are null for want of a reply, or by the user's condition; those that lack what they need included."""

    seed: SeedRow
    cells: dict[str, Any] = field(default_factory=dict)
    problems: list[Problem] = field(default_factory=list)
    failed: set[str] = field(default_factory=set)
    skipped: set[str] = field(default_factory=set)
    unanswered: int = 0
    """How many of the problems are the endpoint's: an outage, a timeout. Such a cell may succeed another time."""

    @property
    def cause(self) -> str | None:
        """Why the row has null cells: the kind of its first problem; None for a complete row."""
        return self.problems[0].kind if self.failed and self.problems else None


class Filler:
    """Fills rows of one plan."""

    def __init__(self, plan: Plan, models: Mapping[str, BoundModel], progress: Progress, stop: Stop) -> None:
        self.plan, self.models, self.progress, self.stop = plan, models, progress, stop
        self._waves = [_parted(wave) for wave in plan.waves]
        self._sides = {column.name: dict.fromkeys(column.side_columns) for column in plan.columns}

    async def fill(self, seed: SeedRow) -> FilledRow:
        """The row with its cells. Raises ``Stopped`` when the run ends before they are all made."""
        row = FilledRow(seed)
        values = await _by_size(seed.size if isinstance(seed.content, Rollout) else 0, seed.values)
        for at_once, waiting in self._waves:
            for column in at_once:
                await self._make(column, row, values)
            if len(waiting) == 1:
                await self._make(waiting[0], row, values)
            elif waiting:
                await _all(self._make(column, row, values) for column in waiting)
        return row

    async def _make(self, column: Column, row: FilledRow, values: dict[str, Any]) -> None:
        """Puts the column's cell into the row, and into the values that later columns see."""
        absent = self.plan.needs[column.name] & (row.failed | row.skipped)
        if absent and column.propagate_skip:
            (row.failed if absent & row.failed else row.skipped).add(column.name)
            cell = Cell(None)
        else:
            cell = await self._cell(column, row, values)
        if cell.problem is not None:
            row.problems.append(cell.problem)
            self.progress.problems[cell.problem.kind] += 1
            if cell.value is None:
                row.failed.add(column.name)
        own = {column.name: cell.value, **self._sides[column.name], **cell.sides}
        row.cells.update(own)
        values.update(own)

    async def _cell(self, column: Column, row: FilledRow, values: dict[str, Any]) -> Cell:
        ask = _Asking(self, row.seed, column)
        try:
            if column.skip is not None:
                skipped = await _by_size(row.seed.size, _skips, column, values, row.seed.drawn_by)
                if skipped:
                    row.skipped.add(column.name)
                    return Cell(column.skip.value)
            cell = await column.fill(values, ask)
            row.unanswered += ask.unanswered and cell.problem is not None
            return cell
        except ModelError as error:
            if not error.fatal:
                row.unanswered += error.retryable
                return column.problem(error.kind, error.text)
            self.stop.ask("max_cost" if error.kind == "max_cost" else "stopped", error.text)
            raise Stopped from error
        except TemplateError as error:
            return column.problem("template_failed", f"column `{column.name}`: {error}")
        except Exception as error:
            error.add_note(f"while column {column.name!r} was made of the row {row.seed.key!r}")
            raise

    async def ask(self, request: Request, bound: BoundModel) -> Reply:
        """The reply, counted. Raises ``Stopped`` when nothing may be asked any more."""
        if self.stop:
            raise Stopped
        usage = self.progress.used(request.column, bound.planned.alias)
        try:
            reply = await bound.model.complete(request)
        except ModelError as error:
            usage.failed += not error.fatal
            raise
        usage.add(reply, None if reply.from_journal else bound.price(reply))
        return reply


def _parted(wave: Sequence[Column]) -> tuple[list[Column], list[Column]]:
    """The columns of a wave whose cells wait for nothing, and those that are made together: a task for each cell costs
    as much as an expression."""
    at_once: list[Column] = [column for column in wave if isinstance(column, ExpressionColumnConfig)]
    return at_once, [column for column in wave if column not in at_once]


async def _by_size(size: int, work: Callable[..., Any], *arguments: Any) -> Any:
    """What ``work`` returns, done outside the event loop when it is on so many characters."""
    return work(*arguments) if size < BIG else await off_loop(work, *arguments)


def _skips(column: Column, values: Mapping[str, Any], row_key: str) -> bool:
    assert column.skip is not None
    return column.skip.applies(values, row_key)


async def _all(coroutines: Any) -> None:
    """Runs them together, each to its end whatever becomes of the others, and raises the first exception."""
    results = await asyncio.gather(*coroutines, return_exceptions=True)
    for result in results:
        if isinstance(result, BaseException):
            raise result


class _Asking:
    """What one cell asks with: the row, the column and the pass bound in."""

    __slots__ = ("_column", "_filler", "_redacts", "_row", "row_key", "unanswered")

    def __init__(self, filler: Filler, row: SeedRow, column: Column) -> None:
        self._filler, self._row, self._column = filler, row, column
        self.row_key = row.drawn_by
        self.unanswered = False
        """Whether a call failed in a way that may pass."""
        self._redacts: dict[str, Redact | None] = {}

    def shown(self, text: str) -> str:
        """``text`` as the models of the column see it: without secrets as soon as one of them is elsewhere."""
        for alias in self._column.model_aliases:
            if redact := self._redact(alias):
                return redact(text)
        return text

    def _redact(self, alias: str) -> Redact | None:
        """One function for a whole cell, so that a secret has one name in all its messages. Names of secrets begin
        anew in each cell: else they would follow from which cell comes first, and no reply would be found again."""
        if alias not in self._redacts:
            redactor = self._filler.models[alias].redactor
            self._redacts[alias] = redactor() if redactor else None
        return self._redacts[alias]

    async def __call__(
        self, alias: str, messages: list[dict[str, Any]], *, schema: dict[str, Any] | None = None, sample: int = 0
    ) -> Reply:
        filler = self._filler
        if alias not in filler.models:
            raise ConfigError(
                f"column {self._column.name!r} asks the model {alias!r}, which it did not declare; "
                f"declared: {', '.join(filler.models) or 'none'}"
            )
        bound = filler.models[alias]
        if redact := self._redact(alias):
            size = sum(len(content) for m in messages if isinstance(content := m.get("content"), str))
            messages = await _by_size(size, _redacted, messages, redact)
        try:
            return await filler.ask(bound.request(self._row, self._column.name, messages, schema, sample), bound)
        except ModelError as error:
            self.unanswered |= error.retryable
            raise


def _redacted(messages: list[dict[str, Any]], redact: Redact) -> list[dict[str, Any]]:
    return [
        {**message, "content": redact(content) if isinstance(content := message.get("content"), str) else content}
        for message in messages
    ]
