"""Rollmill, one round of one measurement in a process of its own, one JSON line.

side_rollmill.py arrow FORMAT FOLDER              files to Arrow batches by the seed reader, manifest included
side_rollmill.py engine FORMAT FOLDER WORKERS     the same by the engine, with so many processes
side_rollmill.py parquet FORMAT FOLDER WORKERS    files to one Parquet file by the engine
side_rollmill.py training FORMAT FOLDER           files to a training set for TRL, redaction on
side_rollmill.py parse FORMAT FOLDER              the format's parse_file over all files, nothing made of the rows
side_rollmill.py manifest FORMAT FOLDER           discovery alone
side_rollmill.py first FORMAT FOLDER              until the first rollout, and until the first Arrow batch
side_rollmill.py profile FORMAT FOLDER            where the time of `arrow` goes
"""

from __future__ import annotations

import cProfile
import json
import pstats
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

BATCH_ROWS = 100
"""As many as the reference is given."""

# How Rollmill is called: the places to change when its names do.


def source_of(format_name: str, folder: str) -> Any:
    from rollmill import AgentRolloutFormat, AgentRolloutSeedSource

    return AgentRolloutSeedSource(format=AgentRolloutFormat(format_name), path=folder)


def attached(format_name: str, folder: str) -> Any:
    from rollmill import AgentRolloutSeedReader

    reader = AgentRolloutSeedReader()
    reader.attach(source_of(format_name, folder))
    return reader


def arrow_batches(format_name: str, folder: str) -> Iterator[Any]:
    yield from attached(format_name, folder).create_batch_reader(batch_size=BATCH_ROWS)


def engine_batches(format_name: str, folder: str, workers: int) -> Iterator[Any]:
    """The batches that a run writes, before they are written."""
    from rollmill.engine.tasks import Plan
    from rollmill.engine.workers import task_results

    reader = attached(format_name, folder)
    plan = Plan(reader.discovered().root, recursive=True, branches="live", media=None, on_error="record", where=None)
    for result in task_results(plan, reader.manifest_rows(), workers):
        yield from result.batches


def to_parquet(format_name: str, folder: str, workers: int, output: Path) -> None:
    from rollmill.engine.ingest import ingest

    ingest(source_of(format_name, folder), output, workers=workers)


def parse_all(format_name: str, folder: str) -> Iterator[Any]:
    """Every file's rollouts, parsed as bulk reading does it: the garbage collector off meanwhile."""
    from rollmill.files import Tree
    from rollmill.formats import RolloutFile, load_format
    from rollmill.seeds.bulk import uncollected

    module, tree = load_format(format_name), Tree(Path(folder))
    for row in attached(format_name, folder).manifest_rows():
        yield from uncollected(
            iter(module.parse_file(RolloutFile(Path(row["source_path"]), row["relative_path"], tree)))
        )


# The measurements.


def arrow(format_name: str, folder: str) -> dict[str, int]:
    return _counted(arrow_batches(format_name, folder))


def engine(format_name: str, folder: str, workers: str) -> dict[str, int]:
    return _counted(engine_batches(format_name, folder, int(workers)))


def _counted(batches: Iterator[Any]) -> dict[str, int]:
    rows = messages = 0
    for batch in batches:
        rows += batch.num_rows
        messages += sum(batch.column("message_count").to_pylist())
    return {"rows": rows, "messages": messages}


def parquet(format_name: str, folder: str, workers: str) -> dict[str, int]:
    with tempfile.TemporaryDirectory(dir=Path(folder).parent) as aside:
        path = Path(aside, "rows.parquet")
        to_parquet(format_name, folder, int(workers), path)
        return {"parquet_bytes": path.stat().st_size, "stored_media": stored_media(Path(aside))}


def training(format_name: str, folder: str) -> dict[str, int]:
    from rollmill import ExportPlan, export_training_set

    with tempfile.TemporaryDirectory(dir=Path(folder).parent) as aside:
        plan = ExportPlan(target="trl", path=Path(folder), format=format_name)
        summary = export_training_set(plan, Path(aside, "set"))
        return {"samples": summary.written, "secrets": summary.secrets.total()}


def stored_media(folder: Path) -> int:
    """The media files beside the output: their names begin with a hash."""
    return sum(len(path.stem) == 64 for path in folder.rglob("*"))


def parse(format_name: str, folder: str) -> dict[str, int]:
    return {"messages": sum(rollout.message_count for rollout in parse_all(format_name, folder))}


def manifest(format_name: str, folder: str) -> dict[str, int]:
    return {"files": attached(format_name, folder).get_seed_dataset_size()}


def first(format_name: str, folder: str) -> dict[str, float]:
    import rollmill

    begin = time.perf_counter()
    next(iter(rollmill.read(folder, format_name)))
    rollout = time.perf_counter() - begin
    begin = time.perf_counter()
    next(arrow_batches(format_name, folder))
    return {"first_rollout": rollout, "first_batch": time.perf_counter() - begin}


def profile(format_name: str, folder: str) -> dict[str, int]:
    profiler = cProfile.Profile()
    result = profiler.runcall(arrow, format_name, folder)
    pstats.Stats(profiler, stream=sys.stderr).sort_stats("tottime").print_stats(25)
    return result


_MEASUREMENTS = {f.__name__: f for f in (arrow, engine, parquet, training, parse, manifest, first, profile)}


def warm_up() -> None:
    """Imports are measured on their own, so they happen before the clock starts."""
    import pyarrow

    import rollmill.engine.workers
    import rollmill.formats.claude_code
    import rollmill.formats.codex
    import rollmill.rows
    import rollmill.seeds.batches
    import rollmill.seeds.rollout_reader
    import rollmill.seeds.source  # noqa: F401

    pyarrow.array([0])  # the first list that pyarrow converts makes it import pandas, where pandas is installed


def main(what: str, *arguments: str) -> None:
    warm_up()
    begin, cpu = time.perf_counter(), time.process_time()
    result = _MEASUREMENTS[what](*arguments)
    spent = {"seconds": time.perf_counter() - begin, "cpu": time.process_time() - cpu}
    print(json.dumps(spent | result))


if __name__ == "__main__":
    main(*sys.argv[1:])
