"""Requests, and asking them, for the tests of models."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Iterable
from typing import Any

from rollmill.models import Model, ModelError, Reply, Request
from rollmill.models.client import OpenAICompatible
from rollmill.models.gate import Gate
from tests.models.server import ModelServer


def request(text: str = "2 + 2", **fields: Any) -> Request:
    """A request of one user message; a text of its own makes it another request."""
    given: dict[str, Any] = {"endpoint": "http://127.0.0.1/v1", "model": "toy", "params": {}} | fields
    return Request(messages=({"role": "user", "content": text},), **given)


def quick_gate(server: ModelServer, ceiling: int | None = None, **options: Any) -> Gate:
    """A gate whose pauses are short."""
    return Gate(OpenAICompatible(server.endpoint), ceiling, **{"pause": 0.02, "patience": 20.0} | options)


async def each(model: Model, requests: Iterable[Request]) -> list[Reply | ModelError]:
    """What became of each request, all asked at once, in their order."""
    found = await asyncio.gather(*map(model.complete, requests), return_exceptions=True)
    assert all(isinstance(one, Reply | ModelError) for one in found), found
    return found  # type: ignore[return-value]


def ask(make: Callable[[], Model], *requests: Request) -> list[Reply | ModelError]:
    """What became of requests to a model that lives as long as they do."""

    async def run() -> list[Reply | ModelError]:
        model = make()
        try:
            return await each(model, requests)
        finally:
            await model.close()

    return within(run())


def within(work: Coroutine[Any, Any, Any], seconds: float = 60.0) -> Any:
    """The result of a coroutine; a test that hangs fails instead."""

    async def run() -> Any:
        return await asyncio.wait_for(work, seconds)

    return asyncio.run(run())


def only(found: list[Reply | ModelError]) -> Reply:
    [reply] = found
    assert isinstance(reply, Reply), reply
    return reply


def failed(found: list[Reply | ModelError]) -> ModelError:
    [error] = found
    assert isinstance(error, ModelError), error
    return error
