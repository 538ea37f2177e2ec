"""The budget before a real server: what is sent, and what is not."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from rollmill.models import ModelError, Reply, Request
from rollmill.models.budget import Budget, Budgeted
from rollmill.models.client import OpenAICompatible
from rollmill.models.gate import Gate
from rollmill.models.prices import Price
from tests.models.asking import each, request, within
from tests.models.server import Answer, ModelServer

TABLE = {"toy": Price(1000.0, 1000.0, 1000.0)}
"""The server's 15 tokens are 1.5 cents."""
EACH = 0.015


def asked(server: ModelServer, budget: Budget, requests: list[Request], places: int = 64) -> list[Any]:
    async def run() -> list[Any]:
        gate = Gate(Budgeted(OpenAICompatible(server.endpoint), budget), places, pause=0.02)
        found = await each(gate, requests)
        await gate.close()
        return found

    return within(run())


def many(count: int, **fields: Any) -> list[Request]:
    return [request(f"row {number}", **{"params": {"max_tokens": 5}} | fields) for number in range(count)]


@pytest.mark.parametrize("places", [1, 4, 64])
def test_no_more_is_sent_than_the_budget_allows(places: int) -> None:
    budget = Budget(0.15, TABLE)
    with ModelServer(latency=0.01) as server:
        found = asked(server, budget, many(300), places)
        assert 8 <= len(server.requests) <= 10
    assert budget.spent == pytest.approx(EACH * len(server.requests))
    replies, errors = found[: len(server.requests)], found[len(server.requests) :]
    assert all(isinstance(one, Reply) for one in replies)
    assert {(one.kind, one.fatal) for one in errors} == {("max_cost", True)}
    assert f"${budget.spent:.4f} of --max-cost $0.1500 are spent" in errors[0].text


def test_a_prompt_that_is_reckoned_too_low_does_not_overrun_it() -> None:
    """Three times what its size says, with all sent at once."""
    usage = {"prompt_tokens": 40, "completion_tokens": 5}
    budget = Budget(1.0, TABLE)
    with ModelServer(Answer("ok", usage=usage), latency=0.01) as server:
        asked(server, budget, many(300))
    assert 0.9 <= budget.spent <= 1.0


def test_a_first_call_that_alone_may_be_too_dear_is_not_sent() -> None:
    with ModelServer() as server:
        [found] = asked(server, Budget(1.0, TABLE), many(1, params={"max_tokens": 2000}))
        assert not server.requests
    assert found.kind == "max_cost" and "$0.0000 of --max-cost $1.0000" in found.text and "max_tokens" in found.text


def test_what_was_spent_before_counts() -> None:
    with ModelServer() as server:
        [found, *_] = asked(server, Budget(0.15, TABLE, spent=0.145), many(1))
        assert not server.requests
    assert "$0.1450 of --max-cost $0.1500 are spent ($0.1450 of it before this run)" in found.text


def test_a_failed_call_gives_its_share_back() -> None:
    budget = Budget(0.05, TABLE)
    with ModelServer([Answer(status=500), Answer(status=400), "ok"]) as server:
        found = asked(server, budget, many(2), places=1)
        assert len(server.requests) == 3
    assert sum(isinstance(one, Reply) for one in found) == 1 and budget.spent == pytest.approx(EACH)


def test_whoever_waits_for_money_is_given_back() -> None:
    async def run() -> list[Any]:
        gate = Gate(Budgeted(OpenAICompatible(server.endpoint), budget), 8)
        asking = asyncio.create_task(each(gate, many(8)))
        while not server.requests:
            await asyncio.sleep(0.002)
        gate.give_back()
        budget.give_back()
        found = await asking
        await gate.close()
        return found

    budget = Budget(0.04, TABLE)
    with ModelServer(latency=0.2) as server:
        found = within(run())
        assert len(server.requests) == 1
    assert isinstance(found[0], Reply) and all(isinstance(one, ModelError) and one.fatal for one in found[1:])
