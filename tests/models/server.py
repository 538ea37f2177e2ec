"""A scripted OpenAI-compatible server: real HTTP on 127.0.0.1, in a thread of the test.

    with ModelServer(reply=lambda body: "4") as server:
        … server.endpoint …
        assert server.requests[0].body["model"] == "toy"

``reply`` gets the request's body and returns a text, a dict or list (sent as JSON text), or an ``Answer`` for
everything else: a status, a delay, a connection that breaks. A list of these is played in order, its last one for
good. Measurements have one of their own, which takes a tenth of the time: ``benchmarks/generate_server.py``.
"""

from __future__ import annotations

import asyncio
import hashlib
import json
import random
import threading
import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, Self

from aiohttp import web


@dataclass
class Answer:
    """One HTTP answer. ``raw`` is the whole body as it is; ``text`` is wrapped into a chat completion."""

    text: str | None = ""
    status: int = 200
    headers: dict[str, str] = field(default_factory=dict)
    error: str = "scripted"
    raw: bytes | None = None
    latency: float = 0.0
    reset: bool = False
    """The connection is reset before any byte."""
    half: bool = False
    """Half of the body, then the connection breaks."""
    slow: float = 0.0
    """Seconds that the body takes, in ten pieces."""
    finish_reason: str = "stop"
    reasoning: str | None = None
    usage: dict[str, Any] | None = None


@dataclass(frozen=True)
class Asked:
    """One request as it came; ``port`` is the client's, which tells connections apart."""

    body: dict[str, Any]
    headers: dict[str, str]
    path: str
    at: float
    status: int
    port: int


Said = str | dict[str, Any] | list[Any] | Answer
Script = Callable[[dict[str, Any]], Said] | Said | Sequence[Said]


def body_key(body: dict[str, Any]) -> str:
    """The same for the same request body."""
    return hashlib.sha256(json.dumps(body, sort_keys=True).encode()).hexdigest()[:16]


def prompt_of(body: dict[str, Any]) -> str:
    """The text of the last message."""
    content = body["messages"][-1]["content"]
    return content if isinstance(content, str) else "".join(part.get("text", "") for part in content)


