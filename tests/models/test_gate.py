"""The gate before a real server: retries, throttling, dead endpoints, fairness, cancellation."""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import Callable
from email.utils import formatdate
from typing import Any

import pytest

from rollmill.models import ModelError, Reply, Request, Usage
from rollmill.models.client import OpenAICompatible
from rollmill.models.gate import Gate, Waiting
from tests.models.asking import ask, each, failed, only, quick_gate, request, within
from tests.models.server import Answer, ModelServer, prompt_of


def many(count: int) -> list[Request]:
    return [request(f"row {number}") for number in range(count)]


@pytest.mark.parametrize(
    "first",
    [
        *(Answer(status=status) for status in (408, 409, 425, 429, 500, 502, 503, 504, 529)),
        Answer(reset=True),
        Answer(half=True),
        Answer(raw=b"<html>"),
        Answer(latency=9.0),
    ],
    ids=lambda answer: str(answer.status if answer.status != 200 else answer.raw or answer),
)
def test_what_may_pass_is_tried_again(first: Answer) -> None:
    with ModelServer([first, "4"]) as server:
        assert only(ask(lambda: quick_gate(server), request(timeout=1.0))).text == "4"
        assert len(server.requests) == 2


@pytest.mark.parametrize("status", [400, 401, 402, 403, 404, 413, 422])
def test_what_may_not_is_not(status: int) -> None:
    with ModelServer([Answer(status=status), "4"]) as server:
        failed(ask(lambda: quick_gate(server), request()))
        assert len(server.requests) == 1


def test_one_bad_request_among_good_ones_fails_alone() -> None:
    def reply(body: dict[str, Any]) -> Answer:
        return Answer(status=500) if prompt_of(body) == "row 7" else Answer("ok", latency=0.01)

    with ModelServer(reply) as server:
        found = ask(lambda: quick_gate(server, 4), *many(30))
    assert [number for number, one in enumerate(found) if isinstance(one, ModelError)] == [7]
    assert found[7].kind == "server" and not found[7].fatal  # type: ignore[union-attr]
    assert sum(prompt_of(each.body) == "row 7" for each in server.requests) == 6


def test_throttling_never_drops_a_request() -> None:
    """Nor one that is refused more often than any failure is tried."""

    def reply(body: dict[str, Any]) -> Answer:
        refused[prompt_of(body)] += 1
        return Answer(status=429) if prompt_of(body) == "row 9" and refused["row 9"] <= 8 else Answer("ok")

    refused: Counter[str] = Counter()
    with ModelServer(reply) as server:
        found = ask(lambda: quick_gate(server, 8), *many(60))
    assert all(isinstance(one, Reply) for one in found) and server.statuses == {200: 60, 429: 8}


@pytest.mark.parametrize("after", ["0.5", "date"])
def test_retry_after_delays_that_request_only(after: str) -> None:
    def reply(body: dict[str, Any]) -> Answer:
        first = prompt_of(body) == "row 3" and len(server.requests) < 10 and 3 not in said
        if first:
            said.append(3)
            header = formatdate(time.time() + 2, usegmt=True) if after == "date" else after
            return Answer(status=429, headers={"Retry-After": header})
        return Answer("ok")

    said: list[int] = []
    with ModelServer(reply) as server:
        found = ask(lambda: quick_gate(server, 4), *many(10))
    assert all(isinstance(one, Reply) for one in found)
    times = {prompt_of(each.body): each.at for each in server.requests}
    others = [at for text, at in times.items() if text != "row 3"]
    first = min(each.at for each in server.requests)
    assert max(others) - first < 0.4 <= times["row 3"] - first


def test_a_window_that_was_refused_whole_waits_for_retry_after() -> None:
    """New requests wait too: none of the 36 others is sent into an endpoint that refuses everything."""

    def reply(body: dict[str, Any]) -> Answer:
        begun.append(time.monotonic())
        is_early = begun[-1] - begun[0] < 0.4
        return Answer(status=429, headers={"Retry-After": "1"}) if is_early else Answer("ok")

    begun: list[float] = []
    with ModelServer(reply) as server:
        found = ask(lambda: quick_gate(server, 24), *many(60))
    assert all(isinstance(one, Reply) for one in found)
    assert sum(each.status == 429 for each in server.requests) <= 40
    assert min(each.at for each in server.requests if each.status == 200) - begun[0] > 0.9


def test_never_more_than_the_ceiling() -> None:
    with ModelServer(latency=0.02) as server:
        ask(lambda: quick_gate(server, 5), *many(40))
    assert server.most_at_once == 5


