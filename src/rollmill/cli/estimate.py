"""``rollmill estimate``: what a configuration would ask and cost. Nothing is asked."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from rollmill.cli.making import AT_ENDPOINT, COUNTED, Rows, counted, designer, with_options

if TYPE_CHECKING:
    from rollmill.engine.estimate import Estimate, Estimates


@click.command("estimate")
@click.argument("config", metavar="CONFIG.yaml", type=click.Path(path_type=Path))
@with_options(
    click.option(
        "--num-records", type=Rows(), metavar="N|all", default="all", show_default=True, help="How many rows."
    ),
    click.option(
        "--sample", type=click.IntRange(min=1), default=20, show_default=True, help="Rows that are looked at."
    ),
    *COUNTED,
    *AT_ENDPOINT,
    click.option("--json", "as_json", is_flag=True, help="Print JSON for a script."),
)
def command(
    config: Path, num_records: int | None, sample: int, tokenizer: Path | None, as_json: bool, **options: Any
) -> None:
    """Tell how many calls and tokens a run would need, and what they cost, column by column.

    The prompts of a few rows are made as they will be; the rest follows from the number of files. Prices are those of
    prices.yaml in the configuration folder, and some listed ones. No model is asked.

    \b
    Example:
      rollmill estimate config.yaml
    """
    from rollmill.cli.printing import say, say_json, say_table
    from rollmill.config import DataDesignerConfig
    from rollmill.engine.estimate import estimate
    from rollmill.models.prices import prices

    plan, seed = designer(options).plan(counted(DataDesignerConfig.load(config), tokenizer))
    found = estimate(plan, seed, num_records, prices(), sample)
    if as_json:
        say_json(_plain(found))
        return
    say(f"{found.rows:,} rows expected, from {found.sampled} that were looked at and {found.files:,} in the manifest")
    head = ["COLUMN", "MODEL", "CALLS", "INPUT TOKENS", "OUTPUT TOKENS", "COST"]
    say_table(head, map(_cells, found.columns), right=(2, 3, 4, 5))
    say(f"Together {_dollars(found.cost)}")


def _plain(found: Estimates) -> dict[str, Any]:
    from msgspec import to_builtins

    plain: dict[str, Any] = to_builtins(found)
    return {**plain, "cost": found.cost}


def _cells(each: Estimate) -> list[str]:
    figures = (each.calls, each.input_tokens, each.output_tokens)
    return [each.column, each.model, *(f"{figure:,}" for figure in figures), _dollars(each.cost)]


def _dollars(cost: float | None) -> str:
    return "price not known" if cost is None else f"${cost:,.2f}"
