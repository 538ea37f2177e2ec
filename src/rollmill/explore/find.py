"""A rollout by the name a user gives: a trace id or the beginning of one, a file, a file of rows.

Files are opened only when their names leave no other way: agents name the file after the thread it holds.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

from rollmill.errors import ConfigError, RollmillError
from rollmill.explore.visible import one_line, visible
from rollmill.files import Tree
from rollmill.formats import Branches
from rollmill.formats._jsonl import open_bytes
from rollmill.rollout import Rollout
from rollmill.seeds.bulk import read_rollouts
from rollmill.seeds.discovery import Discovery, ManifestRow
from rollmill.seeds.summary import ReadSummary
from rollmill.stored import StoredRollouts, row_files

LISTED = 20
MANY_FILES = 200
SHORTEST_PART = 4
CHUNK = 1 << 20
TASKS = ("human", "parent_agent")
Note = Callable[[str], None]


@dataclass
class Matches:
    """Rollouts that may be the one that is meant: all are listed, the best of each rank is kept."""

    wanted: str | None
    lines: list[tuple[int, str]] = field(default_factory=list)
    _best: dict[int, Rollout] = field(default_factory=dict)

    def add(self, rollout: Rollout) -> None:
        """Look at one more, unless its trace_id has nothing of what is wanted."""
        if self.wanted is None or self.wanted in rollout.trace_id:
            rank = self._rank(rollout)
            self.lines.append((rank, _entry(rollout)))
            self._best.setdefault(rank, rollout)

    def _rank(self, rollout: Rollout) -> int:
        """0 for the very id, 1 for a main thread, 2 for sub-agents and abandoned branches."""
        if rollout.trace_id == self.wanted:
            return 0
        return 2 if rollout.is_sidechain or "#b" in rollout.trace_id else 1

    def one(self, where: str, how_to_choose: str) -> tuple[Rollout, list[str]]:
        """The one that is meant, and lines about the others. Raises ``ConfigError`` with a list when several are."""
        if not self.lines:
            raise ConfigError(_nothing(self.wanted, where))
        best = min(rank for rank, _ in self.lines)
        same = [line for rank, line in self.lines if rank == best]
        if len(same) > 1:
            raise ConfigError(f"{where} has {self._counted(len(same))}; {how_to_choose}:\n{_listed(same)}")
        return self._best[best], [line for rank, line in self.lines if rank != best]

    def _counted(self, same: int) -> str:
        if self.too_many:
            return f"more than {LISTED} rollouts"
        others = len(self.lines) - same
        return f"{same} rollouts" + (f" (and {others} sub-agents or abandoned branches)" if others else "")

    @property
    def too_many(self) -> bool:
        """Whether looking on would only make the list longer than anyone reads."""
        return self.wanted is None and sum(rank == 1 for rank, _ in self.lines) > LISTED


def _nothing(wanted: str | None, where: str) -> str:
    if wanted is None:
        return f"{where} has no rollout"
    return f"{where} has no rollout whose trace_id is or contains {wanted!r}"


def _entry(rollout: Rollout) -> str:
    day = (rollout.started_at or "")[:10]
    what = rollout.source_meta.title or next((m.text for m in rollout.messages if m.extra.origin in TASKS), "")
    entry = f"{rollout.trace_id}  {day}  {rollout.message_count} messages  {one_line(what, 40)}  {rollout.source_path}"
    return visible(entry).replace("\n", "\\x0a")


def _listed(lines: list[str]) -> str:
    return "\n".join(lines[:LISTED]) + (f"\nand {len(lines) - LISTED} more" if len(lines) > LISTED else "")


def in_path(path: Path, format_name: str, trace: str | None) -> tuple[Rollout, list[str]]:
    """The rollout in a file of rollouts, or the row of that trace in a file or folder of rows; and its neighbours."""
    matches = Matches(trace)
    for rollout in _rollouts_in(path, format_name, trace):
        matches.add(rollout)
        if matches.too_many:
            break
    return matches.one(str(path), "name one with --trace")


def _rollouts_in(path: Path, format_name: str, trace: str | None) -> Iterable[Rollout]:
    if files := row_files(path):
        return StoredRollouts(files, trace)
    if path.is_dir():
        raise ConfigError(
            f"{path} is a folder of other things than rows; give a file in it, or a trace id and --path {path}"
        )
    from rollmill.reading import read

    return read(path, format_name, branches=_branches(trace), on_error="raise")


def _branches(trace: str | None) -> Branches:
    return "all" if trace and "#b" in trace else "live"


def in_folders(folders: list[Discovery], trace: str, note: Note) -> tuple[Rollout, list[str]]:
    """The rollout of that trace id, or of the one that contains it, below the folders: by the names of files, and
    only when no name leads to it by what is in them. ``note`` is told before that long search begins."""
    matches, summary = Matches(trace), ReadSummary()
    for search in (_by_name, _by_content):
        if search is _by_content:
            note(_search_note(folders, trace))
        for folder in folders:
            _look_into(folder, search(folder, trace), matches, summary)
        if matches.lines:
            break
    where = ", ".join(str(folder.root) for folder in folders)
    try:
        return matches.one(where, "give more of the trace id, or the file")
    except RollmillError as error:
        raise ConfigError("\n".join([str(error), *map(str, summary.problems[:3])])) from error


def _look_into(folder: Discovery, rows: Iterable[ManifestRow], matches: Matches, summary: ReadSummary) -> None:
    tree, branches = Tree(folder.root), _branches(matches.wanted)
    for rollout in read_rollouts(rows, tree=tree, summary=summary, branches=branches):
        matches.add(rollout)


def _search_note(folders: list[Discovery], trace: str) -> str:
    rows = [row for folder in folders for row in folder.rows]
    size = sum(row["size"] for row in rows) / 1e6
    return f"no file name leads to {trace}; searching in {len(rows):,} files, {size:,.0f} MB"


def _by_name(folder: Discovery, trace: str) -> list[ManifestRow]:
    parts = _parts(trace)
    found = [row for row in folder.rows if any(part in row["relative_path"] for part in parts)]
    if len(found) > MANY_FILES:
        raise ConfigError(
            f"{trace!r} is in the names of {len(found):,} files below {folder.root}; give more of the trace id"
        )
    return found


def _parts(trace: str) -> list[str]:
    """The ids that a trace id is made of: ``<session>:<agent>``, ``<thread>#b1``."""
    return [part for part in re.split("[:#]", trace) if len(part) >= SHORTEST_PART] or [trace]


def _by_content(folder: Discovery, trace: str) -> Iterator[ManifestRow]:
    needle = _parts(trace)[0].encode()
    return (row for row in folder.rows if _holds(Path(row["source_path"]), needle))


def _holds(path: Path, needle: bytes) -> bool:
    try:
        with open_bytes(path) as file:
            tail = b""
            while chunk := file.read(CHUNK):
                if needle in (block := tail + chunk):
                    return True
                tail = block[-len(needle) :]
    except Exception as error:
        # By its name: zstandard is imported only where a compressed file is met.
        if isinstance(error, OSError) or type(error).__name__ == "ZstdError":
            return False
        raise
    return False
