"""``rollmill.read``: rollouts from a path, from an agent's own folder, or from every agent's on this machine."""

from __future__ import annotations

import os
from collections.abc import Iterator
from itertools import chain
from pathlib import Path

from rollmill.detection import detect
from rollmill.errors import SeedReaderError
from rollmill.formats import Branches, formats, load_format
from rollmill.rollout import Rollout
from rollmill.seeds.bulk import Media, media_store
from rollmill.seeds.rollout_reader import AgentRolloutSeedReader
from rollmill.seeds.source import AgentRolloutFormat, AgentRolloutSeedSource
from rollmill.seeds.summary import OnError, ReadSummary


class Rollouts(Iterator[Rollout]):
    """An iterator over rollouts whose ``summary`` counts along: files, rows, skipped files by reason, problems."""

    def __init__(self, readers: list[AgentRolloutSeedReader]) -> None:
        self.summary = ReadSummary()
        self._readers = readers
        streams = [reader.read_rollouts(reader.discovered().rows, self.summary) for reader in readers]
        self._rollouts = chain.from_iterable(streams)

    def __next__(self) -> Rollout:
        return next(self._rollouts)

    def holds(self, path: Path) -> bool:
        """Whether ``path`` is one of the files to read."""
        return any(reader.discovered().holds(path) for reader in self._readers)

    @property
    def bytes_total(self) -> int:
        """Size of the files to read. Asking lists the folders of all formats."""
        return sum(row["size"] for reader in self._readers for row in reader.discovered().rows)

    @property
    def bytes_done(self) -> int:
        """Size of the files that were read to their end."""
        return self.summary.bytes


def read(
    path: str | os.PathLike[str] | None = None,
    format: AgentRolloutFormat | str = "auto",
    *,
    file_pattern: str | None = None,
    recursive: bool = True,
    branches: Branches = "live",
    media: Media = None,
    on_error: OnError = "record",
) -> Rollouts:
    """The rollouts of a folder or file, one at a time, each file opened when its turn comes.

    Without a path: of the format's default folder; with ``format="auto"`` of every agent's default folder there is.
    With a path, ``auto`` tells the format by the records (``detect``). ``media`` is a folder, or a store, for embedded
    images. A file that cannot be read is counted in the result's ``summary``; ``on_error="raise"`` stops at it.
    Raises ``SeedReaderError``, ``ConfigError`` or ``DetectionError`` at once when there is nothing to read.
    """
    names = _format_names(path, str(format))
    store = media_store(media)
    readers = [AgentRolloutSeedReader(on_error=on_error, media=store) for _ in names]
    for name, reader in zip(names, readers, strict=True):
        reader.attach(
            AgentRolloutSeedSource(
                format=AgentRolloutFormat(name),
                path=None if path is None else os.fspath(path),
                file_pattern=file_pattern,
                recursive=recursive,
                branches=branches,
            )
        )
    if len(readers) == 1:
        readers[0].manifest_rows()
    return Rollouts(readers)


def _format_names(path: str | os.PathLike[str] | None, format_name: str) -> list[str]:
    if format_name != "auto":
        load_format(format_name)
        return [format_name]
    return list(default_folders_here()) if path is None else [detect(path)]


def default_folders() -> dict[str, Path]:
    """The default folder of every format that has one, whether it is there or not."""
    return {name: Path(path) for name, module in formats() if (path := module.DEFAULTS.path) is not None}


def default_folders_here() -> dict[str, Path]:
    """The default folders that are on this machine. Raises ``SeedReaderError`` with all of them when none is."""
    folders = default_folders()
    if here := {name: folder for name, folder in folders.items() if folder.is_dir()}:
        return here
    looked_at = ", ".join(f"{folder} ({name})" for name, folder in folders.items())
    raise SeedReaderError(f"no agent has left rollouts in its default folder: looked at {looked_at}; give a path")
