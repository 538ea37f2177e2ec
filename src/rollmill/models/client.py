"""One OpenAI-compatible endpoint over HTTP: one attempt per call, no retries; the gate does those.

A reply with a schema is asked for by ``response_format``. A server that does not take it is found out once, by its
400 or 422 that names the field; from then on the schema stands in the prompt. Connections are kept and reused. No
proxy is taken from the environment, no redirect is followed, and the key appears in the Authorization header only.
"""

from __future__ import annotations

import asyncio
import io
import json
import re
import time
from collections.abc import Mapping
from functools import lru_cache
from typing import Any, NamedTuple

import aiohttp
import msgspec
from yarl import URL

from rollmill.models.offloop import BIG, off_loop
from rollmill.models.refusals import refusal, why_unreachable
from rollmill.models.replies import reply_of
from rollmill.models.sending import AtOnce, Sending
from rollmill.models.types import ModelError, Reply, Request, copied

TIMEOUT = 600.0
"""Seconds for one attempt when the request says nothing."""
LARGEST_REPLY = 16 << 20
_LATE = 0.05
"""Seconds; while replies take longer, a request does not wait for others to go out with it."""
_BEGINS_JSON = tuple('{["-0123456789')
_NAMES_THE_FORMAT = re.compile(rb"response_format|json_schema|guided|grammar|structured.?output", re.IGNORECASE)


class OpenAICompatible:
    """A ``Model`` behind ``<endpoint>/chat/completions``. ``key_name`` says in messages where the key comes from."""

    def __init__(
        self,
        endpoint: str,
        key: str | None = None,
        headers: Mapping[str, str] | None = None,
        key_name: str | None = None,
    ) -> None:
        self.endpoint = endpoint
        self._headers = {"Content-Type": "application/json", "Accept-Encoding": "identity", **(headers or {})}
        if key is not None:
            self._headers["Authorization"] = f"Bearer {key}"
        self._secrets = [text for text in (key, *(headers or {}).values()) if text and len(text) >= 6]
        self._key_words = key_name or ("the API key that was given" if key else "a request without an API key")
        self._session: aiohttp.ClientSession | None = None
        self._url = URL(f"{endpoint}/chat/completions")
        self._formats = _Formats()
        self._turns = asyncio.Lock()
        self._seconds = 0.0

    def __repr__(self) -> str:
        return f"OpenAICompatible({self.endpoint!r})"

    async def complete(self, request: Request) -> Reply:
        """The reply of one attempt. Raises ``ModelError``; one that is ``retryable`` may pass next time."""
        if request.schema is None:
            return await self._ask(request, request.messages, None)
        schema = self._formats.known(request.schema)
        try:
            reply = await self._ask(request, *self._formats.wanted(request, schema))
        except _TakesNoFormat:
            self._formats.refuse(request, schema)
            reply = await self._ask(request, *self._formats.wanted(request, schema))
        else:
            self._formats.learn(request, reply)
        return reply

    async def close(self) -> None:
        if self._session is not None:
            await self._session.close()

    async def _ask(
        self, request: Request, messages: tuple[dict[str, Any], ...], response_format: msgspec.Raw | None
    ) -> Reply:
        body = {**request.params, "model": request.model, "messages": messages}
        if response_format is not None:
            body["response_format"] = response_format
        if request.size < BIG:
            sent_so: type[aiohttp.BytesPayload] = AtOnce if self._seconds > _LATE else aiohttp.BytesPayload
            data: Any = sent_so(_json(body))
        else:
            data = _Body(await off_loop(_big_json, body))
            await self._turn()
        started = time.perf_counter()
        status, headers, answer = await self._posted(data, request.timeout or TIMEOUT)
        self._seconds = time.perf_counter() - started
        if status == 200:
            return self._without_keys(reply_of, answer, self._seconds)
        error = refusal(status, self._clean(answer), headers, self.endpoint, request.model, self._key_words)
        if response_format is not None and status in (400, 422) and _NAMES_THE_FORMAT.search(answer):
            raise _TakesNoFormat
        raise error

    async def _turn(self) -> None:
        """Big bodies go out one per round of the event loop: hundreds of them in one would hold it up."""
        async with self._turns:
            await asyncio.sleep(0)

    def _without_keys(self, read: Any, answer: bytes, seconds: float) -> Reply:
        try:
            reply: Reply = read(answer, seconds)
        except ModelError as error:
            text = self._clean(error.text.encode()).decode()
            raise ModelError(error.kind, text, error.retryable, error.fatal) from None
        return reply

    def _clean(self, said: bytes) -> bytes:
        """A server's text without our keys, for some servers repeat them."""
        for secret in self._secrets:
            said = said.replace(secret.encode(), b"[key]")
        return said

    async def _posted(self, data: Any, timeout: float) -> tuple[int, Mapping[str, str], bytes]:
        session = self._session or self._opened()
        try:
            async with session.post(self._url, data=data, timeout=_limits(timeout), allow_redirects=False) as response:
                return response.status, response.headers, await _bounded(response)
        except TimeoutError:
            text = f"{self.endpoint} gave no answer within {timeout:g} s; raise timeout, or lower max_tokens"
            raise ModelError("timeout", text, retryable=True) from None
        except (aiohttp.ClientError, OSError) as error:
            raise self._unreachable(error) from None

    def _opened(self) -> aiohttp.ClientSession:
        connector = aiohttp.TCPConnector(limit=0, keepalive_timeout=60, ttl_dns_cache=300)
        self._session = aiohttp.ClientSession(
            connector=connector,
            headers=self._headers,
            cookie_jar=aiohttp.DummyCookieJar(),
            trust_env=False,
            request_class=Sending,
        )
        return self._session

    def _unreachable(self, error: Exception) -> ModelError:
        if isinstance(error, aiohttp.ClientConnectorCertificateError | aiohttp.ClientConnectorSSLError):
            text = f"the certificate of {self.endpoint} is not trusted ({type(error).__name__}); check the endpoint"
            return ModelError("certificate", text, fatal=True)
        if isinstance(error, aiohttp.ClientConnectorError):
            why = why_unreachable(error.os_error)
            text = f"{self.endpoint} cannot be reached ({why}); is the server running, and is the endpoint right?"
            return ModelError("connection", text, retryable=True)
        return ModelError("reset", f"{self.endpoint} broke off ({type(error).__name__})", retryable=True)


