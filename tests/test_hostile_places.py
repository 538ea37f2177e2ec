"""What is read is never replaced; and full disks, closed streams and missing homes end in one message."""

from __future__ import annotations

import os
import resource
import shutil
import signal
import subprocess
import sys
import time
from functools import partial
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from tests.command_line import Run, process, session

FORMATS = Path(__file__).parent / "formats"
NAME = "22222222-0000-4000-8000-000000000000.jsonl"


@pytest.fixture
def two(home: Path) -> Path:
    """A folder of two sessions."""
    session(home / "two")
    session(home / "two", NAME)
    return home / "two"


def everything(folder: Path) -> dict[Path, bytes]:
    return {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}


# What is read stays


@pytest.mark.parametrize(
    "arguments",
    [
        ["ingest", "two", "-o", f"two/{NAME}"],
        ["ingest", "two", "-o", f"two/{NAME}", "--partition-index", "0", "--num-partitions", "2"],
        ["ingest", "two", "-o", f"two/{NAME}", "--partition-index", "1", "--num-partitions", "2"],
        ["redact", "two", "-o", f"two/{NAME}"],
        ["redact", f"two/{NAME}", "-o", f"two/{NAME}"],
        ["stats", "trajectories", "-o", "trajectories/one.json"],
        ["stats", "trajectories/one.json", "-o", "trajectories/one.json"],
    ],
)
def test_a_file_that_is_read_is_never_replaced(run: Run, two: Path, arguments: list[str]) -> None:
    Path("two").symlink_to(two)
    trajectory = next(path for path in sorted(FORMATS.glob("atif/*/input/*.json")))
    Path("trajectories").mkdir()
    shutil.copy(trajectory, "trajectories/one.json")
    before = everything(two) | everything(Path("trajectories"))
    ran = run(*arguments)
    assert ran.status == 2 and "to be read; write to another" in ran.err
    assert everything(two) | everything(Path("trajectories")) == before


def test_an_export_replaces_its_own_files_and_no_others(run: Run, two: Path) -> None:
    assert run("ingest", two, "-o", "rows.parquet").status == 0
    assert run("export", "rows.parquet", "-o", "set").status == 0
    assert run("export", "rows.parquet", "-o", "set", "--split", "train=1").status == 0
    shutil.copy("rows.parquet", "set/rows.parquet")
    ran = run("export", "set/rows.parquet", "-o", "set")
    assert ran.status == 2 and "which is read, lies inside set" in ran.err
    Path("set/.git").mkdir()
    os.unlink("set/rows.parquet")
    ran = run("export", "rows.parquet", "-o", "set")
    assert ran.status == 2 and "holds '.git' besides an export, which would be lost" in ran.err
    assert Path("set/.git").is_dir() and Path("set/manifest.json").is_file()


# No room


@pytest.mark.parametrize("room", [0, 1000, 3000])
@pytest.mark.parametrize("output", ["rows.parquet", "rows.jsonl", "rows"])
@pytest.mark.parametrize("command", ["ingest", "redact"])
def test_without_room_nothing_is_left(two: Path, command: str, output: str, room: int) -> None:
    little = partial(resource.setrlimit, resource.RLIMIT_FSIZE, (room, room))
    running = process(command, two, "-o", output, "--quiet", preexec_fn=little)
    _, err = running.communicate(timeout=60)
    assert running.returncode == 2 and "cannot be written: File too large" in err and err.count("\n") == 1
    assert [path for path in Path().rglob("*") if path.is_file()] == []


@pytest.mark.parametrize("limit", [10, 16, 18, 24])
def test_with_few_files_to_open_all_rows_are_there_or_one_message(home: Path, limit: int) -> None:
    for number in range(40):
        session(home / "few", f"{number:08}-0000-4000-8000-000000000000.jsonl")
    few = partial(resource.setrlimit, resource.RLIMIT_NOFILE, (limit, limit))
    running = process("ingest", home / "few", "--quiet", "-o", "rows.parquet", "--workers", "2", preexec_fn=few)
    out, err = running.communicate(timeout=60)
    if running.returncode == 0:
        assert (out, err) == ("", "") and pq.read_table("rows.parquet").num_rows == 40
    else:
        assert running.returncode == 2 and "ulimit -n" in err and "Traceback" not in err
        assert list(Path().glob("*.parquet")) == []


# Streams that are not there


def by_shell(words: str, *arguments: str | Path) -> subprocess.CompletedProcess[str]:
    command = ["sh", "-c", f'exec "$@" {words}', "sh", sys.executable, "-m", "rollmill", *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)


@pytest.mark.parametrize("closed", [">&-", "2>&-", "<&-", ">&- 2>&- <&-"])
@pytest.mark.parametrize("arguments", [["formats"], ["ingest", "-o", "rows.parquet"], ["stats"], ["redact"]])
def test_closed_streams_change_nothing(two: Path, arguments: list[str], closed: str) -> None:
    path = [two] if arguments != ["formats"] else []
    usual = by_shell("", arguments[0], *path, *arguments[1:])
    ran = by_shell(closed, arguments[0], *path, *arguments[1:])
    assert ran.returncode == usual.returncode and "Traceback" not in ran.stderr
    assert ran.stdout in ("", usual.stdout)


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="there is no /dev/full")
def test_output_that_cannot_be_printed_is_one_message(two: Path) -> None:
    ran = by_shell(">/dev/full", "ingest", two, "-o", "rows.parquet")
    assert (ran.returncode, ran.stderr.count("\n")) == (2, 1) and "No space left on device" in ran.stderr
    assert Path("rows.parquet").is_file()


# Leaving


@pytest.mark.parametrize("workers", ["1", "2"])
def test_a_terminal_that_goes_away_leaves_nothing_behind(two: Path, workers: str) -> None:
    for number in range(3000):
        os.link(two / NAME, two / f"{number}.jsonl")
    arguments = ["ingest", two, "--format", "claude_code", "-o", "out/rows.parquet", "--workers", workers]
    running = process(*arguments, start_new_session=True)
    deadline = time.monotonic() + 60
    while not list(Path("out").glob(".*")) and time.monotonic() < deadline:
        time.sleep(0.005)
    os.killpg(running.pid, signal.SIGHUP)
    running.communicate(timeout=60)
    assert running.returncode == 128 + signal.SIGHUP
    assert list(Path("out").rglob("*")) == []


# No home


@pytest.mark.parametrize("arguments", [["scan"], ["formats"], ["ingest", "~nobody.here/x"], ["show", "~nobody.here/x"]])
def test_a_home_that_nobody_has_is_a_folder_that_is_not_there(
    run: Run, monkeypatch: pytest.MonkeyPatch, arguments: list[str]
) -> None:
    monkeypatch.setenv("CODEX_HOME", "~nobody.here/y")
    ran = run(*arguments)
    assert ran.status == (0 if len(arguments) == 1 else 2)
    assert "~nobody.here" in ran.out + ran.err
