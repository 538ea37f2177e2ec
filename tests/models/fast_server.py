"""A model server for measurements: the same answer to everything, at a small part of the client's own cost.

    python -m tests.models.fast_server --latency 0.2 --slots 32 --faults '{"429": 0.05}'

It prints its endpoint, and its counts when it gets a line on its standard input. It reads no more of a request than
its length; for scripts, see ``server.py``.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import random
import sys
from collections import Counter
from typing import Any


class Settings:
    """What the server does, and what it has done."""

    def __init__(
        self, text: str, latency: float, slots: int | None, faults: dict[int, float], retry_after: str
    ) -> None:
        self.latency, self.slots = latency, slots
        self.at_once = self.most_at_once = 0
        self.statuses: Counter[int] = Counter()
        message = {"role": "assistant", "content": text}
        usage = {"prompt_tokens": 10, "completion_tokens": 5}
        body = {"model": "toy", "choices": [{"index": 0, "message": message, "finish_reason": "stop"}], "usage": usage}
        self.answers = {200: _response(200, body)}
        for status in {*faults, 429}:
            extra = f"Retry-After: {retry_after}\r\n" if retry_after and status == 429 else ""
            self.answers[status] = _response(status, {"error": {"message": "scripted"}}, extra)
        self._faults = faults
        self._random = random.Random(0)

    def fault(self) -> int | None:
        drawn = self._random.random() if self._faults else 1.0
        for status, share in self._faults.items():
            if drawn < share:
                return status
            drawn -= share
        return None


def _response(status: int, body: Any, extra: str = "") -> bytes:
    payload = json.dumps(body).encode()
    head = (
        f"HTTP/1.1 {status} Scripted\r\nContent-Type: application/json\r\n{extra}Content-Length: {len(payload)}\r\n\r\n"
    )
    return head.encode() + payload


class Connection(asyncio.Protocol):
    """One keep-alive connection, one request after the other."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._buffer = bytearray()
        self._needed = 0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        self._buffer += data
        while self._whole_request():
            del self._buffer[: self._needed]
            self._needed = 0
            self._answer()

    def _whole_request(self) -> bool:
        if not self._needed:
            head = self._buffer.find(b"\r\n\r\n")
            if head < 0:
                return False
            lines = bytes(self._buffer[:head]).lower().split(b"\r\n")
            length = next((int(line[15:]) for line in lines if line.startswith(b"content-length:")), 0)
            self._needed = head + 4 + length
        return len(self._buffer) >= self._needed

    def _answer(self) -> None:
        settings = self._settings
        fault = settings.fault()
        if fault is None and settings.slots is not None and settings.at_once >= settings.slots:
            fault = 429
        if fault is not None:
            self._write(fault)
            return
        settings.at_once += 1
        settings.most_at_once = max(settings.most_at_once, settings.at_once)
        asyncio.get_running_loop().call_later(settings.latency, self._done)

    def _done(self) -> None:
        self._settings.at_once -= 1
        self._write(200)

    def _write(self, status: int) -> None:
        self._settings.statuses[status] += 1
        if not self._transport.is_closing():
            self._transport.write(self._settings.answers[status])


async def serve(settings: Settings) -> None:
    loop = asyncio.get_running_loop()
    server = await loop.create_server(lambda: Connection(settings), "127.0.0.1", 0, backlog=2048)
    print(f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/v1", flush=True)
    await loop.run_in_executor(None, sys.stdin.readline)
    print(json.dumps({"statuses": settings.statuses, "most_at_once": settings.most_at_once}), flush=True)


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--text", default="ok")
    options.add_argument("--latency", type=float, default=0.0)
    options.add_argument("--slots", type=int)
    options.add_argument("--faults", type=json.loads, default={})
    options.add_argument("--retry-after", default="")
    given = options.parse_args()
    faults = {int(status): share for status, share in given.faults.items()}
    asyncio.run(serve(Settings(given.text, given.latency, given.slots, faults, given.retry_after)))


if __name__ == "__main__":
    main()
