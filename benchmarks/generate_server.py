"""The model server of the generating benchmarks: one process, one answer per kind of column, next to no work.

    python benchmarks/generate_server.py --latency 0.2 --slots 32 --faults '{"429": 0.05}'

Prints its endpoint, and its counts as one JSON line for each line on its standard input. Prompts say what they are:
``[judge 17]`` is the judge's call for row 17. Data is bare JSON for who asks for it by ``response_format``, and stands
in a fence for who asks in words, as with real servers.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import random
import re
import sys
import time
from collections import Counter
from typing import Any

TEXT = ("The agent looked at the repository, mended the failing parser test and checked the change. " * 5)[:400]
VALUES: dict[bytes, Any] = {
    b"text": TEXT,
    b"structured": {
        "goal": "mend the parser",
        "task_type": "bug fix",
        "steps": ["read", "edit", "test"],
        "outcome": "tests pass",
        "value": "high",
    },
    b"judge": {
        "quality": {"reasoning": "Clear and correct.", "score": 4},
        "utility": {"reasoning": "Of use to others.", "score": 3},
    },
}
_CALL = re.compile(rb"\[(text|structured|judge) (\d+)\]")
_LENGTH = re.compile(rb"\r\ncontent-length: *(\d+)", re.IGNORECASE)


class Settings:
    """What the server does, and what it has done."""

    def __init__(self, latency: float, slots: int | None, faults: dict[int, float], retry_after: str, full: int):
        self.latency, self.slots, self.full = latency, slots, full
        self._faults, self._random = faults, random.Random(0)
        extra = f"Retry-After: {retry_after}\r\n" if retry_after else ""
        self.refusals = {
            status: _response(status, {"error": {"message": "scripted"}}, extra) for status in _all(faults)
        }
        self.answers = {(kind, bare): _answer(kind, bare) for kind in VALUES for bare in (True, False)}
        self.at_once = self.most_at_once = 0
        self.statuses: Counter[int] = Counter()
        self.first = self.last = self.full_at = 0.0
        self.calls = Calls()

    def fault(self) -> int | None:
        """The status of a request that is refused."""
        drawn = self._random.random() if self._faults else 1.0
        for status, share in self._faults.items():
            if drawn < share:
                return status
            drawn -= share
        return 429 if self.slots is not None and self.at_once >= self.slots else None

    def counts(self) -> dict[str, Any]:
        """What has happened so far; times are those of the machine's monotonic clock."""
        return {
            "statuses": self.statuses,
            "answered": self.statuses[200],
            "most_at_once": self.most_at_once,
            "first": self.first,
            "last": self.last,
            "full_at": self.full_at,
            "server_cpu": time.process_time(),
            **self.calls.counts(),
        }


class Calls:
    """Which calls were asked more than once, and where the earlier one was when its asker was killed."""

    def __init__(self) -> None:
        self._answered: dict[bytes, float] = {}
        self._open: set[bytes] = set()
        self._cut: set[bytes] = set()
        self._killed_at = 0.0
        self.begun_calls = self.twice_open = 0
        self.twice_answered: list[float] = []

    def begun(self, call: bytes) -> None:
        self.begun_calls += 1
        if call in self._cut:
            self._cut.discard(call)
            self.twice_open += 1
        elif call in self._answered:
            self.twice_answered.append(self._killed_at - self._answered[call])
        self._open.add(call)

    def answered(self, call: bytes) -> None:
        self._open.discard(call)
        self._answered[call] = time.monotonic()

    def cut(self, call: bytes) -> None:
        """The asker is gone; its first connection that closes tells the moment."""
        now = time.monotonic()
        if now - self._killed_at > 0.5:
            self._killed_at = now
        self._open.discard(call)
        self._cut.add(call)

    def counts(self) -> dict[str, Any]:
        return {
            "begun": self.begun_calls,
            "twice_open": self.twice_open,
            "twice_answered": len(self.twice_answered),
            "longest_before_kill": max(self.twice_answered, default=0.0),
        }


