"""The folder of a run: parts, the journal of replies, and what a person wants to know of it.

    dataset/
      parts/part-00000.parquet   rows; each part is written aside and renamed when it is whole
      problems/part-00000.jsonl  why cells of that part are null
      journal.sqlite             every reply that was paid for
      config.yaml  summary.json  problems.jsonl
      run.lock                   who works here; a second run is refused

A part says of which plan and which rows it is. A later run leaves it as it is when both are unchanged; otherwise it
is written anew with the journal's replies. Only the owner can read any of it.
"""

from __future__ import annotations

import json
import os
import shutil
import socket
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import msgspec
import pyarrow as pa
import pyarrow.parquet as pq
from msgspec import Struct, field

from rollmill.columns import Problem
from rollmill.engine.outputs import COMPRESSION, COMPRESSION_LEVEL, _Aside, remove_abandoned
from rollmill.errors import ConfigError, RollmillError

PARTS, PROBLEMS, BEFORE = "parts", "problems", "parts.before"
_FACTS = b"rollmill.part"


class PartFacts(Struct):
    """What a part says of itself. ``rows_hash`` is over its rows' keys and contents, ``causes`` counts the rows that
    have null cells by the kinds of their first problems, ``unanswered_cells`` those that may succeed another time."""

    plan_hash: str
    rows_hash: str
    rows: int
    complete: int
    problems: int = 0
    causes: dict[str, int] = field(default_factory=dict)
    skipped_cells: int = 0
    unanswered_cells: int = 0


class RowProblem(Struct):
    """A problem with the row it happened in, as a line of ``problems.jsonl``."""

    row: str
    column: str
    kind: str
    text: str
    raw: str | None = None

    @classmethod
    def of(cls, row_key: str, problem: Problem) -> RowProblem:
        return cls(row_key.replace("\n", " "), problem.column, problem.kind, problem.text, problem.raw)


class RunFolder:
    """A run's folder, locked while it is open. ``notes`` says what was found damaged in it."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.notes: list[str] = []
        self._lock: int | None = None

    @property
    def parts(self) -> Path:
        return self.path / PARTS

    @property
    def journal(self) -> Path:
        return self.path / "journal.sqlite"

    def __enter__(self) -> RunFolder:
        with _kept(self.path):
            for folder in (self.path, self.parts, self.path / PROBLEMS):
                folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        self._lock = _locked(self.path / "run.lock")
        return self

    def __exit__(self, *_: object) -> None:
        if self._lock is not None:
            os.close(self._lock)
            self._lock = None

    # Parts

    def part_path(self, index: int) -> Path:
        """The file of a part."""
        return self.parts / f"part-{index:05d}.parquet"

    def part_paths(self) -> list[Path]:
        """The parts that are there, in order."""
        return sorted(self.parts.glob("part-*.parquet"))

    def facts(self, index: int) -> PartFacts | None:
        """What the part says of itself; None when there is none, or it is damaged and must be written anew."""
        path = self.part_path(index)
        if not path.exists():
            return None
        try:
            facts = part_facts(path)
        except (OSError, pa.ArrowException, msgspec.MsgspecError, KeyError) as error:
            note = f"{path.name} is damaged ({type(error).__name__}: {error}); it is written anew"
            self.notes += [note] * (note not in self.notes)
            return None
        return facts if facts.problems == len(self._problem_lines(index)) else None

    def set_aside_other_plans(self, plan_hash: str) -> None:
        """Begin with an empty folder of parts when those that are there are of another plan. The old ones are kept
        until this run is complete."""
        numbers = [int(path.stem.rpartition("-")[2]) for path in self.part_paths()]
        if {facts.plan_hash for number in numbers if (facts := self.facts(number))} <= {plan_hash}:
            return
        before = self.path / BEFORE
        with _kept(self.path):
            if before.exists() and (self.summary() or {}).get("status") == "complete":
                shutil.rmtree(before)
            if not before.exists():
                os.replace(self.parts, before)
            shutil.rmtree(self.parts, ignore_errors=True)
            self.parts.mkdir(mode=0o700)

    def write_part(self, index: int, table: pa.Table, facts: PartFacts, problems: Iterable[RowProblem]) -> None:
        """Write a part: its problems first, so that a part that is there has them."""
        own = table.schema.metadata or {}
        table = table.replace_schema_metadata({**own, _FACTS: msgspec.json.encode(facts)})
        with _kept(self.path):
            self._write_problems(index, list(problems))
            self.rewrite_part(self.part_path(index), table)

    def rewrite_part(self, path: Path, table: pa.Table) -> None:
        """Write a part again with other types; what it says of itself is in the table's metadata."""
        with _kept(self.path), _whole(path) as aside:
            pq.write_table(table, aside.file, compression=COMPRESSION, compression_level=COMPRESSION_LEVEL)

    def _write_problems(self, index: int, problems: list[RowProblem]) -> None:
        path = self._problem_file(index)
        if not problems:
            path.unlink(missing_ok=True)
            return
        with _whole(path) as aside:
            aside.file.writelines(msgspec.json.encode(problem) + b"\n" for problem in problems)

    def _problem_file(self, index: int) -> Path:
        return self.path / PROBLEMS / f"part-{index:05d}.jsonl"

    def _problem_lines(self, index: int) -> list[bytes]:
        path = self._problem_file(index)
        return path.read_bytes().splitlines() if path.exists() else []

    def remove_parts_from(self, index: int) -> None:
        """Remove the parts of this number and higher: nothing says that their rows are still wanted."""
        for path in (*self.part_paths(), *(self.path / PROBLEMS).glob("part-*.jsonl")):
            if int(path.stem.rpartition("-")[2]) >= index:
                path.unlink(missing_ok=True)

    def finish(self, parts: int) -> None:
        """Leave exactly the run's parts, and nothing of plans before it."""
        with _kept(self.path):
            self.remove_parts_from(parts)
            shutil.rmtree(self.path / BEFORE, ignore_errors=True)

    # What people read

    def write_config(self, text: str) -> None:
        """Write what was run, without keys."""
        self._write("config.yaml", text)

    def write_summary(self, summary: dict[str, Any]) -> None:
        """Write the counts, and all parts' problems as one file."""
        with _kept(self.path), _whole(self.path / "problems.jsonl") as aside:
            for index in range(len(self.part_paths())):
                aside.file.writelines(line + b"\n" for line in self._problem_lines(index))
        self._write("summary.json", json.dumps(summary, indent=2, ensure_ascii=False) + "\n")

    def _write(self, name: str, text: str) -> None:
        with _kept(self.path), _whole(self.path / name) as aside:
            aside.file.write(text.encode("utf-8", "replace"))

    def config_text(self) -> str | None:
        """The configuration of the run before; None when there was none."""
        with suppress(OSError, UnicodeDecodeError):
            return (self.path / "config.yaml").read_text(encoding="utf-8")
        return None

    def summary(self) -> dict[str, Any] | None:
        """The counts of the run before; None when there are none that can be read."""
        with suppress(OSError, ValueError):
            found = json.loads((self.path / "summary.json").read_text(encoding="utf-8"))
            return found if isinstance(found, dict) else None
        return None


