"""What is asked of a model and what comes back: ``Request``, ``Reply``, ``ModelError``, and the ``Model`` protocol.

Everything that answers is a ``Model``: the HTTP client, the gate around it, the journal around that. So
``Journaled(Gate(OpenAICompatible(…)))`` reads as it runs, and columns know nothing but ``complete``.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from typing import Any, Protocol

import msgspec
from msgspec import Struct

from rollmill.models.offloop import BIG


class Usage(Struct, gc=False):
    """Tokens of one call. ``cached_tokens`` are part of ``input_tokens``, ``reasoning_tokens`` of ``output_tokens``."""

    input_tokens: int = 0
    cached_tokens: int = 0
    output_tokens: int = 0
    reasoning_tokens: int = 0


class Request(Struct, frozen=True):
    """One call, complete: what is sent, and for which row.

    ``endpoint`` is the base URL; ``params`` are sent as they are; ``schema`` is the JSON schema that is wanted of the
    reply. ``row_key``, ``policy`` (of the redaction) and ``pass_number`` are not sent: they keep apart the replies of
    rows that ask the same. ``column`` and ``timeout`` (seconds for one attempt) change nothing of the reply.
    """

    endpoint: str
    model: str
    messages: tuple[dict[str, Any], ...]
    params: dict[str, Any]
    schema: dict[str, Any] | None = None
    row_key: str = ""
    column: str = ""
    pass_number: int = 0
    policy: str = ""
    timeout: float | None = None

    def key(self) -> str:
        """The hex digest under which the reply is kept: the same for the same request in any process, on any machine.

        The API key, the timeout, the concurrency and the column's name are no part of it.
        """
        parts = (
            self.endpoint,
            self.model,
            copied(self.messages) if self.size >= BIG else self.messages,
            self.params,
            self.schema,
            self.row_key,
            self.policy,
            self.pass_number,
        )
        return hashlib.sha256(_canonical(parts)).hexdigest()

    @property
    def size(self) -> int:
        """About how many characters the messages have; big requests are hashed and encoded off the event loop."""
        return sum(len(content) for each in self.messages if isinstance(content := each.get("content"), str))


def copied(messages: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """The messages with copies of their texts, to be encoded and dropped. Encoding a text that is not ASCII leaves the
    bytes with it for as long as it lives, and the texts of a call live until it is answered."""
    return [
        {**each, "content": "".join((content, ""))} if isinstance(content := each.get("content"), str) else each
        for each in messages
    ]


def _canonical(value: Any) -> bytes:
    """JSON with sorted keys and nothing between. A lone surrogate, which is no text, is kept by the slow encoder."""
    try:
        return msgspec.json.encode(value, order="deterministic")
    except UnicodeEncodeError:
        text = json.dumps(value, sort_keys=True, ensure_ascii=False, separators=(",", ":"))
        return text.encode("utf-8", "surrogatepass")


class Reply(Struct):
    """What came back. ``text`` is as the model wrote it; ``finish_reason`` is ``length`` when it was cut off.

    ``from_journal`` replies cost nothing now: they were paid for in an earlier run, or by an identical request.
    """

    text: str
    finish_reason: str | None
    usage: Usage
    reasoning: str | None = None
    model: str | None = None
    from_journal: bool = False
    seconds: float = 0.0


class ModelError(Exception):
    """A call that gave no reply. ``kind`` is a short stable word for counts; ``text`` is for people, with the fix.

    ``retryable``: the same request may succeed later; whoever sees the error outside ``models`` sees it after all
    retries. ``fatal``: no other request to this endpoint would fare better, so the run stops, resumably.
    """

    def __init__(
        self,
        kind: str,
        text: str,
        retryable: bool = False,
        fatal: bool = False,
        *,
        status: int | None = None,
        retry_after: float | None = None,
    ) -> None:
        super().__init__(text)
        self.kind = kind
        self.text = text
        self.retryable = retryable
        self.fatal = fatal
        self.status = status
        """The HTTP status, when there was one."""
        self.retry_after = retry_after
        """Seconds that the server asked to wait."""


class Model(Protocol):
    """Whatever answers requests."""

    async def complete(self, request: Request) -> Reply:
        """The reply. Raises ``ModelError``."""

    async def close(self) -> None:
        """Gives back connections and files. Nothing is asked afterwards."""
