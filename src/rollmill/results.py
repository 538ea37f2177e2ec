"""What a preview or a run gives back: rows to look at and to load, and the counts."""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from rollmill.columns import Problem, no_such
from rollmill.config import DataDesignerConfigBuilder, DataFrameSeedSource
from rollmill.engine.plan import Plan
from rollmill.engine.progress import RunSummary, Usage
from rollmill.errors import ConfigError, RollmillError
from rollmill.refused import OfTheReference, refuse_arguments

if TYPE_CHECKING:
    import pyarrow as pa

As = Literal["pandas", "arrow", "polars"]
_LOOKS = ("syntax_highlighting_theme", "background_color", "theme", "display_width")
"""How the reference shows a row."""


class _Records(OfTheReference):
    """Rows with the plan they were made by, to look at."""

    summary: RunSummary
    _plan: Plan
    _shown = 0

    @property
    def usage(self) -> dict[str, dict[str, Usage]]:
        """What was asked, by column and model alias."""
        return self.summary.usage

    @property
    def cost(self) -> float | None:
        """Dollars for what was asked now; None where no model has a known price."""
        return self.summary.total.cost

    def _table(self) -> pa.Table:
        raise NotImplementedError

    def display_sample_record(
        self,
        index: int | None = None,
        *,
        hide_seed_columns: bool = False,
        include_traces: bool = True,
        **of_the_reference: Any,
    ) -> None:
        """Prints one row, the next one with every call, or the one of that ``index``. It is plain text: the reference's
        colours and widths change nothing."""
        from rollmill.explore.visible import visible

        others = {name: value for name, value in of_the_reference.items() if name not in _LOOKS}
        refuse_arguments("display_sample_record", others)

        table = self._table()
        if not table.num_rows:
            print("there are no rows")
            return
        number = self._shown % table.num_rows if index is None else index
        self._shown = number + 1
        if not -table.num_rows <= number < table.num_rows:
            raise ConfigError(f"there is no row {number}: there are {table.num_rows}")
        row = table.slice(number % table.num_rows, 1).to_pylist()[0]
        row = {name: value for name, value in row.items() if include_traces or not name.endswith("__trace")}
        print(visible("\n".join(_shown_row(row, number, self._plan, hide_seed_columns))))

    def to_config_builder(self, columns: Sequence[str] | None = None) -> DataDesignerConfigBuilder:
        """A builder with the same models whose seed are these rows, with all columns or these. The rows are in memory,
        so it cannot be saved: for that, seed from the parts with a ``LocalFileSeedSource``."""
        table = self._table()
        if missing := [name for name in columns or () if name not in table.column_names]:
            raise ConfigError(f"columns has `{missing[0]}`; {no_such(missing[0], table.column_names, 'column')}")
        source = DataFrameSeedSource(df=table if columns is None else table.select(list(columns)))
        return DataDesignerConfigBuilder(self._plan.config.model_configs).with_seed_dataset(source)

    def load_analysis(self) -> RunSummary:
        """The run's counts."""
        return self.summary


class PreviewResults(_Records):
    """What a preview made: ``table`` as Arrow, ``dataset`` as a pandas data frame; ``problems`` are the reasons of
    null cells, each with its row's number."""

    def __init__(
        self, table: pa.Table, summary: RunSummary, plan: Plan, problems: Sequence[tuple[int, Problem]] = ()
    ) -> None:
        self.table, self.summary, self._plan, self.problems = table, summary, plan, list(problems)

    @property
    def dataset(self) -> Any:
        """The rows as a pandas data frame."""
        return _as(self.table, "pandas")

    def _table(self) -> pa.Table:
        return self.table


class ArtifactStorage:
    """Where a data set lies."""

    def __init__(self, base: Path) -> None:
        self.base_dataset_path = base
        self.final_dataset_path = base / "parts"


class DatasetCreationResults(_Records):
    """A data set on the disk, with the counts of the run that made it."""

    def __init__(self, path: Path, summary: RunSummary, plan: Plan) -> None:
        self.artifact_storage = ArtifactStorage(path)
        self.summary, self._plan = summary, plan

    @property
    def usage(self) -> dict[str, dict[str, Usage]]:
        """What all runs in the folder asked, by column and model alias; ``summary.usage`` is that of the last."""
        return self.summary.usage_of_all_runs

    @property
    def cost(self) -> float | None:
        """Dollars for all runs in the folder; None where no model has a known price."""
        return self.summary.total_of_all_runs.cost

    def load_dataset(self, kind: As = "pandas") -> Any:
        """All rows as a pandas data frame, an Arrow table or a Polars data frame."""
        return _as(self._table(), kind)

    def export(self, path: str | os.PathLike[str], *, format: str | None = None) -> Path:
        """The path of one file with all rows: JSON lines, CSV or Parquet, by the file's ending or ``format``
        (``jsonl``, ``csv``, ``parquet``). Raises ``ConfigError`` for others. A part at a time is in memory."""
        from rollmill.engine.onefile import write_one_file

        return write_one_file(self._paths(), Path(path), format)

    def count_records(self) -> int:
        """How many rows there are; only the parts' footers are read."""
        import pyarrow.parquet as pq

        return sum(pq.read_metadata(path).num_rows for path in self._paths())

    def _paths(self) -> list[Path]:
        return sorted(self.artifact_storage.final_dataset_path.glob("part-*.parquet"))

    def _table(self) -> pa.Table:
        import pyarrow as pa
        import pyarrow.parquet as pq

        if not (paths := self._paths()):
            return pa.table({})
        tables = [pq.ParquetFile(path).read() for path in paths]
        return pa.concat_tables(tables, promote_options="permissive").replace_schema_metadata(None)


def _as(table: pa.Table, kind: As) -> Any:
    if kind == "arrow":
        return table
    try:
        if kind == "polars":
            import polars

            return polars.from_arrow(table)
        return table.to_pandas()
    except ImportError:
        raise RollmillError(f"{kind} is not installed; install it, or take load_dataset('arrow')") from None


def _shown_row(row: dict[str, Any], number: int, plan: Plan, hide_seed: bool) -> list[str]:
    lines = [f"── row {number} ──"]
    seed = set(plan.seed_columns)
    if not hide_seed:
        lines += [f"{name}: {_short(value, 200)}" for name, value in row.items() if name in seed and value is not None]
    for name, value in row.items():
        if name not in seed:
            lines += ["", f"[{name}]", _short(value, 4000)]
    return lines


def _short(value: Any, most: int) -> str:
    text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False, default=str, indent=None)
    return text if len(text) <= most else f"{text[:most]}… ({len(text):,} characters)"
