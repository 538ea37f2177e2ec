"""Rollout formats: one module each, and this folder is their list.

A format module has these names and nothing else that the rest of Rollmill looks at:

    DEFAULTS                        where its agent keeps rollouts, and which files those are
    is_handled_file(relative_path)  whether a file of that name can be a rollout (its name alone)
    recognise(records)              whether the first records of a file have this format's shape
    parse_file(file)                one ``RolloutFile`` → its ``Rollout``s, main thread first

Outside packages add a module under the entry-point group ``rollmill.formats``. Nothing is imported to list names.
"""

from __future__ import annotations

import importlib
import os
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, Protocol, cast

from rollmill.errors import ConfigError
from rollmill.files import Tree
from rollmill.media import MediaStore, NoStore
from rollmill.rollout import Rollout

if TYPE_CHECKING:
    from importlib.metadata import EntryPoint

ENTRY_POINT_GROUP = "rollmill.formats"
Branches = Literal["live", "all"]


@dataclass(frozen=True)
class FormatDefaults:
    """Where a format's rollouts lie when the user names no place. ``root`` None: a path must be given.

    ``home_variable`` is the agent's own environment variable for its home, ``below_home`` the folder below it.
    """

    root: str | None
    file_pattern: str
    home_variable: str | None = None
    below_home: str = ""

    @property
    def path(self) -> str | None:
        """The folder as of now: below the agent's environment variable when that is set, else ``root``."""
        home = os.environ.get(self.home_variable) if self.home_variable else None
        if home and self.root:
            return str(Path(os.path.expanduser(home), self.below_home))
        return str(Path(os.path.expanduser(self.root))) if self.root else None


@dataclass
class RolloutFile:
    """One file to parse, with all the context it may use: where it lies, and the tree around it."""

    path: Path
    relative_path: str
    tree: Tree
    branches: Branches = "live"
    media: MediaStore = field(default_factory=NoStore)
    skip: str = ""
    """Set by ``parse_file`` when the file gives no row: why (``no_messages``, ``warmup``)."""
    companions_read: int = 0
    companions_missing: list[str] = field(default_factory=list)

    @classmethod
    def alone(cls, path: Path) -> RolloutFile:
        """A single file, its own folder as the tree."""
        return cls(path, path.name, Tree(path.parent))

    def companion(self, path: Path, missing_name: str | None = None) -> bytes | None:
        """The bytes of a file this one names, counted; None when it is not there or lies outside the root.

        With ``missing_name`` its absence is noted in the ledger under that name."""
        if path.is_file() and self.tree.contains(path):
            self.companions_read += 1
            return path.read_bytes()
        if missing_name is not None and missing_name not in self.companions_missing:
            self.companions_missing.append(missing_name)
        return None


class Format(Protocol):
    """What a format module offers."""

    DEFAULTS: FormatDefaults

    @staticmethod
    def is_handled_file(relative_path: str) -> bool: ...
    @staticmethod
    def recognise(records: list[Any]) -> bool: ...
    @staticmethod
    def parse_file(file: RolloutFile) -> Iterable[Rollout]: ...


def built_in_names() -> list[str]:
    """The formats in this folder, by file name."""
    folder = os.path.dirname(__file__)
    return sorted(n[:-3] for n in os.listdir(folder) if n.endswith(".py") and not n.startswith("_"))


def outside_modules() -> Mapping[str, EntryPoint]:
    """The formats that installed packages add, by name; none of them imported."""
    from importlib.metadata import entry_points  # Late: it takes longer than all of the formats' own code.

    return {point.name: point for point in entry_points(group=ENTRY_POINT_GROUP)}


@cache
def format_names() -> tuple[str, ...]:
    """Every known format, built-in ones first. An outside package cannot replace a built-in one."""
    built_in = built_in_names()
    return (*built_in, *(name for name in sorted(outside_modules()) if name not in built_in))


@cache
def load_format(name: str) -> Format:
    """The format module of that name. Raises ``ConfigError`` with the known names when there is none."""
    if name in built_in_names():
        return cast(Format, importlib.import_module(f"{__name__}.{name}"))
    if (point := outside_modules().get(name)) is not None:
        return cast(Format, point.load())
    raise ConfigError(f"no rollout format is called {name!r}; known formats: {', '.join(format_names())}")


def formats() -> Iterator[tuple[str, Format]]:
    """Every format with its module."""
    for name in format_names():
        yield name, load_format(name)
