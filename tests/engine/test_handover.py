"""Batches from one process to another through memory that both see: the same rows, nothing left behind."""

from __future__ import annotations

import os
import subprocess
import sys
import uuid
from collections.abc import Iterator
from itertools import islice
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from rollmill import AgentRolloutSeedSource
from rollmill.engine import workers as workers_module
from rollmill.engine.handover import SMALL, Receiver, Sender
from rollmill.engine.ingest import IngestSummary, ingest
from rollmill.engine.tasks import Plan, Result, Worker, tasks
from rollmill.errors import RollmillError
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


def held() -> int:
    """How many pieces of such memory this process has open."""
    links = [Path("/proc/self/fd", each) for each in os.listdir("/proc/self/fd")]
    return sum("memfd:rollmill" in os.readlink(link) for link in links if link.is_symlink())


def handed(sender: Sender, receiver: Receiver, made: Result) -> Result:
    """What the receiver makes of what the sender makes of a result."""
    sent, descriptors = sender.handed(made)
    received = receiver.received(sent, descriptors)
    assert isinstance(received, Result)
    return received


@needs_memory
def test_results_come_whole_and_stay_so() -> None:
    sender, receiver = Sender(), Receiver()
    received = [handed(sender, receiver, result(number)) for number in range(5)]
    for number, each in enumerate(received):
        assert each == result(number)
        assert each.batches[0].schema.metadata == {b"of": b"a test"}
        for batch in each.batches:
            batch.validate(full=True)


@needs_memory
def test_memory_is_used_again_when_its_last_batch_is_gone_and_not_before() -> None:
    sender, receiver = Sender(), Receiver()
    first, second = (handed(sender, receiver, result(number)) for number in range(2))
    made = held()
    assert receiver.done_with() == []
    part = first.batches[1].slice(1)["text"]  # a view into the first one's memory
    del first
    assert receiver.done_with() == []
    third = handed(sender, receiver, result(3))
    assert held() > made and second == result(1) and part.to_pylist() == [None]
    del part
    (free,) = receiver.done_with()
    made = held()
    sender.take_back([free])
    fourth = handed(sender, receiver, result(4))
    assert held() == made and (second, third, fourth) == (result(1), result(3), result(4))
    assert receiver.done_with() == []
    del second, third, fourth
    assert len(receiver.done_with()) == 3 and receiver.done_with() == []


@needs_memory
def test_what_does_not_fit_into_free_memory_gets_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("rollmill.engine.handover._LEAST", 0)
    sender, receiver = Sender(), Receiver()
    handed(sender, receiver, result(1, batches=2))
    sender.take_back(receiver.done_with())
    made = held()
    assert handed(sender, receiver, result(2, batches=3)) == result(2, batches=3)
    assert held() > made
    sender.take_back(receiver.done_with())
    made = held()
    assert handed(sender, receiver, result(3, batches=3)) == result(3, batches=3) and held() == made


@needs_memory
def test_large_memory_is_not_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("rollmill.engine.handover.LARGE", SMALL)
    sender, receiver = Sender(), Receiver()
    received = handed(sender, receiver, result(1))
    assert received == result(1) and held() == 1
    del received
    assert held() == 0
    sender.take_back(receiver.done_with())
    assert handed(sender, receiver, result(2)) == result(2)


@needs_memory
def test_rows_outlive_what_they_came_through() -> None:
    received = handed(Sender(), Receiver(), result(1))
    assert received == result(1) and held() == 1
    del received
    assert held() == 0


def test_small_results_and_errors_go_as_they_are() -> None:
    for small in (Result([], ReadSummary()), Result([result(1).batches[0].slice(1)], ReadSummary()), KeyError("x")):
        assert Sender().handed(small) == (small, [])
        assert Receiver().received(small, []) is small


@needs_memory
@pytest.mark.parametrize("refusing", ["memfd_create", "ftruncate"])
def test_where_such_memory_is_not_allowed_results_go_as_they_are(
    monkeypatch: pytest.MonkeyPatch, refusing: str
) -> None:
    def refused(*_: object) -> int:
        raise PermissionError(1, "not allowed here")

    monkeypatch.setattr(os, refusing, refused)
    assert Sender().handed(result(1)) == (result(1), []) and held() == 0


@needs_memory
def test_without_room_for_another_file_the_message_says_so() -> None:
    sent, descriptors = Sender().handed(result(1))
    for descriptor in descriptors:
        os.close(descriptor)
    with pytest.raises(RollmillError, match="ulimit -n"):
        Receiver().received(sent, [])  # the system drops the descriptors then


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
@pytest.mark.parametrize("anonymous", [True, False], ids=["memory", "socket"])
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
    def two_tasks(plan: Plan, todo: Iterator[ManifestRow], *_: object) -> Iterator[Result]:
        yield from map(Worker(plan).process, islice(tasks(todo, 1 << 20), 2))

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
