"""The bytes of a chat completion as a ``Reply``. Servers differ; what is odd becomes an error, never a guess.

{"choices": [{"message": {"content": "4", "reasoning_content": "2 + 2"}, "finish_reason": "stop"}],
 "usage": {"prompt_tokens": 9, "completion_tokens": 5, "prompt_tokens_details": {"cached_tokens": 8}}}
"""

from __future__ import annotations

from typing import Any

import msgspec
from msgspec import Struct

from rollmill.models.types import ModelError, Reply, Usage


class _Details(Struct, gc=False):
    cached_tokens: int | None = None
    reasoning_tokens: int | None = None


class _Usage(Struct, gc=False):
    prompt_tokens: int | None = None
    completion_tokens: int | None = None
    prompt_tokens_details: _Details | None = None
    completion_tokens_details: _Details | None = None
    prompt_cache_hit_tokens: int | None = None  # DeepSeek's name for it


class _Message(Struct, gc=False):
    content: str | list[Any] | None = None
    refusal: str | None = None
    reasoning_content: str | None = None
    reasoning: str | None = None  # the newer name: OpenRouter, vLLM since 0.12


class _Choice(Struct, gc=False):
    message: _Message | None = None
    finish_reason: str | None = None


class _Completion(Struct, gc=False):
    choices: list[_Choice] | None = None
    usage: _Usage | None = None
    model: str | None = None
    error: Any = None


_decoder = msgspec.json.Decoder(_Completion)


def reply_of(body: bytes, seconds: float) -> Reply:
    """The reply. Raises ``ModelError`` of kind ``bad_reply``, or ``upstream`` for an error told with status 200."""
    completion = _decoded(body)
    if completion.error is not None:
        raise _told_with_200(completion.error)
    choice = completion.choices[0] if completion.choices else None
    if choice is None or choice.message is None:
        raise ModelError("bad_reply", "the server's answer has no choices[0].message", retryable=True)
    return _reply(choice.message, choice.finish_reason, completion, seconds)


def _told_with_200(error: Any) -> ModelError:
    """Routers that have begun to answer tell the error of the server behind them so."""
    text = f"the server answered 200 with an error: {told(error)}"
    busy = isinstance(error, dict) and str(error.get("code")) in ("429", "503", "529")
    return ModelError("throttled" if busy else "upstream", text, retryable=True)


def _decoded(body: bytes) -> _Completion:
    try:
        return _decoder.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        text = f"the server's answer is no chat completion ({error}); it begins {excerpt(body[:120])!r}"
        raise ModelError("bad_reply", text, retryable=True) from None


def _reply(message: _Message, finish_reason: str | None, completion: _Completion, seconds: float) -> Reply:
    text = _text(message.content)
    if not text and message.refusal:
        text, finish_reason = message.refusal, "refusal"
    reasoning = message.reasoning_content or message.reasoning
    return Reply(text, finish_reason, _usage(completion.usage), reasoning, completion.model, seconds=seconds)


def _text(content: str | list[Any] | None) -> str:
    """Content may be a list of parts; those that are no text have nothing to say here."""
    if isinstance(content, list):
        texts = (part.get("text") for part in content if isinstance(part, dict))
        return "".join(text for text in texts if isinstance(text, str))
    return content or ""


def _usage(usage: _Usage | None) -> Usage:
    if usage is None:
        return Usage()
    read, written = usage.prompt_tokens_details or _Details(), usage.completion_tokens_details or _Details()
    return Usage(
        input_tokens=usage.prompt_tokens or 0,
        cached_tokens=read.cached_tokens or usage.prompt_cache_hit_tokens or 0,
        output_tokens=usage.completion_tokens or 0,
        reasoning_tokens=written.reasoning_tokens or 0,
    )


def told(error: Any) -> str:
    """What a server's error object says, short and on one line."""
    if isinstance(error, dict):
        inner = error.get("error", error)
        if isinstance(inner, dict):
            return excerpt(inner.get("message") or inner.get("detail") or inner.get("code") or inner)
        return excerpt(inner)
    return excerpt(error)


def excerpt(said: Any, length: int = 300) -> str:
    """Foreign text for a message: one line, printable, cut."""
    text = said.decode("utf-8", "replace") if isinstance(said, bytes) else str(said)
    text = " ".join("".join(c if c.isprintable() else " " for c in text[: 4 * length]).split())
    return text if len(text) <= length else text[: length - 1] + "…"
