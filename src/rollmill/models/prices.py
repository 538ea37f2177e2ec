"""What replies cost: US dollars for a million tokens, by the model's name.

The table is a help, not a bill: providers change their prices. ``prices.yaml`` in the configuration folder, or a file
given by the user, adds to it or takes its place, model by model:

    qwen3-32b: {input: 0.10, cached: 0.05, output: 0.30}
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from msgspec import Struct

from rollmill.errors import ConfigError
from rollmill.models.providers import config_folder
from rollmill.models.types import Usage


class Price(Struct, frozen=True):
    """Dollars for a million tokens of input, of input from the provider's cache, of output (reasoning included)."""

    input: float
    cached: float
    output: float


Prices = Mapping[str, Price]

LISTED: dict[str, Price] = {
    "gpt-4.1": Price(2.0, 0.5, 8.0),
    "gpt-4.1-mini": Price(0.4, 0.1, 1.6),
    "gpt-4.1-nano": Price(0.1, 0.025, 0.4),
    "gpt-4o": Price(2.5, 1.25, 10.0),
    "gpt-4o-mini": Price(0.15, 0.075, 0.6),
    "gpt-5": Price(1.25, 0.125, 10.0),
    "gpt-5-mini": Price(0.25, 0.025, 2.0),
    "gpt-5-nano": Price(0.05, 0.005, 0.4),
    "o3": Price(2.0, 0.5, 8.0),
    "o4-mini": Price(1.1, 0.275, 4.4),
}
"""Prices as OpenAI listed them when this version was made."""


def prices(path: Path | None = None) -> dict[str, Price]:
    """The listed prices, with those of ``path`` or of the configuration folder's ``prices.yaml`` over them."""
    found = path or config_folder() / "prices.yaml"
    if path is None and not found.exists():
        return dict(LISTED)
    return LISTED | _read(found)


def cost(usage: Usage, model: str, table: Prices = LISTED) -> float | None:
    """Dollars for the tokens; None when the model's price is not known. ``vendor/model`` is looked up both ways."""
    price = table.get(model) or table.get(model.rpartition("/")[2])
    if price is None:
        return None
    fresh = max(0, usage.input_tokens - usage.cached_tokens)
    return (fresh * price.input + usage.cached_tokens * price.cached + usage.output_tokens * price.output) / 1e6


def _read(path: Path) -> dict[str, Price]:
    import yaml

    try:
        listed = yaml.safe_load(path.read_text(encoding="utf-8")) or {}
    except OSError as error:
        raise ConfigError(f"the price table {path} cannot be read: {error.strerror}") from error
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise ConfigError(f"the price table {path} is no YAML: {error}") from error
    if not isinstance(listed, dict):
        raise ConfigError(f"the price table {path} must map a model's name to input, cached and output prices")
    return {str(model): _price(fields, str(model), path) for model, fields in listed.items()}


def _price(fields: object, model: str, path: Path) -> Price:
    if not isinstance(fields, dict) or not {"input", "output"} <= fields.keys() <= {"input", "cached", "output"}:
        raise ConfigError(f"{path}: {model} must have input and output, and may have cached: dollars a million tokens")
    try:
        numbers = {name: float(value) for name, value in fields.items()}
    except (TypeError, ValueError):
        raise ConfigError(f"{path}: a price of {model} is no number") from None
    if not all(0 <= number < float("inf") for number in numbers.values()):
        raise ConfigError(f"{path}: a price of {model} is negative or endless")
    return Price(numbers["input"], numbers.get("cached", numbers["input"]), numbers["output"])
