"""From a folder to manifest rows: which files are rollouts, and why the others are not. Nothing is opened.

    {"source_kind": "claude_code", "source_path": "/home/a/.claude/projects/p/5e1f….jsonl",
     "relative_path": "p/5e1f….jsonl", "file_name": "5e1f….jsonl", "size": 48213, "mtime": 1767225600.0}

A manifest row says all that is needed to read its file later, in this process or another.
"""

from __future__ import annotations

import os
import re
from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from fnmatch import translate
from operator import itemgetter, methodcaller
from pathlib import Path
from typing import Any

from rollmill.files import Found, FoundFile, UnlistedFolder, is_inside, walk_fields
from rollmill.formats import load_format

ManifestRow = dict[str, Any]
SHOWN_NAMES = 5

SKIP_REASONS = {
    "pattern": "its name does not match file_pattern",
    "not_handled": "its name is not one the format gives to rollouts",
    "superseded": "compressed, and the plain file lies beside it",
    "link": "a link to a file that is read in its own place",
    "link_out_of_root": "a link that leads out of the folder",
    "broken_link": "a link to nothing",
    "special_file": "a pipe, socket or device",
    "vanished": "gone while the folder was listed",
    "undecodable_name": "its path is not valid text in the file system's encoding",
}
"""Why a file is not in the manifest."""


@dataclass
class Discovery:
    """What a folder holds: ``seen`` files, the ``rows`` to read, and the ``skipped`` ones by reason.

    ``seen == len(rows) + skipped.total()``. Of an ``unlisted`` folder's files nothing is known; they are in no count.
    """

    root: Path
    pattern: str
    rows: list[ManifestRow] = field(default_factory=list)
    seen: int = 0
    skipped: Counter[str] = field(default_factory=Counter)
    unlisted: list[UnlistedFolder] = field(default_factory=list)
    some_skipped: list[str] = field(default_factory=list)
    """The first few skipped names with their reason, for messages."""

    def holds(self, path: Path) -> bool:
        """Whether ``path``, links resolved, is one of the files to read."""
        if not os.path.isfile(path) or not is_inside(path, self.root):
            return False
        real = os.path.realpath(path)
        return any(os.path.realpath(row["source_path"]) == real for row in self.rows)

    def skip(self, relative_path: str, reason: str) -> None:
        """Count a file as not to be read."""
        self.skipped[reason] += 1
        if len(self.some_skipped) < SHOWN_NAMES:
            self.some_skipped.append(f"{relative_path} ({SKIP_REASONS[reason]})")


def discover(root: Path, format_name: str, pattern: str, recursive: bool = True) -> Discovery:
    """The manifest of ``root``, sorted by relative path, by ``scandir`` and ``stat`` alone."""
    discovery = Discovery(root, pattern)
    rows, links, compressed = _by_name(discovery, walk_fields(root, recursive, discovery.unlisted), format_name)
    if links or compressed:
        handled = {row["relative_path"] for row in rows}
        rows = _without_superseded(discovery, rows, handled)
        rows += [manifest_row(os.fspath(root), found, format_name) for found in _only_ways(discovery, links, handled)]
    discovery.rows = sorted(rows, key=itemgetter("relative_path"))
    discovery.seen = len(rows) + discovery.skipped.total()
    return discovery


def discover_file(path: Path, format_name: str) -> Discovery:
    """The manifest of one file that the user named: its name is not judged."""
    stat = path.stat()
    found = FoundFile(path.name, path.name, stat.st_size, stat.st_mtime)
    row = manifest_row(os.fspath(path.parent), found, format_name)
    return Discovery(path.parent, path.name, rows=[row], seen=1)


def manifest_row(root: str, found: FoundFile, source_kind: str) -> ManifestRow:
    """The manifest row of a file found below ``root``."""
    return {
        "source_kind": source_kind,
        "source_path": f"{root}/{found.relative_path}",
        "relative_path": found.relative_path,
        "file_name": found.name,
        "size": found.size,
        "mtime": found.mtime,
    }


def _by_name(
    discovery: Discovery, found_files: Iterable[Found], format_name: str
) -> tuple[list[ManifestRow], list[FoundFile], bool]:
    """Rows for the plain files whose names say that they are rollouts, the links of such names, and whether one of the
    rows is compressed; all others are counted as skipped. A hundred thousand names pass here: the common case comes
    first, and its row is written out."""
    root, matches = os.fspath(discovery.root), name_test(discovery.pattern)
    handled = load_format(format_name).is_handled_file
    rows: list[ManifestRow] = []
    links: list[FoundFile] = []
    compressed = False
    for path, name, size, mtime, skip in found_files:
        if not matches(name):
            discovery.skip(path, "pattern")
        elif not handled(path):
            discovery.skip(path, "not_handled")
        elif not (path.isascii() or is_text(path)):
            discovery.skip(path, "undecodable_name")
        elif not skip:
            row = {
                "source_kind": format_name,
                "source_path": f"{root}/{path}",
                "relative_path": path,
                "file_name": name,
                "size": size,
                "mtime": mtime,
            }
            rows.append(row)
            if name[-1] == "t":
                compressed = compressed or name.endswith(".zst")
        elif skip == "link":
            links.append(FoundFile(path, name, size, mtime, skip))
        else:
            discovery.skip(path, skip)
    return rows, links, compressed


def name_test(pattern: str) -> Callable[[str], Any]:
    """A case-sensitive test of base names against a shell pattern, as ``fnmatch.fnmatchcase``; faster."""
    ending = pattern[1:]
    if pattern.startswith("*") and not set("*?[") & set(ending):
        return methodcaller("endswith", ending)
    return re.compile(translate(pattern)).match


def _without_superseded(discovery: Discovery, rows: list[ManifestRow], handled: set[str]) -> list[ManifestRow]:
    """``rows`` without each ``x.jsonl.zst`` that has its ``x.jsonl`` among the files to read."""
    kept = []
    for row in rows:
        path = row["relative_path"]
        if path.endswith(".zst") and path.removesuffix(".zst") in handled:
            discovery.skip(path, "superseded")
        else:
            kept.append(row)
    return kept


def _only_ways(discovery: Discovery, links: list[FoundFile], handled: set[str]) -> list[FoundFile]:
    """The links that are the only way to their file: it has no rollout's name itself, or lies too deep."""
    kept = []
    real_root = os.path.realpath(discovery.root)
    for found in links:
        target = os.path.relpath(os.path.realpath(discovery.root / found.relative_path), real_root).replace(os.sep, "/")
        if target in handled:
            discovery.skip(found.relative_path, "link")
        else:
            handled.add(target)
            kept.append(found)
    return kept


def is_text(path: str) -> bool:
    """Whether a path can be written as UTF-8: names of arbitrary bytes reach Python with lone surrogates in them."""
    try:
        path.encode()
    except UnicodeEncodeError:
        return False
    return True