def test_it_grows_without_a_ceiling() -> None:
    with ModelServer(latency=0.05) as server:
        ask(lambda: quick_gate(server), *many(300))
    assert server.most_at_once > 40


def test_first_come_first_served() -> None:
    with ModelServer(latency=0.005) as server:
        ask(lambda: quick_gate(server, 1), *many(20))
    assert [prompt_of(each.body) for each in server.requests] == [f"row {number}" for number in range(20)]


def test_places_are_not_lost_when_requests_are_cancelled() -> None:
    async def run(server: ModelServer) -> tuple[int, int, list[Any]]:
        gate = quick_gate(server, 4)
        tasks = [asyncio.create_task(gate.complete(one)) for one in many(40)]
        while gate.successes < 6:
            await asyncio.sleep(0)
        for task in tasks[::2]:
            task.cancel()
        found = await asyncio.gather(*tasks, return_exceptions=True)
        after = await each(gate, many(8))
        state = gate.in_flight, gate.waiting, after
        await gate.close()
        assert all(isinstance(one, Reply) for one in found[1::2])
        return state

    with ModelServer(latency=0.01) as server:
        in_flight, waiting, after = within(run(server))
    assert (in_flight, waiting) == (0, 0) and all(isinstance(one, Reply) for one in after)
    assert server.most_at_once <= 8  # connections of cancelled requests end in their own time


class Scripted:
    """A model that answers when it is told to, for a race that no server can time."""

    endpoint = "scripted"

    def __init__(self) -> None:
        self.asked: list[asyncio.Future[None]] = []

    async def complete(self, request: Request) -> Reply:
        future = asyncio.get_running_loop().create_future()
        self.asked.append(future)
        await future
        return Reply("ok", "stop", Usage())

    async def close(self) -> None:
        """Nothing to close."""


def test_a_place_given_to_a_request_that_is_cancelled_at_that_moment_goes_on() -> None:
    async def run() -> None:
        model = Scripted()
        gate = Gate(model, 1)
        tasks = [asyncio.create_task(gate.complete(one)) for one in many(3)]
        while not model.asked or gate.waiting < 2:
            await asyncio.sleep(0)
        model.asked[0].set_result(None)
        while gate.waiting == 2:  # the first leaves, and the second has its place but does not run yet
            await asyncio.sleep(0)
        tasks[1].cancel()
        while len(model.asked) < 2:
            await asyncio.sleep(0)
        model.asked[1].set_result(None)
        assert (await tasks[2]).text == "ok"
        assert gate.in_flight == 0

    within(run())


class TestFromTheStart:
    """When the first calls all fail the same way, the run stops with that one message."""

    @pytest.mark.parametrize(
        ("answer", "kind", "most"),
        [
            (Answer(status=401), "unauthorized", 8),
            (Answer(status=404, error="no such model"), "not_found", 8),
            (Answer(status=400, error="max_tokens is too large"), "bad_request", 16),
            (Answer(status=500), "server", 30),
            (Answer(reset=True), "reset", 30),
        ],
        ids=lambda value: str(value) if isinstance(value, str) else "",
    )
    def test_it_stops(self, answer: Answer, kind: str, most: int) -> None:
        with ModelServer(answer) as server:
            found = ask(lambda: quick_gate(server, 8), *many(200))
        assert {one.kind for one in found} == {kind}  # type: ignore[union-attr]
        assert sum(one.fatal for one in found) >= 190  # type: ignore[union-attr]
        assert len(server.requests) <= most

    def test_nobody_listens(self) -> None:
        server = ModelServer()
        server.start()
        server.stop()
        found = ask(lambda: quick_gate(server, 8), *many(50))
        assert {(one.kind, one.fatal) for one in found} == {("connection", True)}  # type: ignore[union-attr]

    def test_one_row_whose_only_request_fails_stops_too(self) -> None:
        with ModelServer(Answer(status=500)) as server:
            assert failed(ask(lambda: quick_gate(server), request())).fatal

    def test_a_first_bad_row_does_not_stop_a_run_that_works(self) -> None:
        def reply(body: dict[str, Any]) -> Answer:
            return Answer(status=400, error="too long") if prompt_of(body) in long else Answer("ok", latency=0.05)

        long = {f"row {number}" for number in range(7)}
        with ModelServer(reply) as server:
            found = ask(lambda: quick_gate(server, 8), *many(50))
        assert [getattr(one, "kind", "") for one in found] == ["bad_request"] * 7 + [""] * 43
        assert not any(getattr(one, "fatal", False) for one in found)


