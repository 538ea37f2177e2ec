"""``rollmill preview``: the first rows of a configuration, on the screen."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from rollmill.cli.making import AT_ENDPOINT, COUNTED, Rows, counted, designer, look, with_options


@click.command("preview")
@click.argument("config", metavar="CONFIG.yaml", type=click.Path(path_type=Path))
@with_options(
    click.option("--num-records", type=Rows(), metavar="N|all", default="3", show_default=True, help="How many rows."),
    *COUNTED,
    *AT_ENDPOINT,
    click.option("--quiet", is_flag=True, help="Show no progress."),
)
def command(config: Path, num_records: int | None, tokenizer: Path | None, quiet: bool, **options: Any) -> None:
    """Make a few rows of a configuration and show them. Nothing is written.

    \b
    Example:
      rollmill preview config.yaml --endpoint http://localhost:8000/v1
    """
    from rollmill.config import DataDesignerConfig

    look(designer(options), counted(DataDesignerConfig.load(config), tokenizer), num_records, quiet)
