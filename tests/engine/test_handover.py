"""Batches from one process to another through memory that both see: the same rows, nothing left behind."""

from __future__ import annotations

import os
import subprocess
import sys
import uuid
from collections.abc import Iterator
from contextlib import closing
from itertools import islice
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from rollmill import AgentRolloutSeedSource
from rollmill.engine import workers as workers_module
from rollmill.engine.handover import SMALL, Handed, Receiver, Sender
from rollmill.engine.ingest import IngestSummary, ingest
from rollmill.engine.tasks import Plan, Result, Worker
from rollmill.seeds.discovery import ManifestRow
from rollmill.seeds.summary import ReadSummary
from tests.command_line import session

needs_memory = pytest.mark.skipif(not hasattr(os, "memfd_create"), reason="only Linux has anonymous memory files")
TEXT = "what a model wrote, ünd more "


def result(number: int, batches: int = 2) -> Result:
    schema = pa.schema([("n", pa.int64()), ("text", pa.large_string())], metadata={"of": "a test"})
    text = TEXT * (SMALL // len(TEXT))
    made = [pa.RecordBatch.from_pydict({"n": [number, n], "text": [text, None]}, schema) for n in range(batches)]
    return Result(made, ReadSummary(read=number), filtered=number)


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    with closing(Receiver()) as receiver:
        yield receiver


def held() -> int:
    """How many pieces of such memory this process has open."""
    links = [Path("/proc/self/fd", each) for each in os.listdir("/proc/self/fd")]
    return sum("memfd:rollmill" in os.readlink(link) for link in links if link.is_symlink())


@needs_memory
def test_results_come_whole_in_whatever_order_they_are_asked_for(receiver: Receiver) -> None:
    sender = Sender(receiver.into)
    sent = {number: sender.handed(result(number)) for number in range(5)}
    assert all(isinstance(each, Handed) and not each.result.batches for each in sent.values())
    for number in (3, 0, 4, 1, 2):
        received = receiver.received(sent[number])
        assert received == result(number)
        assert received.batches[0].schema.metadata == {b"of": b"a test"}
        for batch in received.batches:
            batch.validate(full=True)


@needs_memory
def test_rows_outlive_what_they_came_through() -> None:
    with closing(Receiver()) as receiver:
        received = receiver.received(Sender(receiver.into).handed(result(1)))
    assert received == result(1) and held() == 1
    del received
    assert held() == 0


@needs_memory
def test_what_nobody_asks_for_is_let_go() -> None:
    with closing(Receiver()) as receiver:
        sender = Sender(receiver.into)
        sent = [sender.handed(result(number)) for number in range(3)]
        receiver.received(sent[2])
        assert held() == 2  # the other two, which came first
    assert held() == 0


def test_small_results_go_as_they_are(receiver: Receiver) -> None:
    for small in (Result([], ReadSummary()), Result([result(1).batches[0].slice(1)], ReadSummary())):
        sent = Sender(receiver.into).handed(small)
        assert sent is small and receiver.received(sent) is small


@needs_memory
def test_where_such_memory_is_not_allowed_results_go_as_they_are(
    receiver: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refused(name: str) -> int:
        raise PermissionError(1, "not allowed here")

    monkeypatch.setattr(os, "memfd_create", refused)
    sent = Sender(receiver.into).handed(result(1))
    assert receiver.received(sent) == result(1)


@needs_memory
def test_a_full_receiver_keeps_nobody_waiting(receiver: Receiver, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("rollmill.engine.handover.SMALL", 0)
    sender, made = Sender(receiver.into), Result([result(1).batches[0].slice(1)], ReadSummary())
    sent = [sender.handed(made) for _ in range(1000)]
    assert {type(each) for each in sent} == {Handed, Result}
    assert all(receiver.received(each) == made for each in reversed(sent)) and held() == 0


def rows_of(folder: Path, output: Path, workers: int, limit: int | None = None) -> tuple[pa.Table, IngestSummary]:
    source = AgentRolloutSeedSource(format="claude_code", path=str(folder))
    summary = ingest(source, output, workers=workers, limit=limit)
    return pq.read_table(output), summary


@pytest.fixture
def big(tmp_path: Path) -> Path:
    """Some tasks' worth of files."""
    for number in range(24):
        name = f"{uuid.UUID(int=number)}.jsonl"
        session(tmp_path / "projects", name, text=f"{number} " + "word " * 30_000, call_id=f"call {number}")
    return tmp_path / "projects"


@pytest.mark.usefixtures("by_workers")
@pytest.mark.parametrize("anonymous", [True, False], ids=["memory", "pipe"])
def test_workers_write_what_one_process_writes(
    big: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, anonymous: bool
) -> None:
    if not anonymous:
        monkeypatch.delattr(os, "memfd_create", raising=False)
    alone, _ = rows_of(big, tmp_path / "one.parquet", workers=1)
    together, summary = rows_of(big, tmp_path / "two.parquet", workers=2)
    assert together == alone and summary.rows == 24


def test_what_is_read_before_the_workers_have_started_comes_first(
    big: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def two_tasks(plan: Plan, todo: Iterator[list[ManifestRow]], *_: object) -> Iterator[Result]:
        yield from map(Worker(plan).process, islice(todo, 2))

    alone, _ = rows_of(big, tmp_path / "one.parquet", workers=1)
    monkeypatch.setattr(workers_module, "_meanwhile", two_tasks)
    together, _ = rows_of(big, tmp_path / "two.parquet", workers=2)
    assert together == alone


@pytest.mark.usefixtures("by_workers")
@needs_memory
def test_a_run_that_ends_early_leaves_nothing_open(big: Path, tmp_path: Path) -> None:
    table, summary = rows_of(big, tmp_path / "rows.parquet", workers=2, limit=1)
    assert table.num_rows == summary.rows == 1 and held() == 0


BUSY = """
import sys, time
from pathlib import Path
from rollmill import AgentRolloutSeedSource
from rollmill.engine import ingest, workers

def slow(*arguments):
    print("taken", flush=True)
    time.sleep(60)

workers._meanwhile, ingest._take = (lambda *_: ()), slow
ingest.ingest(AgentRolloutSeedSource(format="claude_code", path=sys.argv[1]), Path(sys.argv[2]), workers=2)
"""


@needs_memory
def test_workers_end_with_a_process_that_is_killed(big: Path, tmp_path: Path) -> None:
    arguments = [sys.executable, "-c", BUSY, str(big), str(tmp_path / "rows.parquet")]
    running = subprocess.Popen(arguments, stdout=subprocess.PIPE, text=True)
    assert running.stdout is not None and running.stdout.readline() == "taken\n"
    running.kill()
    running.communicate(timeout=20)  # until the last process that can write there is gone
