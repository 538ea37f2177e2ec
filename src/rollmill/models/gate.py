"""One gate per endpoint: how many requests are in flight, which are tried again and when, and when to give up.

A refused request (429, 503) keeps its place for about a round trip, so that an endpoint which refuses is not asked
faster than one which answers. It never gives up by count. Other failures that may pass are tried a few times, with
full jitter. An endpoint that fails for all is asked by one request at a time while ``on_wait`` counts down; then the
run stops, with everything that was answered in the journal. ``give_back`` ends all waiting: what is in flight goes on.
"""

from __future__ import annotations

import asyncio
import random
import time
from collections import Counter, deque
from collections.abc import Callable, Iterable
from itertools import count

from msgspec import Struct

from rollmill.models.health import Health
from rollmill.models.limit import Limit
from rollmill.models.types import Model, ModelError, Reply, Request

ATTEMPTS = 6
PATIENCE = 600.0
"""Seconds without any success after which a run stops."""
_SHOWN_AFTER = 5.0
PAUSE = 0.5
"""Seconds before a first retry at most; it doubles with every other one."""
_LONGEST_PAUSE = 30.0


class Waiting(Struct, frozen=True):
    """An endpoint that gives nothing now. ``seconds_left`` until the run stops; 0 when it answers again."""

    endpoint: str
    kind: str
    text: str
    seconds_left: float


OnWait = Callable[[Waiting], None]
_Sleepers = dict[asyncio.Future[None], float]
"""Who pauses, and until when."""


