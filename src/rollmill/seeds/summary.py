"""What became of every file: the counts that a run ends with.

files == read + skipped + problems with a file + left (not read, because the run stopped or never selected them)
"""

from __future__ import annotations

import errno
from collections import Counter
from dataclasses import dataclass, field
from typing import Any, Literal

from rollmill.errors import SeedReaderError, UnreadableFile
from rollmill.media import MediaStore
from rollmill.rollout import Rollout
from rollmill.seeds.discovery import Discovery, ManifestRow

OnError = Literal["record", "raise"]
UNREADABLE_FOLDER = "unreadable_folder"
TOO_MANY_FILES = "too_many_open_files"
NOT_SELECTED = "not_selected"


@dataclass(frozen=True)
class Problem:
    """One file that could not be read, or one folder that could not be listed (``unreadable_folder``)."""

    relative_path: str
    kind: str
    message: str
    line: int | None = None

    @classmethod
    def of(cls, error: OSError | UnreadableFile, relative_path: str) -> Problem:
        """The problem that an error in reading a file is."""
        if isinstance(error, UnreadableFile):
            return cls(relative_path, error.kind, str(error), error.line)
        return cls(relative_path, _os_kind(error), str(error))

    def __str__(self) -> str:
        line = f", line {self.line}" if self.line is not None else ""
        return f"{self.relative_path}{line}: {self.message} ({self.kind})"


def _os_kind(error: OSError) -> str:
    if isinstance(error, PermissionError):
        return "permission_denied"
    if error.errno in (errno.EMFILE, errno.ENFILE):
        return TOO_MANY_FILES
    return "vanished" if isinstance(error, FileNotFoundError) else "io_error"


@dataclass
class ReadSummary:
    """The counts of one reading, growing while it goes on."""

    files: int = 0
    """Files seen below the root, whatever their names."""
    read: int = 0
    """Files that gave rows."""
    rows: int = 0
    bytes: int = 0
    """Size of the files that were opened, problems included."""
    skipped: Counter[str] = field(default_factory=Counter)
    """Files without rows, by reason: those of discovery (``SKIP_REASONS``), ``not_selected``, and the format's own
    (``no_messages``, …; ``no_rows`` when it gave none)."""
    problems: list[Problem] = field(default_factory=list)
    media: dict[str, int] = field(default_factory=dict)
    """Embedded media that were met: size in bytes by SHA-256."""
    traces: dict[str, str] = field(default_factory=dict, repr=False)
    """The file in which each trace_id was met first."""
    collisions: dict[str, list[str]] = field(default_factory=dict)
    """The trace_ids met more than once, with their files."""

    @property
    def file_problems(self) -> int:
        """Problems that are files; an unreadable folder is none."""
        return sum(problem.kind != UNREADABLE_FOLDER for problem in self.problems)

    @property
    def problem_kinds(self) -> Counter[str]:
        """How many problems there are of each kind."""
        return Counter(problem.kind for problem in self.problems)

    @property
    def left(self) -> int:
        """Selected files that were not read to their end (yet)."""
        return self.files - self.read - self.skipped.total() - self.file_problems

    def add_discovery(self, discovery: Discovery, selected: int) -> None:
        """Count what was found, what discovery left out, and what was not among the ``selected`` manifest rows."""
        self.files += discovery.seen
        self.skipped.update(discovery.skipped)
        self.skipped.update({NOT_SELECTED: others} if (others := len(discovery.rows) - selected) else {})
        self.problems += [Problem(path, UNREADABLE_FOLDER, message) for path, message in discovery.unlisted]

    def add_row(self, rollout: Rollout) -> None:
        """Count a row and look whether its trace was met before."""
        self.rows += 1
        self._meet(rollout.trace_id, rollout.source_path)

    def add_file(self, manifest_row: ManifestRow, rows: int, skip: str) -> None:
        """Count a file that was read to its end."""
        self.bytes += manifest_row.get("size", 0)
        if rows:
            self.read += 1
        else:
            self.skipped[skip or "no_rows"] += 1

    def add_problem(self, manifest_row: ManifestRow, problem: Problem) -> None:
        """Count a file that could not be read."""
        self.bytes += manifest_row.get("size", 0)
        self.problems.append(problem)

    def merge(self, other: ReadSummary) -> None:
        """Add the counts of another reading, as of a worker that read other files."""
        self.files += other.files
        self.read += other.read
        self.rows += other.rows
        self.bytes += other.bytes
        self.skipped.update(other.skipped)
        self.problems += other.problems
        self.media |= other.media
        for trace_id, path in other.traces.items():
            self._meet(trace_id, path)
        for trace_id, paths in other.collisions.items():
            self.collisions.setdefault(trace_id, [self.traces[trace_id]]).extend(paths[1:])

    def _meet(self, trace_id: str, path: str) -> None:
        if trace_id in self.traces:
            self.collisions.setdefault(trace_id, [self.traces[trace_id]]).append(path)
        else:
            self.traces[trace_id] = path

    def to_dict(self) -> dict[str, Any]:
        """The counts as plain data."""
        return {
            "files": self.files,
            "read": self.read,
            "left": self.left,
            "skipped": dict(self.skipped),
            "problems": [vars(problem) for problem in self.problems],
            "rows": self.rows,
            "bytes": self.bytes,
            "collisions": self.collisions,
            "media": len(self.media),
            "media_bytes": sum(self.media.values()),
        }

    def __str__(self) -> str:
        parts = [f"{self.files} files seen", f"{self.read} read", f"{self.rows} rows"]
        parts += [f"{count} skipped ({reason})" for reason, count in self.skipped.items()]
        parts += [f"{count} problems ({kind})" for kind, count in self.problem_kinds.items()]
        if self.collisions:
            parts.append(f"{len(self.collisions)} trace_ids in more than one row")
        return ", ".join(parts)


class CountedMedia:
    """A media store that notes in a summary what it was given.

    A store that cannot write ends the run: it would fail for every file, and that is no fault of the files.
    """

    def __init__(self, store: MediaStore, summary: ReadSummary) -> None:
        self._store = store
        self._summary = summary

    def put(self, sha256: str, data: bytes) -> None:
        """Hand ``data`` on and note its size."""
        try:
            self._store.put(sha256, data)
        except OSError as error:
            raise SeedReaderError(f"the media store cannot be written: {error}; give media another folder") from error
        self._summary.media[sha256] = len(data)
