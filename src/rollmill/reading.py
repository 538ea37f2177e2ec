"""``rollmill.read``: rollouts from a path, from an agent's own folder, or from every agent's on this machine."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Literal

from rollmill.detection import detect
from rollmill.errors import ConfigError, SeedReaderError
from rollmill.formats import Branches, format_names, load_format
from rollmill.rollout import Rollout
from rollmill.seeds.bulk import Media, media_store
from rollmill.seeds.rollout_reader import AgentRolloutSeedReader
from rollmill.seeds.source import AgentRolloutFormat, AgentRolloutSeedSource
from rollmill.seeds.summary import OnError, ReadSummary

AnyFormat = AgentRolloutFormat | str


class Rollouts(Iterator[Rollout]):
    """An iterator over rollouts whose ``summary`` counts along: files, rows, skipped files by reason, problems."""

    def __init__(self, readers: list[AgentRolloutSeedReader]) -> None:
        self.summary = ReadSummary()
        self._rollouts = self._read(readers)

    def __next__(self) -> Rollout:
        return next(self._rollouts)

    def _read(self, readers: list[AgentRolloutSeedReader]) -> Iterator[Rollout]:
        for reader in readers:
            yield from reader.read_rollouts(summary=self.summary)
