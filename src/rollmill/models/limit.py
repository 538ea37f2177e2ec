"""How many requests an endpoint takes at once: a limit that counts shares of refusals, not single ones.

Halving on every 429 never finishes a run in which one reply in twenty is refused by chance. So refusals are counted
over a round trip: as many calls as the limit allows, all begun after its last change. The limit falls when more than
15 % of them were refused, to what passed, and at most once per round trip. It grows with every success: by
one, which doubles it per round trip, up to where it last fell; slowly from there on.
"""

from __future__ import annotations

from typing import Literal

SHARE = 0.15
"""Refusals above this share of a round trip lower the limit."""
FEWEST = 20
"""A share of fewer calls than this says nothing: two chance refusals in eight calls are 25 %."""
START = 8
HIGHEST = 1024
_SLOW = 1 / 16

Change = Literal["", "lowered", "nothing passed"]
"""What a call's end changed: nothing, the limit, or the limit because every call of a round trip was refused."""


class Limit:
    """The limit now, as ``limit.now``. No clock and no calls: it is told what happened."""

    def __init__(self, ceiling: int | None = None) -> None:
        self.ceiling = ceiling or HIGHEST
        self.now = ceiling or START
        self.window = 0
        """Goes with a call from its begin to its end; calls of an earlier window say nothing of this limit."""
        self._knee = float(self.ceiling)
        self._credit = 0.0
        self._begin()

    def make_room(self, ceiling: int | None) -> None:
        """Another model of the same endpoint has a ceiling of its own, or none: the wider one holds."""
        self.now = max(self.now, ceiling or START)
        self.ceiling = max(self.ceiling, ceiling or HIGHEST)
        self._knee = float(self.ceiling)

    def succeeded(self, window: int, passing: int, wanted: bool) -> Change:
        """A reply came. The limit grows only where it is in the way: ``wanted``, all of it is in use."""
        change = self._count(window, False, passing)
        if wanted and not change and not self._is_high(self._done):
            self._credit += 1.0 if self.now < self._knee else _SLOW
            grown, self._credit = divmod(self._credit, 1.0)
            self.now = min(self.ceiling, self.now + int(grown))
        return change

    def refused(self, window: int, passing: int) -> Change:
        """A 429, 503 or timeout, and what follows from it. ``passing`` calls are being worked on meanwhile."""
        return self._count(window, True, passing)

    def _count(self, window: int, refused: bool, passing: int) -> Change:
        if window != self.window:
            return ""
        self._done += 1
        self._refused += refused
        return self._round_trip(passing) if self._done >= self._whole else ""

    def _round_trip(self, passing: int) -> Change:
        """The end of one: the limit falls where too much was refused, and a new one begins."""
        change: Change = ""
        if self._is_high(self._done):
            change = "nothing passed" if self._refused == self._done else "lowered"
            self._lower(passing, self._refused == self._done)
        self.window += 1
        self._begin()
        return change

    def _begin(self) -> None:
        self._done = self._refused = 0
        self._whole = max(self.now, FEWEST)

    def _is_high(self, done: int) -> bool:
        return self._refused > SHARE * max(done, FEWEST)

    def _lower(self, passing: int, nothing_passed: bool) -> None:
        """To the share that passed, or to what the endpoint is working on when that is more, but by a tenth at least.

        Where nothing passed, the endpoint is out for all, and its old limit may hold again."""
        share_passed = self.now * max(0.5, 1 - self._refused / self._done)
        self.now = max(1, int(max(share_passed, min(passing, 0.9 * self.now))))
        self._credit = 0.0
        if not nothing_passed:
            self._knee = float(self.now)