class Gate:
    """A ``Model`` that asks another one, never more than ``limit`` requests at once.

    ``ceiling`` is the user's ``max_parallel_requests``: the limit starts there. Without it, it starts at 8 and
    doubles per round trip until the endpoint refuses.
    """

    def __init__(
        self,
        model: Model,
        ceiling: int | None = None,
        *,
        endpoint: str = "",
        on_wait: OnWait | None = None,
        patience: float = PATIENCE,
        attempts: int = ATTEMPTS,
        pause: float = PAUSE,
    ) -> None:
        self.model = model
        self.endpoint = endpoint or getattr(model, "endpoint", "the endpoint")
        self.on_wait = on_wait
        self.calls = self.retries = self.refusals = 0
        """Attempts, those of them that were not a request's first, and those that were refused (429, 503, timeouts)."""
        self.problems: Counter[str] = Counter()
        """Failed attempts by kind."""
        self.fatal: ModelError | None = None
        self._adaptive = Limit(ceiling)
        self._health = Health()
        self._patience, self._attempts, self._pause_first = patience, attempts, pause
        self._numbers = count()
        self._queue: deque[asyncio.Future[None]] = deque()
        self._in_use = self._paused = self._refused_in_row = 0
        self._round_trip = 0.0
        self._closed_until = self._no_end_before = 0.0
        self._down: ModelError | None = None
        self._naps: _Sleepers = {}
        """Pauses in a place; they end when the limit falls, for the place is gone."""
        self._sleeps: _Sleepers = {}
        self._countdown: asyncio.Task[None] | None = None

    @property
    def limit(self) -> int:
        """How many requests may be in flight now."""
        return 1 if self._down else self._adaptive.now

    @property
    def ceiling(self) -> int:
        """The most that the limit may become."""
        return self._adaptive.ceiling

    @property
    def in_flight(self) -> int:
        """How many requests the endpoint is working on."""
        return self._in_use - self._paused

    @property
    def waiting(self) -> int:
        """How many requests wait for a place."""
        return len(self._queue)

    @property
    def successes(self) -> int:
        return self._health.successes

    @property
    def next_try(self) -> float | None:
        """Seconds until something is sent, when all that is asked for waits for its time; else None."""
        ends = [*self._naps.values(), *self._sleeps.values(), *[self._closed_until] * bool(self._queue)]
        return max(0.0, min(ends) - time.monotonic()) if ends and not self.in_flight else None

    def give_back(self) -> None:
        """Nothing more is sent: whoever waits, and whoever comes, gets a fatal ``ModelError``."""
        self._stop(ModelError("stopped", "the run was stopped", fatal=True))

    def leave_unchecked(self, model: str) -> None:
        """The first calls of this model may all fail."""
        self._health.unchecked.add(model)

    def answered_before(self, request: Request) -> None:
        """Such a request had a reply in an earlier run."""
        self._health.answered(request)

    def make_room(self, ceiling: int | None) -> None:
        """Another model of this endpoint may have so many requests in flight; None: as many as go."""
        self._adaptive.make_room(ceiling)
        self._wake()

    async def complete(self, request: Request) -> Reply:
        """The reply, after as many attempts as it takes. Raises ``ModelError`` when it gives up or must stop."""
        number, failures = next(self._numbers), 0
        window = await self._enter(again=False)
        while True:
            try:
                reply, error = await self._try(request, number, window), None
            except ModelError as caught:
                error = caught
            except BaseException:
                self._leave()
                raise
            if error is None:
                return reply
            failures = self._judge(error, request, number, failures, window)
            await self._pause(error, failures)
            window = await self._enter(again=True)
            self.retries += 1

    async def close(self) -> None:
        if self._countdown is not None:
            self._countdown.cancel()
        await self.model.close()

    async def _try(self, request: Request, number: int, window: int) -> Reply:
        self.calls += 1
        started = time.monotonic()
        reply = await self.model.complete(request)
        took = time.monotonic() - started
        self._round_trip = took if not self._round_trip else 0.9 * self._round_trip + 0.1 * took
        self._alive(number, request)
        wanted = bool(self._queue) or self._in_use >= self.limit
        if self._adaptive.succeeded(window, self.in_flight, wanted):
            self._rouse(self._naps)
        self._leave()
        return reply

    def _alive(self, number: int, request: Request) -> None:
        self._health.succeeded(number, request)
        self._refused_in_row = 0
        self._end_countdown(ModelError("alive", f"{self.endpoint} answers again"))
        self._down = None

    def _end_countdown(self, reason: ModelError) -> None:
        if self._countdown is not None:
            self._countdown.cancel()
            self._countdown = None
            self._tell(0.0, reason)

    def _judge(self, error: ModelError, request: Request, number: int, failures: int, window: int) -> int:
        """How often the request itself failed by now. Raises, its place given back, where it ends."""
        self.problems[error.kind] += 1
        self._health.failed(number, error, request, time.monotonic())
        if error.kind in ("throttled", "timeout"):
            self._refused(error, window)
        self._watch(error, request)
        if error.kind != "throttled" and not self._down:
            failures += 2 if error.kind == "timeout" else 1  # they are the dear ones
        stops = error.fatal or self._health.wrong_from_the_start(error, request)
        ends = stops or not error.retryable or failures >= self._attempts
        if stops or (ends and self._health.ended(number, error, request)):
            self._stop(error)
        if ends:
            self._leave()
            raise self._fatal() if self.fatal is not None else error
        return failures

    def _refused(self, error: ModelError, window: int) -> None:
        self.refusals += 1
        self._refused_in_row += 1
        passing = self.in_flight - 1 if error.kind == "throttled" else 0
        change = self._adaptive.refused(window, passing)
        if change == "lowered":
            self._rouse(self._naps)
        if change == "nothing passed" and error.retry_after:
            self._closed_until = max(self._closed_until, time.monotonic() + error.retry_after)
            asyncio.get_running_loop().call_later(error.retry_after, self._wake)

    def _watch(self, error: ModelError, request: Request) -> None:
        """Begins the countdown when the endpoint gives nothing to anybody."""
        now = time.monotonic()
        if self._health.is_down(error, request, self._adaptive.now):
            self._down = error
        if error.retry_after:
            self._no_end_before = max(self._no_end_before, now + error.retry_after + _LONGEST_PAUSE)
        quiet = now - (self._health.quiet_since or now)
        if (
            self._countdown is None
            and self.fatal is None
            and (self._down or quiet >= min(_SHOWN_AFTER, self._patience))
        ):
            self._countdown = asyncio.create_task(self._count_down(error))

    async def _count_down(self, error: ModelError) -> None:
        since = self._health.quiet_since or time.monotonic()
        while (left := max(since + self._patience, self._no_end_before) - time.monotonic()) > 0:
            self._tell(left, error)
            await asyncio.sleep(min(1.0, left))
        self._countdown = None
        self._tell(0.0, error)
        text = f"{self.endpoint} gave no reply for {self._patience:.0f} s ({error.text}). "
        self._stop(ModelError("endpoint_down", text + "Run again to go on: every reply so far is kept", fatal=True))

    def _tell(self, seconds_left: float, error: ModelError) -> None:
        if self.on_wait is not None:
            self.on_wait(Waiting(self.endpoint, error.kind, error.text, seconds_left))

    def _stop(self, error: ModelError) -> None:
        """Nothing more is asked: whoever waits gets the message, and so does whoever comes."""
        if self.fatal is None:
            self.fatal = ModelError(error.kind, error.text, fatal=True, status=error.status)
        self._end_countdown(self.fatal)
        self._rouse(self._naps | self._sleeps)
        while self._queue:
            if not (future := self._queue.popleft()).done():
                future.set_exception(self._fatal())

    def _fatal(self) -> ModelError:
        stopped = self.fatal or ModelError("stopped", "the run was stopped", fatal=True)
        return ModelError(stopped.kind, stopped.text, fatal=True, status=stopped.status)

    async def _pause(self, error: ModelError, failures: int) -> None:
        """Waits as long as this failure asks for: in its place where the endpoint is the cause, else outside."""
        inside, outside = self._pauses(error, failures)
        self._paused += 1
        try:
            await self._sleep(inside, self._naps)
        finally:
            self._paused -= 1
            self._leave()
        await self._sleep(outside, self._sleeps)

    def _pauses(self, error: ModelError, failures: int) -> tuple[float, float]:
        if error.kind == "throttled" or self._down:
            rounds = self._refused_in_row // max(1, self._adaptive.now) if not self._down else self._probes()
            longest = min(_LONGEST_PAUSE, max(self._pause_first / 2, self._round_trip) * 2.0 ** min(rounds, 10))
            asked = longest if error.retry_after is None else max(error.retry_after, self._pause_first / 2)
            inside = random.uniform(0.5, 1.0) * min(longest, asked)
            return inside, max(0.0, (error.retry_after or 0.0) - inside)
        jittered = random.uniform(0.0, min(_LONGEST_PAUSE, self._pause_first * 2.0 ** (failures - 1)))
        return 0.0, max(error.retry_after or 0.0, jittered)

    def _probes(self) -> int:
        """How many times the downtime has doubled: probes come less often the longer an endpoint is down."""
        since = self._health.quiet_since or time.monotonic()
        return int(time.monotonic() - since).bit_length()

    async def _sleep(self, seconds: float, among: _Sleepers) -> None:
        if seconds > 0 and self.fatal is None:
            loop = asyncio.get_running_loop()
            future = loop.create_future()
            among[future] = time.monotonic() + seconds
            timer = loop.call_later(seconds, self._rouse, [future])
            try:
                await future
            finally:
                timer.cancel()
                among.pop(future, None)
        if self.fatal is not None:
            raise self._fatal()

    def _rouse(self, sleepers: Iterable[asyncio.Future[None]]) -> None:
        for future in sleepers:
            if not future.done():
                future.set_result(None)

    async def _enter(self, again: bool) -> int:
        """A place, and the window it counts in; first come, first served, and tried ones before new ones."""
        if self.fatal is not None:
            raise self._fatal()
        if self._has_room() and (again or not self._queue):
            self._in_use += 1
            return self._adaptive.window
        future: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        (self._queue.appendleft if again else self._queue.append)(future)
        try:
            await future
        except asyncio.CancelledError:
            self._not_needed(future)
            raise
        return self._adaptive.window

    def _not_needed(self, future: asyncio.Future[None]) -> None:
        """Whoever waited was cancelled; a place that was given to it at the same moment goes to the next."""
        if future in self._queue:
            self._queue.remove(future)
        elif not future.cancelled() and future.exception() is None:
            self._leave()

    def _has_room(self) -> bool:
        return self._in_use < self.limit and time.monotonic() >= self._closed_until

    def _leave(self) -> None:
        self._in_use -= 1
        self._wake()

    def _wake(self) -> None:
        while self._queue and self._has_room():
            if not (future := self._queue.popleft()).done():
                self._in_use += 1
                future.set_result(None)
