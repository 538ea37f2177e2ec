"""What a run would ask and cost, from the manifest and a few rows, without asking anything.

The rows of a sample are filled for real, by a model that answers each request with a stand-in: text of a typical
length, or the smallest value of the schema. So conditions, branches and prompts count as they will be; what follows
from a model's words does not.
"""

from __future__ import annotations

import json
from itertools import islice
from typing import Any

from msgspec import Struct

from rollmill.columns._tokenizer import counted_by
from rollmill.columns.templates import tokens
from rollmill.engine.fill import BoundModel, Filler, Stop
from rollmill.engine.loops import run_async
from rollmill.engine.plan import Plan
from rollmill.engine.progress import Progress
from rollmill.engine.seedrows import Seed, SeedRow
from rollmill.models.budget import REPLY_TOKENS
from rollmill.models.prices import Prices, cost
from rollmill.models.types import Reply, Request, Usage

SAMPLE = 20


class Estimate(Struct):
    """What one column would ask of one model over all rows. ``cost`` is None when the model's price is not known."""

    column: str
    model: str
    calls: int
    input_tokens: int
    output_tokens: int
    cost: float | None


class Estimates(Struct):
    """Of every column, with what they follow from: ``files`` of the manifest (or rows), the rows they should give,
    and the rows that were looked at."""

    files: int
    rows: int
    sampled: int
    columns: list[Estimate]

    @property
    def cost(self) -> float | None:
        """Dollars for everything; None as soon as one model's price is not known."""
        costs = [each.cost for each in self.columns]
        return None if None in costs else sum(each for each in costs if each is not None)


def estimate(plan: Plan, seed: Seed, num_records: int | None, table: Prices, sample: int = SAMPLE) -> Estimates:
    """What the run would ask and cost. Tokens are counted by the configuration's tokenizer, else by estimate."""
    rows = list(islice(seed.rows(), sample))
    total = num_records if num_records is not None else _rows_in_all(seed, len(rows), sample)
    with counted_by(plan.config.tokenizer):
        progress = run_async(_filled(plan, rows))
    scale = total / max(len(rows), 1)
    found = []
    for (column, alias), usage in progress.usage.items():
        model = plan.models[alias].config.model
        each = Usage(int(usage.input_tokens * scale), 0, int(usage.output_tokens * scale))
        price = cost(each, model, table)
        found.append(Estimate(column, model, round(usage.calls * scale), each.input_tokens, each.output_tokens, price))
    return Estimates(seed.manifest_size(), total, len(rows), found)


def _rows_in_all(seed: Seed, given: int, sample: int) -> int:
    """How many rows there will be: what was seen when that was everything, else in the sample's proportion."""
    return given if given < sample else max(given, seed.expected(given))


async def _filled(plan: Plan, rows: list[SeedRow]) -> Progress:
    progress = Progress()
    bound = {
        alias: BoundModel(planned, _StandIn(planned.config.inference_parameters.max_tokens), None, lambda reply: None)
        for alias, planned in plan.models.items()
    }
    filler = Filler(plan, bound, progress, Stop())
    for row in rows:
        await filler.fill(row)
    return progress


class _StandIn:
    """A ``Model`` that answers at once."""

    def __init__(self, max_tokens: int | None) -> None:
        self._tokens = min(REPLY_TOKENS, max_tokens or REPLY_TOKENS)

    async def complete(self, request: Request) -> Reply:
        asked = sum(tokens(str(message.get("content") or "")) for message in request.messages)
        schema = tokens(json.dumps(request.schema)) if request.schema else 0
        text = json.dumps(smallest(request.schema)) if request.schema else "x"
        return Reply(text, "stop", Usage(asked + schema, 0, self._tokens))

    async def close(self) -> None:
        """Nothing is open."""


def smallest(schema: Any, root: Any = None, depth: int = 0) -> Any:
    """A small value that fits a JSON schema, as far as schemas of replies go."""
    root = schema if root is None else root
    if not isinstance(schema, dict) or depth > 20:
        return "x"
    if isinstance(reference := schema.get("$ref"), str):
        return smallest(_at(root, reference), root, depth + 1)
    for key in ("const", "default"):
        if key in schema:
            return schema[key]
    if schema.get("enum"):
        return schema["enum"][0]
    for key in ("anyOf", "oneOf", "allOf"):
        if schema.get(key):
            return smallest(schema[key][0], root, depth + 1)
    return _of_type(schema, root, depth)


def _of_type(schema: dict[str, Any], root: Any, depth: int) -> Any:
    kind = schema.get("type", "object" if "properties" in schema else "string")
    if isinstance(kind, list):
        kind = kind[0]
    if kind == "object":
        wanted = schema.get("properties", {})
        return {name: smallest(each, root, depth + 1) for name, each in wanted.items()}
    if kind == "array":
        return [smallest(schema.get("items", {}), root, depth + 1)] * max(1, schema.get("minItems", 1))
    numbers = {"integer": schema.get("minimum", 0), "number": schema.get("minimum", 0.0), "boolean": True, "null": None}
    return numbers[kind] if kind in numbers else "x" * max(1, schema.get("minLength", 1))


def _at(root: Any, reference: str) -> Any:
    for name in reference.removeprefix("#/").split("/"):
        root = root.get(name, {}) if isinstance(root, dict) else {}
    return root