@lru_cache(maxsize=16)
def _limits(timeout: float) -> aiohttp.ClientTimeout:
    return aiohttp.ClientTimeout(total=timeout, sock_connect=min(30.0, timeout))


class _Body(io.BytesIO):
    """A big body, which goes out in pieces and is let go when the last one is read: hundreds wait for their replies."""

    def __init__(self, body: bytes) -> None:
        super().__init__(body)
        self._length = len(body)

    def read(self, size: int | None = -1, /) -> bytes:
        piece = super().read(size)
        if self.tell() == self._length:
            self.truncate(0)
        return piece


class _TakesNoFormat(Exception):
    """The server's 400 or 422 names ``response_format``."""


def _json(body: dict[str, Any]) -> bytes:
    try:
        return msgspec.json.encode(body)
    except UnicodeEncodeError:  # a lone surrogate, which no strict server takes
        plain = {
            name: json.loads(bytes(each)) if isinstance(each, msgspec.Raw) else each for name, each in body.items()
        }
        return json.dumps(plain, ensure_ascii=False).encode("utf-8", "replace")


def _big_json(body: dict[str, Any]) -> bytes:
    """The body in no more memory than it takes: the encoder's own bytes have room to grow."""
    return b"".join((_json({**body, "messages": copied(body["messages"])}), b""))


