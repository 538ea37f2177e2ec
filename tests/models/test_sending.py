"""How requests go out, seen from the other end of a real connection."""

from __future__ import annotations

import asyncio
import json
import socket
from collections.abc import Callable, Coroutine, Iterator
from typing import Any

import pytest

from rollmill.models import Reply
from rollmill.models.client import _LATE, OpenAICompatible
from rollmill.models.sending import _begun
from tests.models.asking import request, within

CHOICE = {"message": {"role": "assistant", "content": "4"}, "finish_reason": "stop"}
HUGE = 24 << 20
"""More than a connection takes that nobody reads from."""


class Peer:
    """A server by hand: one connection, read from and written to when the test says so."""

    def __init__(self) -> None:
        self._listening = socket.create_server(("127.0.0.1", 0))
        self._listening.settimeout(20)
        self.endpoint = f"http://127.0.0.1:{self._listening.getsockname()[1]}/v1"
        self._connection: socket.socket | None = None

    def request(self) -> bytes:
        """The body of the next request, whole. Waits in the thread that calls, the event loop's too."""
        head, _, body = self.until(lambda read: b"\r\n\r\n" in read).partition(b"\r\n\r\n")
        length = int(head.lower().partition(b"content-length: ")[2].split(b"\r\n")[0])
        return body + self.until(lambda read: len(read) >= length - len(body))

    def until(self, enough: Callable[[bytearray], bool]) -> bytearray:
        if self._connection is None:
            self._connection, _ = self._listening.accept()
            self._connection.settimeout(20)
        read = bytearray()
        while not enough(read):
            piece = self._connection.recv(1 << 20)
            assert piece, "the connection was closed"
            read += piece
        return read

    def answer(self) -> None:
        body = json.dumps({"model": "toy", "choices": [CHOICE]}).encode()
        assert self._connection is not None
        self._connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%s" % (len(body), body))

    def close(self) -> None:
        for each in (self._connection, self._listening):
            if each is not None:
                each.close()


@pytest.fixture
def peer() -> Iterator[Peer]:
    peer = Peer()
    yield peer
    peer.close()


def test_a_request_goes_out_in_the_step_that_asks_where_replies_take_a_while(peer: Peer) -> None:
    async def run() -> None:
        model = OpenAICompatible(peer.endpoint)
        await connected(model, peer)
        asking = asyncio.create_task(model.complete(request("2 + 3")))
        await asyncio.sleep(0)
        assert b"2 + 3" in peer.request()  # the event loop stands still meanwhile
        peer.answer()
        reply = await asking
        assert reply.text == "4"
        await model.close()

    within(run())


def test_a_connection_that_is_slow_to_take_a_body_gets_all_of_it(peer: Peer) -> None:
    async def run(model: OpenAICompatible, asking: asyncio.Task[Reply]) -> None:
        body = await asyncio.to_thread(peer.request)
        assert len(json.loads(body)["padding"]) == HUGE
        peer.answer()
        reply = await asking
        assert reply.text == "4"

    within(with_a_full_connection(peer, run))


def test_a_call_can_be_cancelled_while_its_body_goes_out(peer: Peer) -> None:
    async def run(model: OpenAICompatible, asking: asyncio.Task[Reply]) -> None:
        asking.cancel()
        with pytest.raises(asyncio.CancelledError):
            await asking
        with pytest.raises(AssertionError, match="the connection was closed"):
            await asyncio.to_thread(peer.until, lambda read: False)

    within(with_a_full_connection(peer, run))


async def connected(model: OpenAICompatible, peer: Peer) -> None:
    """One slow call, so that there is a connection for the next."""
    first = asyncio.create_task(model.complete(request()))
    await asyncio.to_thread(peer.request)
    await asyncio.sleep(2 * _LATE)  # the reply takes a while
    peer.answer()
    await first


async def with_a_full_connection(
    peer: Peer, then: Callable[[OpenAICompatible, asyncio.Task[Reply]], Coroutine[Any, Any, None]]
) -> None:
    """Begins a request so big that its connection takes a part of it only, and goes on from there."""
    model = OpenAICompatible(peer.endpoint)
    await connected(model, peer)
    asking = asyncio.create_task(model.complete(request("2 + 3", params={"padding": "x" * HUGE})))
    for _ in range(10):
        await asyncio.sleep(0)
    assert not asking.done()
    await then(model, asking)
    await model.close()


class Writing:
    """Something to send that waits half-way until it may go on."""

    def __init__(self) -> None:
        self.may_go_on = asyncio.get_running_loop().create_future()
        self.did: list[str] = []

    async def work(self) -> None:
        self.did.append("begun")
        try:
            await self.may_go_on
            await asyncio.sleep(0)
            self.did.append("ended")
        finally:
            self.did.append("left")


def test_what_has_to_wait_goes_on_where_it_stopped() -> None:
    async def run() -> None:
        writing = Writing()
        rest = asyncio.create_task(_begun(writing.work()))
        assert writing.did == ["begun"]
        await asyncio.sleep(0)
        writing.may_go_on.set_result(None)
        await rest
        assert writing.did == ["begun", "ended", "left"]

    within(run())


def test_what_has_to_wait_can_be_cancelled() -> None:
    async def run() -> None:
        writing = Writing()
        rest = asyncio.create_task(_begun(writing.work()))
        await asyncio.sleep(0)
        rest.cancel()
        with pytest.raises(asyncio.CancelledError):
            await rest
        assert writing.did == ["begun", "left"]

    within(run())
