"""Which keys a journal has, in eight bytes each: the first eight of a hash say enough."""

from __future__ import annotations

from array import array
from bisect import bisect_left
from collections.abc import Iterable

_YOUNG = 16_384
"""A Python set takes nine times the memory; so many keys of this run are in one, the others sorted."""


class KnownKeys:
    """The set of keys; one thread adds while others look."""

    def __init__(self, keys: Iterable[bytes] = ()) -> None:
        self._sorted = [_sorted(map(_short, keys))]
        self._young: set[int] = set()

    def __len__(self) -> int:
        return sum(map(len, self._sorted)) + len(self._young)

    def __contains__(self, key: bytes) -> bool:
        short = _short(key)
        return short in self._young or any(_holds(part, short) for part in self._sorted)

    def add(self, keys: Iterable[bytes]) -> None:
        self._young.update(map(_short, keys))
        if len(self._young) >= _YOUNG:
            self._sorted.append(_sorted(self._young))
            self._young = set()


def _short(key: bytes) -> int:
    return int.from_bytes(key[:8], "big")


def _sorted(shorts: Iterable[int]) -> array[int]:
    found = array("Q", shorts)
    return array("Q", sorted(found))


def _holds(part: array[int], short: int) -> bool:
    place = bisect_left(part, short)
    return place < len(part) and part[place] == short
