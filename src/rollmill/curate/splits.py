"""Splits that do not leak: whatever belongs to one task or one session stays on one side.

Attempts at one task share a ``task_id``; a session's sub-agents, forks and copies share its ids. What shares anything
is one group, and a group's split follows from its smallest task id alone: another run or another machine gives the same
answer, and so does more data, unless it joins two groups.
"""

from __future__ import annotations

import re
from collections.abc import Hashable, Iterable
from dataclasses import dataclass
from hashlib import sha256

from rollmill.errors import ConfigError

NAME = re.compile(r"[A-Za-z][A-Za-z0-9_]{0,31}")

TAKEN = ("all", "dropped")
"""``all`` means every split to ``datasets``; ``dropped`` is a file of ours."""


@dataclass(frozen=True)
class Split:
    """A part of the data set: its name and its share, above 0 and at most 1."""

    name: str
    share: float


def parse_splits(text: str) -> tuple[Split, ...]:
    """``train=0.9,test=0.1`` as splits. Raises ``ConfigError`` when the shares are not above 0 and add up to 1."""
    parts = [part.partition("=") for part in text.split(",") if part.strip()]
    try:
        splits = tuple(Split(name.strip(), float(share or 1)) for name, _, share in parts)
    except ValueError as error:
        raise ConfigError(f"--split {text!r}: {error}; write it as train=0.98,validation=0.02") from error
    names = [split.name for split in splits]
    if wrong := [n for n in names if not NAME.fullmatch(n) or n.lower() in TAKEN or names.count(n) > 1]:
        raise ConfigError(f"--split {text!r}: {wrong[0]!r} cannot be a split's name, or is there twice")
    total = sum(split.share for split in splits)
    if not (all(split.share > 0 for split in splits) and abs(total - 1) < 1e-6):
        raise ConfigError(f"--split {text!r}: the shares must be above 0 and add up to 1, here {total:g}")
    return splits


class Groups:
    """Which tasks and sessions belong together (a union-find over their ids)."""

    def __init__(self) -> None:
        self._above: dict[Hashable, Hashable] = {}
        self._smallest: dict[Hashable, str] = {}

    def join(self, task_id: str, others: Iterable[Hashable]) -> None:
        """Note that the task and the others are one group."""
        top = self._top(("task", task_id))
        self._smallest[top] = min(task_id, self._smallest.get(top, task_id))
        for other in others:
            top = self._merge(top, self._top(other))

    def _merge(self, one: Hashable, other: Hashable) -> Hashable:
        if one != other:
            self._above[other] = one
            names = [name for top in (one, other) if (name := self._smallest.pop(top, None)) is not None]
            self._smallest[one] = min(names)
        return one

    def _top(self, key: Hashable) -> Hashable:
        path = []
        while (above := self._above.setdefault(key, key)) != key:
            path.append(key)
            key = above
        self._above.update(dict.fromkeys(path, key))
        return key

    def name(self, task_id: str) -> str:
        """The name of the task's group: the smallest task id in it."""
        return self._smallest[self._top(("task", task_id))]


def split_of(group: str, splits: Iterable[Split], seed: int = 0) -> str:
    """The split of a group: always the same for the same splits and seed."""
    place = int.from_bytes(sha256(f"{seed}:{group}".encode()).digest()[:8]) / 2**64
    names = []
    for split in splits:
        names.append(split.name)
        if (place := place - split.share) < 0:
            break
    return names[-1]
