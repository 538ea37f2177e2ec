"""The folder on disk: which files there are, and nothing opened.

``walk`` lists them with ``scandir`` and ``stat`` alone. ``Tree`` is the folder as one file's neighbours see it: what
spans files (an index, a parent transcript) is looked up there, once, and only when somebody asks.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator
from operator import attrgetter
from pathlib import Path
from stat import S_ISREG
from typing import Any, NamedTuple

from msgspec import Struct


class FoundFile(Struct, frozen=True, gc=False):
    """A file below the root: its POSIX path relative to it, base name, size in bytes, modification time (s, UTC).

    ``skip`` is empty for a plain file, else one of ``SKIPS``. All but a ``link`` are a reason not to read it.
    """

    relative_path: str
    name: str
    size: int
    mtime: float
    skip: str = ""


SKIPS = ("link", "link_out_of_root", "broken_link", "special_file", "vanished")
"""``link``: it leads to a file inside the root, which may be found in its own place too. ``special_file``: a pipe,
socket or device. ``vanished``: gone between being listed and being looked at."""


class UnlistedFolder(NamedTuple):
    """A folder below the root that could not be listed, so that nothing is known of its files."""

    relative_path: str
    message: str


Found = tuple[str, str, int, float, str]
"""The fields of a ``FoundFile``."""


def walk(root: Path, recursive: bool = True, unlisted: list[UnlistedFolder] | None = None) -> Iterator[FoundFile]:
    """Every file below ``root``, folder by folder, names sorted, so that the order is the same on every machine.

    Links are followed to files inside the root only, and never to folders (their content is found in its own
    place), so loops end. A sub-folder that may not be listed is passed over and added to ``unlisted``; a root that
    may not be raises ``OSError``.
    """
    for fields in walk_fields(root, recursive, unlisted):
        yield FoundFile(*fields)


def walk_fields(root: Path, recursive: bool = True, unlisted: list[UnlistedFolder] | None = None) -> Iterator[Found]:
    """``walk``, each file as its bare fields: where a hundred thousand files pass, their objects would be a tenth of
    the time."""
    real_root = os.path.realpath(root)
    entries = _entries(root)
    pending: list[tuple[str, str]] = []
    prefix = ""
    while True:
        subfolders = []
        for entry in entries:
            if entry.is_file(follow_symlinks=False):
                name = entry.name
                try:
                    stat = entry.stat(follow_symlinks=False)
                except OSError:
                    yield prefix + name, name, 0, 0.0, "vanished"
                else:
                    yield prefix + name, name, stat.st_size, stat.st_mtime, ""
            elif entry.is_dir(follow_symlinks=False):
                subfolders.append((prefix + entry.name + "/", entry.path))
            elif (other := _other(entry, prefix + entry.name, real_root)) is not None:
                yield other
        if recursive:
            pending.extend(reversed(subfolders))
        if not pending:
            return
        prefix, folder = pending.pop()
        entries = _entries_or_note(folder, prefix, unlisted)


def _entries(folder: str | Path) -> list[os.DirEntry[str]]:
    with os.scandir(os.fspath(folder)) as entries:
        return sorted(entries, key=attrgetter("name"))


def _entries_or_note(folder: str, prefix: str, unlisted: list[UnlistedFolder] | None) -> list[os.DirEntry[str]]:
    try:
        return _entries(folder)
    except OSError as error:
        if unlisted is not None:
            unlisted.append(UnlistedFolder(prefix, str(error)))
        return []


def _other(entry: os.DirEntry[str], relative_path: str, real_root: str) -> Found | None:
    """A link or special file; None for a link to a folder inside the root."""
    if not entry.is_symlink():
        return relative_path, entry.name, 0, 0.0, "special_file"
    target = os.path.realpath(entry.path)
    if not _is_below(target, real_root):
        return relative_path, entry.name, 0, 0.0, "link_out_of_root"
    if os.path.isdir(target):
        return None
    return _linked(entry.name, relative_path, target)


def _linked(name: str, relative_path: str, target: str) -> Found:
    try:
        stat = os.stat(target)
    except OSError:
        return relative_path, name, 0, 0.0, "broken_link"
    if not S_ISREG(stat.st_mode):
        return relative_path, name, 0, 0.0, "special_file"
    return relative_path, name, stat.st_size, stat.st_mtime, "link"


def is_inside(path: str | Path, root: str | Path) -> bool:
    """Whether ``path``, links resolved, lies below ``root``."""
    return _is_below(path, os.path.realpath(root))


def _is_below(path: str | Path, real_root: str) -> bool:
    return os.path.commonpath([os.path.realpath(path), real_root]) == real_root


def write_whole(target: Path, data: bytes) -> None:
    """Write a file that only its owner may read; it appears whole under its name or not at all."""
    import tempfile  # Late, as few runs write one, and it brings the archive formats along.

    handle, aside = tempfile.mkstemp(dir=target.parent, prefix=".writing-")
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(data)
        os.replace(aside, target)
    except BaseException:
        os.unlink(aside)
        raise


class Tree:
    """A root folder, with what spans its files computed once and only on demand."""

    def __init__(self, root: Path, recursive: bool = True) -> None:
        self.root = root
        self.recursive = recursive
        self._real_root = os.path.realpath(root)
        self._memo: dict[Any, Any] = {}

    def once(self, compute: Callable[[Tree], Any]) -> Any:
        """``compute(self)``, remembered under the function itself."""
        if compute not in self._memo:
            self._memo[compute] = compute(self)
        return self._memo[compute]

    def named(self, name: str) -> list[Path]:
        """The files of exactly this base name, anywhere in the tree."""
        return [self.root / path for path in self.once(_paths_by_name).get(name, ())]

    def names(self) -> Iterable[str]:
        """The base names of all files of the tree."""
        return self.once(_paths_by_name)  # type: ignore[no-any-return]

    def contains(self, path: Path) -> bool:
        """Whether a path, links resolved, lies below the root."""
        return _is_below(path, self._real_root)


def _paths_by_name(tree: Tree) -> dict[str, list[str]]:
    paths: dict[str, list[str]] = {}
    for found in walk(tree.root, tree.recursive):
        if not found.skip:
            paths.setdefault(found.name, []).append(found.relative_path)
    return paths
