"""Runs that are killed or interrupted, in processes of their own: what is asked twice, and what is lost (nothing)."""

from __future__ import annotations

import asyncio
import random
import signal
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from rollmill.config import DataDesignerConfig
from rollmill.engine.fill import Stop
from rollmill.engine.loops import interrupts
from rollmill.engine.window import FEWEST_IN_FLIGHT
from tests.engine.runs import builder, process, seed_file
from tests.models.server import Answer, ModelServer, prompt_of

PARALLEL = 8
ROWS = 150
IN_FLIGHT = max(FEWEST_IN_FLIGHT, PARALLEL)
"""Calls in flight at most: asked for, and the answer not yet on the disk. The server works on 8 of them."""


def config(folder: Path, rows: int = ROWS) -> Path:
    seed = seed_file(folder / "seed.jsonl", rows)
    path = folder / "config.yaml"
    builder(seed, PARALLEL, a="{{ id }} one", b="{{ id }} two {{ a }}").build().to_yaml(path)
    return path


def wait_for(condition: Callable[[], bool], run: subprocess.Popen[str]) -> None:
    """Until the condition holds or the run has ended."""
    end = time.monotonic() + 60
    while not condition() and run.poll() is None:
        assert time.monotonic() < end, "nothing happens"
        time.sleep(0.002)


def rows_of(folder: Path) -> list[str]:
    import pyarrow.parquet as pq

    parts = sorted((folder / "artifacts/dataset/parts").glob("part-*.parquet"))
    return [name for part in parts for name in pq.read_table(part)["id"].to_pylist()]


@pytest.mark.parametrize("round", range(3))
def test_killed_at_random_moments(tmp_path: Path, round: int) -> None:
    """Asked twice is at most what was in flight; no row is lost or doubled."""
    draw = random.Random(round)
    path = config(tmp_path)
    with ModelServer(lambda body: f"<{prompt_of(body)}>", latency=0.04) as server:
        kills = 0
        while True:
            run = process(path, tmp_path / "artifacts", server)
            enough = len(server.requests) + draw.randint(0, 120)
            wait_for(lambda enough=enough: len(server.requests) >= enough, run)  # type: ignore[misc]
            if kills == 4 or run.poll() is not None:
                break
            run.kill()
            run.communicate()
            kills += 1
        _, err = run.communicate(timeout=60)
        assert run.returncode == 0, err
        twice = sum(number - 1 for number in server.counts.values())
    assert twice <= kills * IN_FLIGHT
    assert rows_of(tmp_path) == [f"row-{number:05d}" for number in range(ROWS)]


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_ctrl_c_once_writes_what_is_whole(tmp_path: Path, number: signal.Signals) -> None:
    path = config(tmp_path)
    with ModelServer("x", latency=0.05) as server:
        run = process(path, tmp_path / "artifacts", server)
        wait_for(lambda: len(server.requests) >= 60, run)
        run.send_signal(number)
        out, err = run.communicate(timeout=60)
        assert run.returncode == 130, err
        assert "go on" in err
        whole = rows_of(tmp_path)
        assert 0 < len(whole) < ROWS and len(set(whole)) == len(whole)
        assert f"{len(whole)} complete" in out
        again = process(path, tmp_path / "artifacts", server)
        _, err = again.communicate(timeout=60)
        assert again.returncode == 0, err
        assert max(server.counts.values()) == 1, "nothing that was in flight is asked again"
    assert rows_of(tmp_path) == [f"row-{number:05d}" for number in range(ROWS)]


def test_signals_mean_after_a_run_what_they_meant_before() -> None:
    """What follows a run (an export) has raw rows aside, and removes them when it is ended."""

    async def run() -> Stop:
        stop = Stop()
        with interrupts(stop):
            signal.raise_signal(signal.SIGHUP)  # ignored, as by nohup
            await asyncio.sleep(0)
            assert not stop
            signal.raise_signal(signal.SIGTERM)
            await asyncio.sleep(0.1)
        return stop

    numbers = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
    before = [signal.getsignal(number) for number in numbers]
    handlers = [signal.default_int_handler, lambda *_: None, signal.SIG_IGN]
    try:
        for number, handler in zip(numbers, handlers, strict=True):
            signal.signal(number, handler)
        assert asyncio.run(run()).reason == "interrupted"
        assert [signal.getsignal(number) for number in numbers] == handlers
    finally:
        for number, handler in zip(numbers, before, strict=True):
            signal.signal(number, handler)