def _all(faults: dict[int, float]) -> set[int]:
    return {*faults, 429}


def _answer(kind: bytes, bare: bool) -> bytes:
    value = VALUES[kind]
    text = value if isinstance(value, str) else json.dumps(value)
    message = {"role": "assistant", "content": text if bare or kind == b"text" else f"```json\n{text}\n```"}
    usage = {"prompt_tokens": 120, "completion_tokens": 80, "total_tokens": 200}
    choice = {"index": 0, "message": message, "finish_reason": "stop", "logprobs": None}
    own = {"id": "chatcmpl-1", "object": "chat.completion", "created": 1, "model": "toy"}
    return _response(200, {**own, "choices": [choice], "usage": usage})


def _response(status: int, body: Any, extra: str = "") -> bytes:
    payload = json.dumps(body).encode()
    head = f"HTTP/1.1 {status} OK\r\nContent-Type: application/json\r\n{extra}Content-Length: {len(payload)}\r\n\r\n"
    return head.encode() + payload


class Connection(asyncio.Protocol):
    """One keep-alive connection, one request after the other."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._buffer = bytearray()
        self._head = self._needed = 0
        self._pending: tuple[bytes, asyncio.TimerHandle] | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport

    def connection_lost(self, error: Exception | None) -> None:
        if self._pending is not None:
            call, timer = self._pending
            timer.cancel()
            self._settings.at_once -= 1
            self._settings.calls.cut(call)

    def data_received(self, data: bytes) -> None:
        self._buffer += data
        if not self._needed:
            self._head = self._buffer.find(b"\r\n\r\n") + 4
            if self._head < 4:
                return
            length = _LENGTH.search(self._buffer, 0, self._head)
            self._needed = self._head + (int(length[1]) if length else 0)
        if len(self._buffer) >= self._needed:
            self._answer()
            self._buffer.clear()
            self._needed = 0

    def _answer(self) -> None:
        settings = self._settings
        settings.first = settings.first or time.monotonic()
        if (fault := settings.fault()) is not None:
            settings.statuses[fault] += 1
            self._transport.write(settings.refusals[fault])
            return
        call = _CALL.search(self._buffer, self._head)
        if call is None:
            raise SystemExit(f"a prompt without its mark: {bytes(self._buffer[:2000])!r}")
        settings.at_once += 1
        if settings.at_once > settings.most_at_once:
            settings.most_at_once = settings.at_once
            if settings.at_once == settings.full:
                settings.full_at = time.monotonic()
        settings.calls.begun(call[0])
        answer = settings.answers[call[1], self._buffer.find(b'"response_format"', self._head) >= 0]
        if settings.latency:
            timer = asyncio.get_running_loop().call_later(settings.latency, self._done, call[0], answer)
            self._pending = call[0], timer
        else:
            self._done(call[0], answer)

    def _done(self, call: bytes, answer: bytes) -> None:
        settings = self._settings
        self._pending = None
        settings.at_once -= 1
        settings.statuses[200] += 1
        settings.last = time.monotonic()
        settings.calls.answered(call)
        self._transport.write(answer)


async def serve(settings: Settings) -> None:
    loop = asyncio.get_running_loop()
    server = await loop.create_server(lambda: Connection(settings), "127.0.0.1", 0, backlog=2048)
    print(f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/v1", flush=True)
    while await loop.run_in_executor(None, sys.stdin.readline):
        print(json.dumps(settings.counts()), flush=True)


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--latency", type=float, default=0.0)
    options.add_argument("--slots", type=int)
    options.add_argument("--faults", type=json.loads, default={})
    options.add_argument("--retry-after", default="")
    options.add_argument("--full", type=int, default=0, help="so many at once: the time when it was first so is noted")
    given = options.parse_args()
    faults = {int(status): share for status, share in given.faults.items()}
    asyncio.run(serve(Settings(given.latency, given.slots, faults, given.retry_after, given.full)))


if __name__ == "__main__":
    main()
