"""One ``DataDesigner.create`` in a process of its own, one JSON line.

side_generate.py rollmill '{"endpoint": …, "rows": ROWS.parquet, "number": 1000, "concurrency": 64, "into": FOLDER}'
side_generate.py reference …           the same script by the reference, run by the Python of its own environment
side_generate.py profile …             where Rollmill's time goes, on standard error

The public names are the same in both, so this is one script: text, structured, judge and expression over the rows.
"""

from __future__ import annotations

import asyncio
import cProfile
import json
import logging
import os
import pstats
import sys
import time
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel

os.environ |= {"NEMO_TELEMETRY_ENABLED": "false", "HF_HUB_OFFLINE": "1", "BENCH_KEY": "none"}
SCALE = {1: "bad", 2: "fair", 3: "good", 4: "very good"}
LAG_EVERY = 0.01
"""Seconds between two looks at the event loop."""


class Digest(BaseModel):
    goal: str
    task_type: str
    steps: list[str]
    outcome: str
    value: Literal["high", "medium", "low"]


def names(side: str) -> tuple[Any, Any]:
    """The config names of a side, and its ``DataDesigner``."""
    if side == "reference":
        import data_designer.config as config
        from data_designer.interface import DataDesigner

        return config, DataDesigner
    import rollmill

    return rollmill, rollmill.DataDesigner


def builder(n: Any, given: dict[str, Any]) -> Any:
    """The columns; with ``big`` each prompt has the row's text in it, else the first one only."""
    parameters = n.ChatCompletionInferenceParams(
        max_parallel_requests=given["concurrency"], temperature=0.7, max_tokens=512, timeout=120
    )
    model = n.ModelConfig(
        alias="m", model="toy", provider="bench", skip_health_check=True, inference_parameters=parameters
    )
    made = n.DataDesignerConfigBuilder(model_configs=[model])
    made.with_seed_dataset(n.LocalFileSeedSource(path=given["rows"]))
    text = "\n{{ trace }}" if given.get("big") else ""
    scores = [n.Score(name=each, description=f"its {each}", options=SCALE) for each in ("quality", "utility")]
    for column in (
        n.LLMTextColumnConfig(name="summary", model_alias="m", prompt="[text {{ rid }}] Sum up:\n{{ trace }}"),
        n.LLMStructuredColumnConfig(
            name="digest",
            model_alias="m",
            prompt="[structured {{ rid }}] Digest of: {{ summary }}" + text,
            output_format=Digest,
        ),
        n.LLMJudgeColumnConfig(
            name="judged",
            model_alias="m",
            prompt="[judge {{ rid }}] Judge {{ summary }} and {{ digest.goal }}" + text,
            scores=scores,
        ),
        n.ExpressionColumnConfig(name="label", expr="{{ digest.value }}-{{ rid }}"),
    ):
        made.add_column(column)
    return made


def designer(side: str, n: Any, DataDesigner: Any, given: dict[str, Any]) -> Any:
    provider = n.ModelProvider(name="bench", endpoint=given["endpoint"], provider_type="openai", api_key="BENCH_KEY")
    if side != "reference":
        return DataDesigner(artifact_path=given["into"], model_providers=[provider])
    made = DataDesigner(artifact_path=given["into"], model_providers=[provider], auto_configure_logging=False)
    # All by its defaults, but that scripted faults do not end the run, and that it opens no port of its own.
    made.set_run_config(n.RunConfig(disable_early_shutdown=True, otel_metrics_port=None))
    logging.getLogger().setLevel(logging.ERROR)
    return made


class Lags:
    """How late the event loop comes back to who waits in it."""

    def __init__(self) -> None:
        self.late: list[float] = []

    async def around(self, work: Any) -> Any:
        watching = asyncio.create_task(self._watch())
        try:
            return await work
        finally:
            watching.cancel()

    async def _watch(self) -> None:
        while True:
            before = time.perf_counter()
            await asyncio.sleep(LAG_EVERY)
            self.late.append(time.perf_counter() - before - LAG_EVERY)

    def figures(self) -> dict[str, float]:
        ordered = sorted(self.late)
        return {"lag_p99": ordered[int(len(ordered) * 0.99)], "lag_max": ordered[-1]} if ordered else {}


def watched() -> Lags:
    """The lags of Rollmill's event loop from now on."""
    from rollmill.engine import run

    lags, run_async = Lags(), run.run_async
    run.run_async = lambda work: run_async(lags.around(work))
    return lags


def checked(results: Any, number: int) -> dict[str, int]:
    """How many rows there are, how many of them once, how many without a null."""
    frame = results.load_dataset()
    whole = frame[["summary", "digest", "judged", "label"]].notna().all(axis=1)
    return {"rows": len(frame), "distinct_rows": int(frame["rid"].nunique()), "whole_rows": int(whole.sum())}


def peak_memory() -> float:
    """MB at most so far; NaN where there is no /proc. ``ru_maxrss`` would be the peak of whoever started this process
    when that is more: Linux carries it over."""
    try:
        lines = Path("/proc/self/status").read_text().splitlines()
    except OSError:
        return float("nan")
    return next(int(line.split()[1]) for line in lines if line.startswith("VmHWM:")) * 1024 / 1e6


def main(what: str, text: str) -> None:
    given: dict[str, Any] = json.loads(text)
    side = "reference" if what == "reference" else "rollmill"
    n, DataDesigner = names(side)
    made, columns = designer(side, n, DataDesigner, given), builder(n, given)
    lags = watched() if given.get("lags") else Lags()
    profiler = cProfile.Profile() if what == "profile" else None
    cpu, started = time.process_time(), time.monotonic()
    if profiler is not None:
        profiler.enable()
    results = made.create(columns, num_records=given["number"], dataset_name="bench")
    if profiler is not None:
        profiler.disable()
        pstats.Stats(profiler, stream=sys.stderr).sort_stats("tottime").print_stats(45)
    ended, cpu = time.monotonic(), time.process_time() - cpu
    figures = {"started": started, "ended": ended, "seconds": ended - started, "cpu": cpu, "memory": peak_memory()}
    print(json.dumps(figures | lags.figures() | checked(results, given["number"])))


if __name__ == "__main__":
    sys.path[0] = str(Path(__file__).parent)
    main(*sys.argv[1:])