class TestDeadEndpoint:
    """An endpoint that dies in mid-run: a countdown, and either it comes back or the run stops resumably."""

    def run(self, server: ModelServer, patience: float, then: Callable[[], None]) -> tuple[list[Any], list[Waiting]]:
        told: list[Waiting] = []

        async def run() -> list[Any]:
            gate = quick_gate(server, 8, patience=patience, on_wait=told.append)
            await each(gate, many(10))
            server.stop()
            asking = asyncio.create_task(each(gate, many(30)))
            while not told:
                await asyncio.sleep(0.01)
            await asyncio.to_thread(then)
            found = await asking
            await gate.close()
            return found

        return within(run()), told

    def test_it_comes_back(self) -> None:
        with ModelServer() as server:
            found, told = self.run(server, 20.0, server.start)
        assert all(isinstance(one, Reply) for one in found)
        assert told[0].kind == "connection" and 0 < told[0].seconds_left <= 20
        assert told[-1].seconds_left == 0

    def test_it_does_not(self) -> None:
        with ModelServer() as server:
            found, told = self.run(server, 1.5, lambda: None)
        assert {(one.kind, one.fatal) for one in found} == {("endpoint_down", True)}
        assert "Run again" in found[0].text and server.endpoint in found[0].text
        assert len(told) >= 2 and told[0].seconds_left > told[-1].seconds_left

    @pytest.mark.parametrize(
        "answer", [Answer(status=503), Answer(status=500), Answer(status=429)], ids=["503", "500", "429"]
    )
    def test_one_that_answers_nothing_useful(self, answer: Answer) -> None:
        async def run(server: ModelServer) -> list[Any]:
            gate = quick_gate(server, 8, patience=1.0)
            await each(gate, many(10))
            server.reply = answer
            found = await each(gate, many(30))
            await gate.close()
            return found

        with ModelServer() as server:
            found = within(run(server))
        assert {one.kind for one in found} == {"endpoint_down"}
        assert len(server.requests) < 250, "asked slower than one that answers"


def test_what_progress_shows() -> None:
    async def run(server: ModelServer) -> Gate:
        gate = Gate(OpenAICompatible(server.endpoint), 4, pause=0.02)
        asking = asyncio.create_task(each(gate, many(20)))
        while not gate.in_flight:
            await asyncio.sleep(0)
        assert (gate.limit, gate.in_flight, gate.waiting) == (4, 4, 16)
        await asking
        await gate.close()
        return gate

    with ModelServer(["ok", Answer(status=429), Answer(status=500), "ok"], latency=0.02) as server:
        gate = within(run(server))
    assert (gate.successes, gate.refusals, gate.retries, gate.calls) == (20, 1, 2, 22)
    assert gate.problems == {"throttled": 1, "server": 1}


