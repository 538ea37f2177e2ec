"""Worker processes: started together, told of what goes wrong in one message, ended together."""

from __future__ import annotations

import errno
import os
import pickle
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from rollmill.engine import crew as crew_module
from rollmill.engine import worker as worker_module
from rollmill.engine.channel import receive, send
from rollmill.engine.crew import CAN_FORK, Crew
from rollmill.engine.tasks import Plan
from rollmill.errors import ConfigError, RollmillError
from rollmill.seeds.discovery import ManifestRow
from tests.command_line import session

pytestmark = pytest.mark.skipif(not CAN_FORK, reason="this system makes no workers")


def row(path: Path, kind: str = "claude_code") -> ManifestRow:
    size = path.stat().st_size if path.exists() else 0
    return {
        "source_kind": kind,
        "source_path": str(path),
        "relative_path": path.name,
        "file_name": path.name,
        "size": size,
        "mtime": 0.0,
    }


@pytest.fixture
def rows(tmp_path: Path) -> list[ManifestRow]:
    names = [f"{number:08}-0000-4000-8000-000000000000.jsonl" for number in range(6)]
    return [row(session(tmp_path, name, text=name)) for name in names]


@pytest.fixture
def crew(tmp_path: Path) -> Iterator[Crew]:
    plan = Plan(tmp_path, recursive=True, branches="live", media=None, on_error="record", where=None)
    with closing(Crew(plan, 2, {"claude_code"})) as crew:
        while not all(member.has_started for member in crew._members):
            crew._collect()
        yield crew


def processes(crew: Crew) -> list[int]:
    """The program, and the workers that it forked itself into."""
    first = crew._program.pid
    return [first, *map(int, Path(f"/proc/{first}/task/{first}/children").read_text().split())]


def test_results_come_in_the_order_of_the_tasks(crew: Crew, rows: list[ManifestRow]) -> None:
    for each in rows:
        crew.begin([each])
    names = []
    while crew.is_busy():
        names += [path for batch in crew.next_result().batches for path in batch["source_path"].to_pylist()]
    assert names == [each["source_path"] for each in rows]


def test_what_a_task_raises_comes_in_its_turn(crew: Crew, rows: list[ManifestRow]) -> None:
    crew.begin(rows[:1])
    crew.begin([rows[1] | {"source_kind": "no such format"}])  # type: ignore[list-item]
    crew.begin(rows[2:3])
    assert crew.next_result().summary.rows == 1
    with pytest.raises(ConfigError, match="no rollout format is called 'no such format'"):
        crew.next_result()
    assert crew.next_result().summary.rows == 1


def test_a_bug_tells_where_in_the_worker_it_happened(crew: Crew) -> None:
    crew.begin([{"size": 1}])  # type: ignore[typeddict-item]
    with pytest.raises(KeyError, match="source_path") as raised:
        crew.next_result()
    (note,) = raised.value.__notes__
    assert note.startswith("in a worker process:\nTraceback") and "bulk.py" in note


class Unsendable(Exception):
    def __init__(self, one: str, other: str) -> None:
        super().__init__(one)


def test_a_bug_that_cannot_be_sent_is_told_all_the_same() -> None:
    sent = worker_module._sendable(Unsendable("what happened", "and where"))
    told = pickle.loads(pickle.dumps(sent))
    assert isinstance(told, RuntimeError) and "what happened" in str(told)


@pytest.mark.skipif(not Path("/proc/self/task").exists(), reason="needs Linux's /proc")
@pytest.mark.parametrize("which", [0, 1], ids=["the program", "its fork"])
def test_a_worker_that_is_killed_ends_the_run_in_one_message(crew: Crew, rows: list[ManifestRow], which: int) -> None:
    all_of_them = processes(crew)
    assert len(all_of_them) == 2
    os.kill(all_of_them[which], signal.SIGKILL)
    with pytest.raises(RollmillError, match="a worker process died"):
        for each in rows * 3:
            crew.begin([each])
            while crew.has_enough():
                crew.next_result()
        while crew.is_busy():
            crew.next_result()
    crew.close()
    deadline = time.monotonic() + 20
    while any(Path(f"/proc/{process}").exists() for process in all_of_them) and time.monotonic() < deadline:
        time.sleep(0.01)
    assert not any(Path(f"/proc/{process}").exists() for process in all_of_them)


