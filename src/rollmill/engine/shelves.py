"""Where filled rows go: the parts of a run's folder, or memory."""

from __future__ import annotations

from typing import Any

import pyarrow as pa

from rollmill.engine.fill import FilledRow
from rollmill.engine.fitting import fit_parts
from rollmill.engine.plan import Plan
from rollmill.engine.progress import RunSummary
from rollmill.engine.seedrows import Seed
from rollmill.engine.store import PartFacts, RowProblem, RunFolder
from rollmill.engine.tables import seed_table, typed_array
from rollmill.engine.window import facts_of


def table_of(plan: Plan, seed: Seed, filled: list[FilledRow], types: dict[str, Any]) -> pa.Table:
    """The rows as a table: the seed's columns, then those that were made and not dropped, in the plan's order."""
    table = seed_table([row.seed.content for row in filled], seed.columns, types)
    if not seed.columns:
        table = pa.table({"__": pa.nulls(len(filled))})
    for column in plan.columns:
        sides = column.side_types()
        if not column.drop:
            values = [column.to_arrow(row.cells.get(column.name)) for row in filled]
            table = table.append_column(column.name, typed_array(values, column.arrow_type()))
        for name in column.side_columns:
            table = table.append_column(name, typed_array([row.cells.get(name) for row in filled], sides.get(name)))
    return table if seed.columns else table.drop_columns(["__"])


def seed_types(seed: Seed) -> dict[str, Any]:
    """The Arrow types of the seed's columns, as far as they are known."""
    return {} if seed.schema is None else {field.name: field.type for field in seed.schema}


def _count(summary: RunSummary, facts: PartFacts) -> None:
    summary.count_part(facts.rows, facts.complete, facts.causes, facts.skipped_cells, facts.unanswered_cells)


class FolderShelf:
    """Parts in a run's folder."""

    def __init__(self, plan: Plan, seed: Seed, folder: RunFolder, summary: RunSummary) -> None:
        self._plan, self._seed, self._folder, self._summary = plan, seed, folder, summary
        self._types = seed_types(seed)
        pa.array([None])  # looks for pandas, the first time: half a second, in which replies would wait
        self._parts: set[int] = set()
        self._changed = False

    def facts(self, index: int) -> PartFacts | None:
        known = self._folder.facts(index)
        return known if known is not None and known.plan_hash == self._plan.hash else None

    def keep(self, index: int, facts: PartFacts) -> None:
        self._summary.parts_kept += 1
        self._count(index, facts)

    def write(self, index: int, filled: list[FilledRow]) -> None:
        table = table_of(self._plan, self._seed, filled, self._types)
        facts = facts_of(self._plan.hash, filled)
        known = self.facts(index)
        self._changed |= known is None or known.rows_hash != facts.rows_hash
        problems = [RowProblem.of(row.seed.key, problem) for row in filled for problem in row.problems]
        self._folder.write_part(index, table, facts, problems)
        self._count(index, facts)

    def _count(self, index: int, facts: PartFacts) -> None:
        self._parts.add(index)
        _count(self._summary, facts)

    def finish(self) -> None:
        """Leave the folder with nothing in it that this run does not want, and with parts that fit together."""
        last = max(self._parts, default=-1)
        if self._summary.status == "complete":
            self._folder.finish(last + 1)
        elif self._changed:
            self._folder.remove_parts_from(last + 1)
        fit_parts(self._folder)


class MemoryShelf:
    """Rows that stay in memory."""

    def __init__(self, plan: Plan, summary: RunSummary) -> None:
        self._plan, self._summary = plan, summary
        self.filled: dict[int, list[FilledRow]] = {}

    def facts(self, index: int) -> PartFacts | None:
        return None

    def keep(self, index: int, facts: PartFacts) -> None:
        raise AssertionError("nothing is known of earlier previews")

    def write(self, index: int, filled: list[FilledRow]) -> None:
        self.filled[index] = filled
        facts = facts_of(self._plan.hash, filled)
        _count(self._summary, facts)
