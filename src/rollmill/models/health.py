"""Whether an endpoint is alive, told by the calls that fail: the first ones, or all of them for a while.

A model, or one sort of request (a column's), may be wrong at an endpoint that answers others: so first calls are also
looked at by model and column.
"""

from __future__ import annotations

from msgspec import Struct

from rollmill.models.types import ModelError, Request

FIRST = 8
"""When so many first calls all fail in the same way, the set-up is wrong."""
_MANY = 64
"""So many failures in a row of what was answered in an earlier run are no bad rows any more."""
_UNREACHED = 3
"""So many failed connections in a row, whoever made them, are the endpoint's fault."""
_NOT_THE_ROW = ("not_found", "forbidden")
"""Failures that have nothing to do with what was asked of the model."""


class _Sort(Struct):
    """What became of one model's requests for one column: whether any was answered, now or in an earlier run, and how
    many in a row failed for good in the same way."""

    answered: bool = False
    kind: str = ""
    row: int = 0


class Health:
    """What the calls said since the last success. ``number`` is the request's, counted from 0, the same in retries."""

    def __init__(self) -> None:
        self.successes = 0
        self.quiet_since: float | None = None
        """When the first call failed after the last success; None while calls succeed."""
        self.unchecked: set[str] = set()
        """Models whose first calls may all fail."""
        self._row = 0
        """Failures since the last success, refusals among them."""
        self._first: dict[int, str] = {}
        self._failing: set[int] = set()
        """Requests that began to fail after the last success: many of them are the endpoint's fault."""
        self._suspects: set[int] = set()
        """Requests that failed while others succeeded: they may be at fault themselves."""
        self._sorts: dict[tuple[str, str], _Sort] = {}

    def succeeded(self, number: int, request: Request) -> None:
        self.successes += 1
        self.quiet_since = None
        self._row = 0
        if self._failing or self._suspects:
            self._suspects |= self._failing
            self._suspects.discard(number)
            self._failing.clear()
        self.answered(request)

    def answered(self, request: Request) -> None:
        """Such a request has a reply, be it out of an earlier run: what is wrong with the next one is its own."""
        sort = self._sort(request)
        sort.answered, sort.row = True, 0

    def failed(self, number: int, error: ModelError, request: Request, now: float) -> None:
        if not self.successes and number < FIRST and self._says_something(error, request):
            self._first[number] = error.kind
        if not error.retryable:  # it answers, and says what is wrong with this request
            return
        self._row += 1
        if self.quiet_since is None:
            self.quiet_since = now
        if error.kind != "throttled" and number not in self._suspects:
            self._failing.add(number)

    def _says_something(self, error: ModelError, request: Request) -> bool:
        """Whether the failure may be the set-up's, not the request's."""
        if error.kind == "throttled" or request.model in self.unchecked:
            return False
        return error.kind == "connection" or not self._sort(request).answered

    def _sort(self, request: Request) -> _Sort:
        name = request.model, request.column
        if name not in self._sorts:
            self._sorts[name] = _Sort()
        return self._sorts[name]

    def wrong_from_the_start(self, error: ModelError, request: Request) -> bool:
        """Nothing ever succeeded, and this failure means that nothing will."""
        if self.successes or not self._says_something(error, request):
            return False
        if error.kind == "connection" and self._row >= _UNREACHED:
            return True
        return len(self._first) == FIRST and self._all_alike()

    def _all_alike(self) -> bool:
        return len(set(self._first.values())) == 1

    def ended(self, number: int, error: ModelError, request: Request) -> bool:
        """Counts a request that failed for good. Whether none of its sort will fare better."""
        self._suspects.discard(number)
        if request.model in self.unchecked:
            return False
        sort = self._sort(request)
        sort.kind, sort.row = error.kind, sort.row + 1 if sort.kind == error.kind else 1
        if error.kind == "not_found" and not self._knows(request.model):
            return True
        if sort.row >= FIRST and (not sort.answered or error.kind in _NOT_THE_ROW):
            return True
        if self.successes or not error.retryable:
            return False
        return sort.row >= _MANY or (not self._knows() and self._all_alike())

    def _knows(self, model: str | None = None) -> bool:
        """Whether that model, or any, has ever answered."""
        return any(sort.answered for (name, _), sort in self._sorts.items() if model in (None, name))

    def is_down(self, error: ModelError, request: Request, limit: int) -> bool:
        """Calls fail whoever makes them, so that no single request is to blame, and the endpoint may come back."""
        if not self.successes and request.model not in self.unchecked:
            return False
        if error.kind == "connection":
            return self._row >= _UNREACHED
        return error.retryable and error.kind != "throttled" and len(self._failing) >= min(FIRST, max(2, limit))