def test_ctrl_c_once_sends_nothing_new(tmp_path: Path) -> None:
    """What waits for a place is not in flight; it is asked for by the next run."""
    path = config(tmp_path)
    with ModelServer("x", latency=1.0) as server:
        run = process(path, tmp_path / "artifacts", server)
        wait_for(lambda: len(server.requests) >= PARALLEL, run)
        run.send_signal(signal.SIGINT)
        out, _ = run.communicate(timeout=60)
        assert run.returncode == 130 and len(server.requests) == PARALLEL
        assert f"{PARALLEL} calls" in out and "more were begun" in out
        server.latency = 0
        process(path, tmp_path / "artifacts", server).communicate(timeout=60)
        assert max(server.counts.values()) == 1
    assert len(rows_of(tmp_path)) == ROWS


def test_ctrl_c_once_ends_a_run_that_only_waits(tmp_path: Path) -> None:
    """For an endpoint that died, and for the time that a server asked for."""
    path = config(tmp_path, rows=20)
    with ModelServer("x", latency=0.05) as server:
        run = process(path, tmp_path / "artifacts", server)
        wait_for(lambda: len(server.requests) >= 5, run)
        server.stop()
        run.send_signal(signal.SIGINT)
        run.communicate(timeout=15)
        assert run.returncode == 130
        server.reply = Answer(status=429, headers={"Retry-After": "3600"})
        server.start()
        asked = len(server.requests)
        run = process(path, tmp_path / "artifacts", server)
        wait_for(lambda: len(server.requests) > asked, run)
        run.send_signal(signal.SIGINT)
        run.communicate(timeout=15)
        assert run.returncode == 130


def test_ctrl_c_twice_stops_at_once_and_loses_no_reply(tmp_path: Path) -> None:
    path = config(tmp_path)
    with ModelServer("x", latency=0.05) as server:
        run = process(path, tmp_path / "artifacts", server)
        wait_for(lambda: len(server.requests) >= 60, run)
        server.latency = 30  # Whoever waits for these waits long.
        asked = len(server.requests)
        wait_for(lambda: len(server.requests) >= asked + PARALLEL, run)
        run.send_signal(signal.SIGINT)
        time.sleep(0.3)
        assert run.poll() is None, "it waits for what is in flight"
        begun = time.monotonic()
        run.send_signal(signal.SIGINT)
        run.communicate(timeout=60)
        assert run.returncode == 130 and time.monotonic() - begun < 10
        server.latency = 0
        again = process(path, tmp_path / "artifacts", server)
        again.communicate(timeout=60)
        assert sum(number - 1 for number in server.counts.values()) <= IN_FLIGHT
    assert len(rows_of(tmp_path)) == ROWS


def test_a_second_process_is_refused_and_told_who_works(tmp_path: Path) -> None:
    path = config(tmp_path)
    with ModelServer("x", latency=0.1) as server:
        first = process(path, tmp_path / "artifacts", server)
        wait_for(lambda: len(server.requests) > 0, first)
        second = process(path, tmp_path / "artifacts", server)
        _, err = second.communicate(timeout=60)
        assert second.returncode == 2 and f"process {first.pid}" in err
        first.kill()
        first.communicate()
        third = process(path, tmp_path / "artifacts", server, "--num-records", "3")
        _, err = third.communicate(timeout=60)
        assert third.returncode == 0, err  # A dead holder holds nothing.


def test_a_budget_has_a_status_of_its_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ROLLMILL_CONFIG_DIR", str(tmp_path))
    (tmp_path / "prices.yaml").write_text("toy: {input: 100000, output: 0}")
    path = config(tmp_path, rows=20)
    with ModelServer("x") as server:
        run = process(path, tmp_path / "artifacts", server, "--max-cost", "5")
        out, _ = run.communicate(timeout=60)
    assert run.returncode == 3 and "max-cost" in out


def test_the_saved_config_runs_again(tmp_path: Path) -> None:
    with ModelServer("x") as server:
        process(config(tmp_path, 5), tmp_path / "artifacts", server).communicate(timeout=60)
        saved = tmp_path / "artifacts/dataset/config.yaml"
        assert DataDesignerConfig.load(saved).columns
        run = process(saved, tmp_path / "artifacts", server)
        run.communicate(timeout=60)
        assert run.returncode == 0 and len(server.requests) == 10