async def _bounded(response: aiohttp.ClientResponse) -> bytes:
    """The body, unless it is larger than any reply has reason to be, packed or not."""
    if (response.content_length or LARGEST_REPLY + 1) <= LARGEST_REPLY and "Content-Encoding" not in response.headers:
        return await response.read()
    chunks, size = [], 0
    async for chunk in response.content.iter_any():
        chunks.append(chunk)
        size += len(chunk)
        if size > LARGEST_REPLY:
            response.close()
            raise ModelError("huge_reply", f"the answer is larger than {LARGEST_REPLY >> 20} MiB; lower max_tokens")
    return b"".join(chunks)


class _Schema(NamedTuple):
    """A schema as text, and as the ``response_format`` that asks for it, both made once."""

    text: str
    response_format: msgspec.Raw


class _Formats:
    """What is known of each model's way with ``response_format``."""

    def __init__(self) -> None:
        self._taken: set[str] = set()
        self._refused: set[tuple[str, str | None]] = set()
        self._ignored: set[str] = set()
        self._schemas: dict[str, _Schema] = {}

    def known(self, schema: dict[str, Any] | None) -> _Schema:
        """The schema made ready; those of a run are few, and asked for in every call."""
        text = _digest(schema or {})
        if text not in self._schemas:
            self._schemas[text] = _Schema(text, msgspec.Raw(msgspec.json.encode(response_format(schema or {}))))
        return self._schemas[text]

    def wanted(self, request: Request, schema: _Schema) -> tuple[tuple[dict[str, Any], ...], msgspec.Raw | None]:
        """The messages to send, and the ``response_format`` when the server takes it."""
        if self._refused and {(request.model, None), (request.model, schema.text)} & self._refused:
            return told_the_schema(request.messages, schema.text), None
        if request.model in self._ignored:
            return told_the_schema(request.messages, schema.text), schema.response_format
        return request.messages, schema.response_format

    def refuse(self, request: Request, schema: _Schema) -> None:
        """A model that took other schemas refuses this one only."""
        self._refused.add((request.model, schema.text if request.model in self._taken else None))

    def learn(self, request: Request, reply: Reply) -> None:
        """A server that takes the field and answers in prose ignores it: the schema goes into the prompt as well."""
        if reply.finish_reason != "stop":
            return
        if reply.text.lstrip()[:1] in _BEGINS_JSON:
            self._taken.add(request.model)
        else:
            self._ignored.add(request.model)


def _digest(schema: dict[str, Any]) -> str:
    return msgspec.json.encode(schema, order="deterministic").decode()


def response_format(schema: dict[str, Any]) -> dict[str, Any]:
    """The field as OpenAI has it. ``strict`` only for schemas that its rules allow."""
    name = re.sub(r"\W+", "_", str(schema.get("title") or "reply"), flags=re.ASCII)[:64] or "reply"
    named: dict[str, Any] = {"name": name, "schema": schema}
    return {"type": "json_schema", "json_schema": named | {"strict": True} if _allows_strict(schema) else named}


def _allows_strict(schema: Any) -> bool:
    """Whether every object of the schema names all its fields as required and forbids others."""
    if isinstance(schema, list):
        return all(map(_allows_strict, schema))
    if not isinstance(schema, dict):
        return True
    if schema.get("type") == "object" or "properties" in schema:
        whole = set(schema.get("required", ())) == set(schema.get("properties", ()))
        if not whole or schema.get("additionalProperties") is not False:
            return False
    return all(map(_allows_strict, schema.values()))


def told_the_schema(messages: tuple[dict[str, Any], ...], schema: str) -> tuple[dict[str, Any], ...]:
    """The messages, the last of them asking for JSON of this schema."""
    asked = f"\n\nAnswer with one JSON value that fits this JSON schema, and with nothing else:\n{schema}"
    *earlier, last = messages
    content = last.get("content") or ""
    told = [*content, {"type": "text", "text": asked}] if isinstance(content, list) else f"{content}{asked}"
    return (*earlier, {**last, "content": told})