def part_facts(path: Path) -> PartFacts:
    """What the part says of itself. Raises when it is no whole part."""
    with pq.ParquetFile(path) as part:
        facts = msgspec.json.decode(part.schema_arrow.metadata[_FACTS], type=PartFacts)
        if part.metadata.num_rows != facts.rows:
            raise pa.ArrowInvalid(f"{part.metadata.num_rows} rows instead of {facts.rows}")
    return facts


def new_folder(path: Path) -> Path:
    """``path``, or when it is taken ``path_2``, ``path_3``, …"""
    number = 1
    while (free := path if number == 1 else path.with_name(f"{path.name}_{number}")).exists():
        number += 1
    return free


@contextmanager
def _whole(path: Path) -> Iterator[_Aside]:
    """A file that appears under its name at the end of the block, or not at all."""
    aside = _Aside(path)
    try:
        yield aside
        aside.keep()
    except BaseException:
        with suppress(OSError):
            aside.discard()
        raise


@contextmanager
def _kept(path: Path) -> Iterator[None]:
    """A disk that is full or goes away: one message that says what is safe."""
    try:
        yield
    except (OSError, ConfigError) as error:
        reason = (error.strerror or error) if isinstance(error, OSError) else error
        if not os.path.exists(path):
            raise RollmillError(
                f"{path} cannot be made: {reason}; choose another artifact path, or mend the folder above it"
            ) from error
        raise RollmillError(
            f"{path} cannot be written: {reason}; whole parts and every reply in the journal are kept: make room, or "
            f"mend its permissions, and run the same again"
        ) from error


def _locked(path: Path) -> int:
    """The open lock file. Raises ``RollmillError`` naming its holder when another process has it.

    The system frees the lock when its holder ends, however it ends.
    """
    remove_abandoned(path)
    with _kept(path.parent):
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
    if not _take(descriptor):
        holder = os.read(descriptor, 1000).decode("utf-8", "replace").strip() or "another process"
        os.close(descriptor)
        raise RollmillError(
            f"{path.parent} is being worked on by {holder}; wait for it or stop it, or choose another dataset name"
        )
    os.ftruncate(descriptor, 0)
    started = time.strftime("%Y-%m-%d %H:%M:%S")
    os.write(descriptor, f"process {os.getpid()} on {socket.gethostname()} since {started}".encode())
    return descriptor


def _take(descriptor: int) -> bool:
    try:
        import fcntl
    except ImportError:  # Windows
        import msvcrt

        try:
            os.lseek(descriptor, 4000, os.SEEK_SET)  # Beyond the text, which stays readable.
            msvcrt.locking(descriptor, msvcrt.LK_NBLCK, 1)  # type: ignore[attr-defined]
        except OSError:
            return False
        os.lseek(descriptor, 0, os.SEEK_SET)
        return True
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        return False
    return True
