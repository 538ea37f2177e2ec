"""What a run may spend. A call is sent only when what was spent, what is in flight and the call itself fit into it.

What a call will cost is reckoned from the size of its prompt and its ``max_tokens``, and put right by what calls of the
same model and column came to. Near the end calls wait for those in flight: the run stops when none is, and the next
call still does not fit.
"""

from __future__ import annotations

import asyncio

from rollmill.models.prices import Prices, cost
from rollmill.models.types import Model, ModelError, Reply, Request, Usage

REPLY_TOKENS = 300
"""What a reply is taken to have before any came, unless ``max_tokens`` says what it may have."""
CHARACTERS_PER_TOKEN, TOKENS_PER_MESSAGE = 3, 10
"""Fewer characters than most tokenizers take, and what servers put around a message."""
_CAUTION = 4.0
"""Calls in flight of a sort of which none came back may cost so many times what their sizes say."""
_FEW = 8
"""After fewer calls of a sort than this, the next is reckoned at no less than its size says."""


class Budget:
    """``most`` dollars, of which ``spent`` are gone before the first call."""

    def __init__(self, most: float, table: Prices, spent: float = 0.0) -> None:
        self.spent = spent
        self._most, self._table, self._before = most, table, spent
        self._sorts: dict[tuple[str, str], _Sort] = {}
        self._turn = asyncio.Lock()
        self._returned = asyncio.Event()
        self._is_closed = False

    async def admit(self, request: Request) -> None:
        """Returns as soon as the call fits. Raises a fatal ``ModelError`` when it never will."""
        sort, size = self._sort(request), self._by_size(request)
        async with self._turn:
            while not self._is_closed and self.spent + self._in_flight + size * sort.next_ratio > self._most:
                if not any(each.in_flight for each in self._sorts.values()):
                    raise ModelError("max_cost", self._told(sort, size), fatal=True)
                self._returned.clear()
                await self._returned.wait()
        if self._is_closed:
            raise ModelError("stopped", "the run was stopped", fatal=True)
        sort.in_flight.append(size)

    def came_back(self, request: Request, reply: Reply | None) -> None:
        """The call is no longer in flight; without a reply nobody knows what it cost, and it counts as nothing."""
        sort, size = self._sort(request), self._by_size(request)
        sort.in_flight.remove(size)
        if reply is not None:
            paid = cost(reply.usage, request.model, self._table) or 0.0
            self.spent += paid
            sort.add(paid, size)
        self._returned.set()

    def give_back(self) -> None:
        """Nothing more is admitted."""
        self._is_closed = True
        self._returned.set()

    @property
    def _in_flight(self) -> float:
        return sum(sum(sort.in_flight) * sort.ratio for sort in self._sorts.values())

    def _sort(self, request: Request) -> _Sort:
        return self._sorts.setdefault((request.model, request.column), _Sort())

    def _by_size(self, request: Request) -> float:
        asked = request.size // CHARACTERS_PER_TOKEN + TOKENS_PER_MESSAGE * len(request.messages)
        bound = request.params.get("max_tokens") or request.params.get("max_completion_tokens") or REPLY_TOKENS
        return cost(Usage(asked, 0, bound), request.model, self._table) or 0.0

    def _told(self, sort: _Sort, size: float) -> str:
        before = f" (${self._before:,.4f} of it before this run)" if self._before else ""
        by_size = "" if sort.calls else " by its size and max_tokens"
        return (
            f"Stopped: ${self.spent:,.4f} of --max-cost ${self._most:,.4f} are spent{before}, and the next call would "
            f"cost about ${size * sort.next_ratio:,.4f}{by_size}."
        )


class _Sort:
    """The calls of one model for one column: what the sizes of those in flight say, how many came back, what they cost
    and what their sizes said."""

    def __init__(self) -> None:
        self.in_flight: list[float] = []
        self.calls = 0
        self._paid = self._by_size = 0.0

    def add(self, paid: float, by_size: float) -> None:
        self.calls += 1
        self._paid += paid
        self._by_size += by_size

    @property
    def next_ratio(self) -> float:
        """What the next call will cost for each dollar that its size says."""
        mean = self._paid / self._by_size if self._by_size else 1.0
        return mean if self.calls >= _FEW else max(1.0, mean)

    @property
    def ratio(self) -> float:
        """The same of those in flight."""
        return self.next_ratio if self.calls else _CAUTION


class Budgeted:
    """A ``Model`` that asks another one as far as a budget goes."""

    def __init__(self, model: Model, budget: Budget) -> None:
        self.model = model
        self.budget = budget
        self.endpoint = getattr(model, "endpoint", "the endpoint")

    async def complete(self, request: Request) -> Reply:
        """The reply. Raises ``ModelError``, a fatal one of kind ``max_cost`` when the budget does not reach."""
        await self.budget.admit(request)
        reply: Reply | None = None
        try:
            reply = await self.model.complete(request)
        finally:
            self.budget.came_back(request, reply)
        return reply

    async def close(self) -> None:
        """Closes the model."""
        await self.model.close()