class ModelServer:
    """The server. Start and stop it with ``with``; ``stop`` and ``start`` again keep the port, for a dead endpoint.

    ``latency`` seconds before every reply; ``slots`` requests at once, others get 429 at once; ``faults`` maps a
    status to its share of random answers (``{429: 0.05, 500: 0.02}``); ``retry_after`` goes with every 429;
    ``takes_format=False`` refuses ``response_format`` with 400; ``key`` is asked for as a bearer token.
    """

    def __init__(
        self,
        reply: Script = "ok",
        *,
        latency: float = 0.0,
        slots: int | None = None,
        faults: dict[int, float] | None = None,
        retry_after: str | None = None,
        takes_format: bool = True,
        key: str | None = None,
        seed: int = 0,
        keep: bool = True,
    ) -> None:
        self.reply = reply
        self.latency = latency
        self.slots = slots
        self.faults = faults or {}
        self.retry_after = retry_after
        self.takes_format = takes_format
        self.key = key
        self.requests: list[Asked] = []
        self.counts: Counter[str] = Counter()
        """How often each body came, by ``body_key``."""
        self.answered: Counter[str] = Counter()
        """How often each body was answered whole, with status 200."""
        self.statuses: Counter[int] = Counter()
        self.at_once = self.most_at_once = 0
        self.port = 0
        self._keep = keep
        self._random = random.Random(seed)
        self._played = 0
        self._thread: threading.Thread | None = None
        self._loop: asyncio.AbstractEventLoop | None = None

    @property
    def endpoint(self) -> str:
        return f"http://127.0.0.1:{self.port}/v1"

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def start(self) -> None:
        ready = threading.Event()
        self._thread = threading.Thread(target=self._run, args=(ready,), daemon=True)
        self._thread.start()
        assert ready.wait(20), "the test server does not start"

    def stop(self) -> None:
        """Breaks every connection; the port refuses from now on."""
        if self._loop is not None and self._thread is not None:
            self._loop.call_soon_threadsafe(self._ended.set)
            self._thread.join(20)
        self._loop = self._thread = None

    def _run(self, ready: threading.Event) -> None:
        asyncio.run(self.serve(lambda: ready.set()))

    async def serve(self, ready: Callable[[], None]) -> None:
        """Serves until ``stop``; ``ready`` is called when the port is open."""
        self._loop, self._ended = asyncio.get_running_loop(), asyncio.Event()
        runner = web.ServerRunner(
            web.Server(self._handle, request_factory=_large, access_log=None), shutdown_timeout=0.1
        )
        await runner.setup()
        site = web.TCPSite(runner, "127.0.0.1", self.port, backlog=2048, reuse_address=True)
        await site.start()
        self.port = site._server.sockets[0].getsockname()[1]  # type: ignore[union-attr]
        ready()
        await self._ended.wait()
        await runner.cleanup()

    async def _handle(self, request: web.BaseRequest) -> web.StreamResponse:
        raw = await request.read()
        body = json.loads(raw) if raw else {}
        self.at_once += 1
        self.most_at_once = max(self.most_at_once, self.at_once)
        try:
            answer = self._answer(request, body)
            self._note(request, body, answer)
            return await self._send(request, body, answer)
        finally:
            self.at_once -= 1

    def _note(self, request: web.BaseRequest, body: dict[str, Any], answer: Answer) -> None:
        self.statuses[answer.status] += 1
        if self._keep:
            self.counts[body_key(body)] += 1
            asked = Asked(body, dict(request.headers), request.path, time.monotonic(), answer.status, _port(request))
            self.requests.append(asked)

    def _answer(self, request: web.BaseRequest, body: dict[str, Any]) -> Answer:
        if self.key and request.headers.get("Authorization") != f"Bearer {self.key}":
            return Answer(status=401, error=f"wrong key: {request.headers.get('Authorization')}")
        if not request.path.endswith("/v1/chat/completions"):
            return Answer(status=404, error=f"no such path: {request.path}")
        if self.slots is not None and self.at_once > self.slots:
            return self._busy()
        if (fault := self._fault()) is not None:
            return self._busy() if fault == 429 else Answer(status=fault)
        if not self.takes_format and "response_format" in body:
            return Answer(status=400, error="'response_format' of type json_schema is not supported")
        said = self._said(body)
        answer = said if isinstance(said, Answer) else Answer(said if isinstance(said, str) else json.dumps(said))
        answer.latency = answer.latency or self.latency
        return answer

    def _busy(self) -> Answer:
        return Answer(status=429, headers={"Retry-After": self.retry_after} if self.retry_after else {}, error="busy")

    def _fault(self) -> int | None:
        drawn = self._random.random() if self.faults else 1.0
        for status, share in self.faults.items():
            if drawn < share:
                return status
            drawn -= share
        return None

    def _said(self, body: dict[str, Any]) -> Said:
        if callable(self.reply):
            return self.reply(body)
        if isinstance(self.reply, Sequence) and not isinstance(self.reply, str):
            said: Said = self.reply[min(self._played, len(self.reply) - 1)]
            self._played += 1
            return said
        return self.reply

    async def _send(self, request: web.BaseRequest, body: dict[str, Any], answer: Answer) -> web.StreamResponse:
        if answer.latency:
            await asyncio.sleep(answer.latency)
        if answer.reset:
            assert request.transport is not None
            request.transport.abort()
            return web.Response()
        payload = answer.raw if answer.raw is not None else json.dumps(_completion(body, answer)).encode()
        if answer.half or answer.slow:
            return await _piecewise(request, answer, payload)
        if answer.status == 200 and self._keep:
            self.answered[body_key(body)] += 1
        headers = {"Content-Type": "application/json", **answer.headers}
        return web.Response(status=answer.status, body=payload, headers=headers)


def _port(request: web.BaseRequest) -> int:
    return int(request.transport.get_extra_info("peername")[1]) if request.transport else 0


def _large(*made_of: Any) -> web.BaseRequest:
    return web.BaseRequest(*made_of, loop=asyncio.get_running_loop(), client_max_size=1 << 28)


def _completion(body: dict[str, Any], answer: Answer) -> dict[str, Any]:
    if answer.status != 200:
        return {"error": {"message": answer.error, "type": "scripted"}}
    message = {"role": "assistant", "content": answer.text}
    if answer.reasoning is not None:
        message["reasoning_content"] = answer.reasoning
    usage = {"prompt_tokens": 10, "completion_tokens": 5, "total_tokens": 15}
    return {
        "id": "chatcmpl-1",
        "object": "chat.completion",
        "model": body.get("model", ""),
        "choices": [{"index": 0, "message": message, "finish_reason": answer.finish_reason}],
        "usage": usage if answer.usage is None else answer.usage,
    }


async def _piecewise(request: web.BaseRequest, answer: Answer, payload: bytes) -> web.StreamResponse:
    response = web.StreamResponse(status=answer.status, headers={"Content-Length": str(len(payload))})
    await response.prepare(request)
    pieces = [
        payload[start : start + len(payload) // 10 + 1] for start in range(0, len(payload), len(payload) // 10 + 1)
    ]
    for piece in pieces[: len(pieces) // 2] if answer.half else pieces:
        await response.write(piece)
        await asyncio.sleep(answer.slow / 10)
    if answer.half:
        assert request.transport is not None
        request.transport.close()
    return response
