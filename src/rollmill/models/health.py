"""Whether an endpoint is alive, told by the calls that fail: the first ones, or all of them for a while."""

from __future__ import annotations

from rollmill.models.types import ModelError

FIRST = 8
"""When so many first calls all fail in the same way, the set-up is wrong."""
_UNREACHED = 3
"""So many failed connections in a row, whoever made them, are the endpoint's fault."""


class Health:
    """What the calls said since the last success. ``number`` is the request's, counted from 0, the same in retries."""

    def __init__(self) -> None:
        self.successes = 0
        self.quiet_since: float | None = None
        """When the first call failed after the last success; None while calls succeed."""
        self._row = 0
        """Failures since the last success, refusals among them."""
        self._first: dict[int, str] = {}
        self._failing: set[int] = set()

    def succeeded(self) -> None:
        self.successes += 1
        self.quiet_since = None
        self._row = 0
        self._failing.clear()

    def failed(self, number: int, error: ModelError, now: float) -> None:
        if not self.successes and number < FIRST and error.kind != "throttled":
            self._first[number] = error.kind
        if not error.retryable:  # it answers, and says what is wrong with this request
            return
        self._row += 1
        if self.quiet_since is None:
            self.quiet_since = now
        if error.kind != "throttled" and len(self._failing) < FIRST:
            self._failing.add(number)

    def wrong_from_the_start(self, error: ModelError) -> bool:
        """Nothing ever succeeded, and this failure means that nothing will."""
        if self.successes or error.kind == "throttled":
            return False
        if error.kind == "not_found" or (error.kind == "connection" and self._row >= _UNREACHED):
            return True
        return len(self._first) == FIRST and len(set(self._first.values())) == 1

    def nothing_else_happened(self) -> bool:
        """Not one success, and every failure so far is of the same kind."""
        return not self.successes and len(set(self._first.values())) == 1

    def is_down(self, error: ModelError, limit: int) -> bool:
        """Calls fail whoever makes them, so that no single request is to blame."""
        if error.kind == "connection":
            return self._row >= _UNREACHED
        return error.retryable and error.kind != "throttled" and len(self._failing) >= min(FIRST, max(2, limit))
