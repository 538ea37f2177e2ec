"""``rollmill run``: a configuration to a data set."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from rollmill.cli.making import (
    AT_ENDPOINT,
    COUNTED,
    SHOWN,
    TO_DISK,
    Rows,
    counted,
    designer,
    finish,
    make,
    with_options,
)


@click.command("run")
@click.argument("config", metavar="CONFIG.yaml", type=click.Path(path_type=Path))
@with_options(
    click.option(
        "--num-records", type=Rows(), metavar="N|all", default="all", show_default=True, help="How many rows."
    ),
    click.option("--new", is_flag=True, help="Take a new folder, even when there is one to go on in."),
    *TO_DISK,
    *COUNTED,
    *AT_ENDPOINT,
    *SHOWN,
)
def command(
    config: Path,
    num_records: int | None,
    new: bool,
    tokenizer: Path | None,
    artifact_path: Path,
    as_json: bool,
    quiet: bool,
    **options: Any,
) -> None:
    """Make the columns of a configuration over its seed rows.

    Everything is checked before anything is read or asked. Rows go to Parquet parts in ARTIFACT_PATH/DATASET_NAME,
    and every reply to a journal beside them: run the same again after a stop, a crash, a changed prompt or a grown
    seed, and only what is missing is asked. Ctrl-C once stops when what is in flight has come back, twice at once.

    \b
    Examples:
      rollmill run config.yaml --endpoint http://localhost:8000/v1
      rollmill run config.yaml --num-records 100 --max-cost 2.50 --dataset-name trial
    """
    from rollmill.config import DataDesignerConfig

    loaded = counted(DataDesignerConfig.load(config), tokenizer)
    made = make(
        designer(options, artifact_path), loaded, quiet, num_records=num_records,
        resume="never" if new else "if_possible", **options,
    )  # fmt: skip
    finish(made, as_json)
