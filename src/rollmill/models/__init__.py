"""Models behind an HTTP endpoint: what is asked and answered, how many at once, and kept for good.

``open_model`` puts them together, and this is the way of a request:

    Journaled      is the reply on the disk already? else asks, and keeps the answer before it hands it on
    Gate           waits for a place, tries again, notices when an endpoint is gone
    Budgeted       is there money left for it? only where a budget was given
    OpenAICompatible    one HTTP request
"""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING
from weakref import WeakKeyDictionary

from msgspec import Struct

from rollmill.models.gate import PATIENCE, Gate, OnWait, Waiting
from rollmill.models.providers import (
    ChatCompletionInferenceParams,
    ModelConfig,
    ModelProvider,
    endpoint_of,
    sent_params,
)
from rollmill.models.types import Model, ModelError, Reply, Request, Usage

if TYPE_CHECKING:
    from rollmill.models.budget import Budget
    from rollmill.models.journal import Journal

__all__ = [
    "ChatCompletionInferenceParams",
    "Gate",
    "Model",
    "ModelConfig",
    "ModelError",
    "ModelProvider",
    "OnWait",
    "OpenedModel",
    "Reply",
    "Request",
    "Usage",
    "Waiting",
    "endpoint_of",
    "open_model",
    "sent_params",
]


class _Endpoint(Struct, eq=False):
    """One opened endpoint and how many models use it; the last one closes it."""

    gate: Gate
    users: int = 0


_opened: WeakKeyDictionary[asyncio.AbstractEventLoop, dict[str, _Endpoint]] = WeakKeyDictionary()
"""The endpoints of each running event loop, so that all models of one endpoint share its gate and its connections."""


class OpenedModel:
    """A ``Model`` that is ready to ask. ``gate`` is its endpoint's, with limit, flight and refusals for progress."""

    def __init__(self, model: Model, gate: Gate, places: int | None, release: str) -> None:
        self.gate = gate
        self._model = model
        self._places = places
        self._own = asyncio.Semaphore(places) if places else None
        self._release: str | None = release

    async def complete(self, request: Request) -> Reply:
        """The reply. Raises ``ModelError``."""
        if self._own is None or self._places == self.gate.ceiling:
            return await self._model.complete(request)
        async with self._own:  # a model with fewer places than others of its endpoint
            return await self._model.complete(request)

    async def close(self) -> None:
        """Closes the endpoint's connections when no other model uses them. The journal stays open."""
        name, self._release = self._release, None
        opened = _opened.get(asyncio.get_running_loop(), {})
        if name is None or name not in opened:
            return
        opened[name].users -= 1
        if not opened[name].users:
            await opened.pop(name).gate.close()


def open_model(
    config: ModelConfig,
    provider: ModelProvider,
    journal: Journal | None = None,
    *,
    on_wait: OnWait | None = None,
    patience: float = PATIENCE,
    budget: Budget | None = None,
    environ: Mapping[str, str] | None = None,
) -> OpenedModel:
    """The model, ready to ask; nothing is sent yet. To be called in the event loop that will use it.

    ``on_wait`` is told, once a second, about an endpoint that gives nothing; ``patience`` is how long that may last.
    ``budget`` is what this model may spend, together with all others that got the same one. Raises ``ConfigError``
    when the key's variable is not set.
    """
    from rollmill.models.journal import Journaled

    name, endpoint = _endpoint(config, provider, on_wait, patience, budget, environ)
    endpoint.users += 1
    if config.skip_health_check:
        endpoint.gate.leave_unchecked(config.model)
    gate = endpoint.gate
    model = gate if journal is None else Journaled(gate, journal, gate.answered_before)
    return OpenedModel(model, gate, config.inference_parameters.max_parallel_requests, name)


def _endpoint(
    config: ModelConfig,
    provider: ModelProvider,
    on_wait: OnWait | None,
    patience: float,
    budget: Budget | None,
    environ: Mapping[str, str] | None,
) -> tuple[str, _Endpoint]:
    ceiling = config.inference_parameters.max_parallel_requests
    opened = _opened.setdefault(asyncio.get_running_loop(), {})
    key = provider.key(environ)
    name = _same(
        [provider.endpoint, key or "", str(id(budget)), *map(repr, sorted((provider.extra_headers or {}).items()))]
    )
    if name not in opened:
        opened[name] = _Endpoint(Gate(_client(provider, key, budget), ceiling, on_wait=on_wait, patience=patience))
    else:
        opened[name].gate.make_room(ceiling)
    return name, opened[name]


def _same(parts: Sequence[str]) -> str:
    """A name for an endpoint as one account and budget see it, without the key in it."""
    return hashlib.sha256("\0".join(parts).encode()).hexdigest()


def _client(provider: ModelProvider, key: str | None, budget: Budget | None) -> Model:
    from rollmill.models.budget import Budgeted
    from rollmill.models.client import OpenAICompatible

    named = f"the key in ${provider.key_variable}" if provider.key_variable else None
    client = OpenAICompatible(provider.endpoint, key, provider.extra_headers, named)
    return client if budget is None else Budgeted(client, budget)