class TestOneModelOfTwo:
    """What is wrong with one model, or one sort of request, stops the run though the endpoint answers others."""

    def run(self, server: ModelServer, *sorts: tuple[str, str], unchecked: str = "") -> list[Any]:
        """Requests one after the other, each of a model and for a column."""

        async def run() -> list[Any]:
            gate = quick_gate(server, 1)
            gate.leave_unchecked(unchecked)
            asked = [
                request(f"row {number}", model=model, column=column) for number, (model, column) in enumerate(sorts)
            ]
            found = await each(gate, asked)
            await gate.close()
            return found

        return within(run())

    @staticmethod
    def but(status: int) -> Callable[[dict[str, Any]], Answer]:
        return lambda body: Answer(status=status, error="no") if body["model"] == "typo" else Answer("ok")

    def test_a_model_that_is_not_there_stops_at_its_first_call(self) -> None:
        with ModelServer(self.but(404)) as server:
            found = self.run(server, ("toy", "a"), ("typo", "b"), ("toy", "a"))
            assert len(server.requests) == 2
        assert found[1].kind == "not_found" and found[1].fatal and "'typo'" in found[1].text

    @pytest.mark.parametrize("status", [400, 403, 422])
    def test_a_model_that_refuses_its_first_calls_stops(self, status: int) -> None:
        calls = [("toy", "a"), ("typo", "b")] * 20
        with ModelServer(self.but(status)) as server:
            found = self.run(server, *calls)
            assert server.statuses == {200: 8, status: 8}
        assert [one.fatal for one in found[1:16:2]] == [False] * 7 + [True]

    def test_a_sort_of_request_that_is_refused_stops(self) -> None:
        def reply(body: dict[str, Any]) -> Answer:
            return Answer(status=400) if int(prompt_of(body).removeprefix("row ")) % 2 else Answer("ok")

        with ModelServer(reply) as server:
            found = self.run(server, *[("toy", "a"), ("toy", "b")] * 20)
            assert server.statuses == {200: 8, 400: 8} and found[-1].fatal

    def test_a_model_that_goes_away_in_mid_run_stops(self) -> None:
        with ModelServer(["ok", Answer(status=404)]) as server:
            found = self.run(server, *[("toy", "a")] * 20)
            assert server.statuses == {200: 1, 404: 8} and found[-1].fatal

    def test_rows_that_are_refused_in_mid_run_do_not(self) -> None:
        with ModelServer(["ok", Answer(status=400)]) as server:
            found = self.run(server, *[("toy", "a")] * 20)
        assert not any(one.fatal for one in found[1:])

    @pytest.mark.parametrize("status", [400, 404])
    def test_unless_its_check_is_skipped(self, status: int) -> None:
        with ModelServer(self.but(status)) as server:
            found = self.run(server, *[("typo", "b")] * 20, ("toy", "a"), unchecked="typo")
        assert not any(one.fatal for one in found[:-1]) and found[-1].text == "ok"

    def test_what_an_earlier_run_was_answered_speaks_for_the_rest(self) -> None:
        async def run() -> list[Any]:
            gate = quick_gate(server, 1)
            gate.answered_before(request(column="a"))
            found = await each(gate, [request(f"row {number}", column="a") for number in range(20)])
            await gate.close()
            return found

        with ModelServer(Answer(status=400, error="too long")) as server:
            assert not any(one.fatal for one in within(run()))

    def test_a_server_that_is_still_starting_is_waited_for_when_its_check_is_skipped(self) -> None:
        told: list[Waiting] = []

        async def run() -> list[Any]:
            gate = quick_gate(server, 4, on_wait=told.append)
            gate.leave_unchecked("toy")
            asking = asyncio.create_task(each(gate, many(20)))
            while not told:
                await asyncio.sleep(0.01)
            await asyncio.to_thread(server.start)
            found = await asking
            await gate.close()
            return found

        server = ModelServer()
        server.start()
        server.stop()
        try:
            assert all(isinstance(one, Reply) for one in within(run()))
        finally:
            server.stop()


class TestGivenBack:
    """When the run ends, what waits is not sent; what is in flight comes back."""

    def test_what_waits_for_a_place_is_not_sent(self) -> None:
        async def run() -> list[Any]:
            gate = quick_gate(server, 2)
            asking = asyncio.create_task(each(gate, many(20)))
            while len(server.requests) < 2:
                await asyncio.sleep(0.002)
            gate.give_back()
            found = await asking
            late = await each(gate, many(1))
            await gate.close()
            return found + late

        with ModelServer(latency=0.2) as server:
            found = within(run())
            assert len(server.requests) == 2
        assert [getattr(one, "text", "") for one in found[:2]] == ["ok", "ok"]
        assert {(one.kind, one.fatal) for one in found[2:]} == {("stopped", True)}

    def test_what_fails_afterwards_is_not_tried_again(self) -> None:
        async def run() -> ModelError:
            gate = quick_gate(server)
            asking = asyncio.create_task(each(gate, many(1)))
            while not server.requests:
                await asyncio.sleep(0.002)
            gate.give_back()
            [found] = await asking
            await gate.close()
            assert isinstance(found, ModelError)
            return found

        with ModelServer([Answer(status=500, latency=0.2), "ok"]) as server:
            assert within(run()).fatal and len(server.requests) == 1

    def test_a_wait_that_the_server_asked_for_is_seen_and_ends_at_once(self) -> None:
        async def run() -> float | None:
            gate = quick_gate(server)
            assert gate.next_try is None
            asking = asyncio.create_task(each(gate, many(1)))
            while gate.next_try is None:
                await asyncio.sleep(0.002)
            seconds = gate.next_try
            gate.give_back()
            [found] = await asking
            assert isinstance(found, ModelError) and gate.next_try is None
            await gate.close()
            return seconds

        with ModelServer(Answer(status=429, headers={"Retry-After": "3600"})) as server:
            seconds = within(run(), 20)
        assert seconds is not None and seconds < 3601

    def test_a_countdown_ends_at_once(self) -> None:
        told: list[Waiting] = []

        async def run() -> list[Any]:
            gate = quick_gate(server, 4, patience=600.0, on_wait=told.append)
            await each(gate, many(5))
            server.stop()
            asking = asyncio.create_task(each(gate, many(20)))
            while not told:
                await asyncio.sleep(0.01)
            gate.give_back()
            found = await asking
            await gate.close()
            return found

        with ModelServer() as server:
            assert {one.kind for one in within(run(), 20)} == {"stopped"}
        assert told[-1].seconds_left == 0