def test_a_crew_is_closed_before_it_has_started_and_while_it_works(tmp_path: Path, rows: list[ManifestRow]) -> None:
    plan = Plan(tmp_path, recursive=True, branches="live", media=None, on_error="record", where=None)
    for tasks in ([], rows):
        crew = Crew(plan, 2, {"claude_code"})
        for each in tasks:
            crew.begin([each])
        crew.close()
        assert crew._program.returncode == 0


def test_tasks_that_fill_every_buffer_keep_nobody_waiting(crew: Crew, rows: list[ManifestRow]) -> None:
    long = [each | {"file_name": "x" * 2_000_000} for each in rows]
    for each in long:
        crew.begin([each])  # type: ignore[list-item]
    assert [crew.next_result().summary.rows for _ in long] == [1] * len(long)


def test_that_there_are_no_more_processes_is_told_in_one_message(monkeypatch: pytest.MonkeyPatch) -> None:
    def none_left() -> int:
        raise BlockingIOError(errno.EAGAIN, "Resource temporarily unavailable")

    monkeypatch.setattr(os, "fork", none_left)
    (ours, first), (ours_too, second) = socket.socketpair(), socket.socketpair()
    with ours, first, ours_too:
        assert worker_module._one_each([first, second]) is first
        with pytest.raises(RollmillError, match=r"cannot be started \(Resource temporarily unavailable\).*ulimit"):
            crew_module._has_started(crew_module._Member(ours_too), receive(ours_too)[0])
        with pytest.raises(EOFError):
            receive(ours_too)


def test_a_program_that_is_not_there_is_told_in_one_message(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "executable", str(tmp_path / "no python"))
    plan = Plan(tmp_path, recursive=True, branches="live", media=None, on_error="record", where=None)
    open_before = len(os.listdir("/proc/self/fd")) if Path("/proc/self/fd").exists() else 0
    with pytest.raises(RollmillError, match="cannot be started"):
        Crew(plan, 2, {"claude_code"})
    if open_before:
        assert len(os.listdir("/proc/self/fd")) == open_before


def test_open_files_go_along_with_messages(tmp_path: Path) -> None:
    ours, theirs = socket.socketpair()
    with ours, theirs, (tmp_path / "file").open("wb") as file:
        for message, descriptors in ("first", []), ("second" * 9999, [file.fileno()]), ("third", []):
            send(theirs, message, descriptors)
        assert receive(ours) == ("first", [])
        message, (descriptor,) = receive(ours)
        assert message == "second" * 9999 and receive(ours) == ("third", [])
        assert os.path.samestat(os.fstat(descriptor), os.stat(file.name))
        os.close(descriptor)


def test_messages_are_whole_or_none() -> None:
    ours, theirs = socket.socketpair()
    with ours:
        with theirs:
            send(theirs, {"a": [1, "ü"]})
            theirs.sendall(b"\0\0\0\0\0\0\0\x09torn")
        assert receive(ours) == ({"a": [1, "ü"]}, [])
        with pytest.raises(EOFError):
            receive(ours)


SCRIPT = """
import sys
from pathlib import Path
from rollmill import AgentRolloutSeedSource
from rollmill.engine import ingest, workers

print("once")
workers._meanwhile = lambda *_: ()
source = AgentRolloutSeedSource(format="claude_code", path=sys.argv[1])
print(ingest.ingest(source, Path(sys.argv[2]), workers=2).rows)
"""


def test_a_script_needs_no_guard_around_what_it_does(tmp_path: Path, rows: list[ManifestRow]) -> None:
    script = tmp_path / "script.py"
    script.write_text(r"import sys, pathlib; sys.path += [pathlib.Path('/a'), '/b\'\"\xfc\udcff\n']" + SCRIPT)
    arguments = [sys.executable, str(script), str(tmp_path), str(tmp_path / "rows.parquet")]
    ran = subprocess.run(arguments, capture_output=True, text=True, timeout=60, check=False)
    assert (ran.returncode, ran.stdout, ran.stderr) == (0, "once\n6\n", "")
