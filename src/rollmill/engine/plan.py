"""A configuration, checked whole, as the plan of a run: what is made, in what order, by which models.

Nothing is opened here. Every mistake is found before anything is asked, and all are told in one ``ConfigError``.
"""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

from rollmill.columns import Column, no_such
from rollmill.config import DataDesignerConfig
from rollmill.errors import ConfigError, RollmillError
from rollmill.models.providers import ModelConfig, ModelProvider, endpoint_of, sent_params
from rollmill.rows import ROW_SCHEMA_VERSION

PLAN_VERSION = 2
"""Part of every plan's hash: parts that an earlier version made otherwise are made anew."""

Policy = Callable[[str], str]
"""From an endpoint to the name of what is removed from messages before they go there; empty for nothing."""
Keys = Callable[[ModelProvider], ModelProvider]
"""From a provider to itself with its key. Raises ``RollmillError`` when there is none."""


@dataclass(frozen=True)
class PlannedModel:
    """A model that columns ask, with the provider it is at, and the redaction policy for what goes there."""

    config: ModelConfig
    provider: ModelProvider
    policy: str

    @property
    def alias(self) -> str:
        return self.config.alias


@dataclass(frozen=True)
class Plan:
    """What a run makes. ``waves`` are the columns in the order a row is filled: those of one wave need only earlier
    ones. ``needs`` names, for each column, the columns whose cells it uses."""

    config: DataDesignerConfig
    seed_columns: tuple[str, ...]
    waves: tuple[tuple[Column, ...], ...]
    needs: dict[str, frozenset[str]]
    models: dict[str, PlannedModel]
    hash: str

    @property
    def columns(self) -> tuple[Column, ...]:
        """The columns as they were given."""
        return self.config.columns


def make_plan(
    config: DataDesignerConfig,
    seed_columns: Sequence[str] | None,
    providers: Sequence[ModelProvider] = (),
    policy: Policy = lambda endpoint: "",
    keys: Keys = lambda provider: provider,
    mistakes: Iterable[str] = (),
) -> Plan:
    """The plan of a configuration. ``seed_columns`` None: not known, because the seed itself is wrong.

    Raises ``ConfigError`` with the given ``mistakes`` and every other one.
    """
    found = [*mistakes]
    found += _duplicates(config, seed_columns or ())
    models = _models(config, providers, policy, keys, found)
    found += _wrong_columns(config.columns, seed_columns)
    needs = _needs(config.columns)
    waves, cycle = _waves(config.columns, needs)
    if cycle:
        found.append(f"columns need each other: {' → '.join(f'`{name}`' for name in cycle)}; take one step out")
    if found:
        raise ConfigError(_told(list(dict.fromkeys(found))))
    return Plan(config, tuple(seed_columns or ()), waves, needs, models, _hash(config.columns, models))


def _told(mistakes: list[str]) -> str:
    if len(mistakes) == 1:
        return mistakes[0]
    return f"{len(mistakes)} mistakes in the configuration:\n" + "\n".join(f"- {each}" for each in mistakes)


def _duplicates(config: DataDesignerConfig, seed_columns: Sequence[str]) -> list[str]:
    if not config.columns:
        return ["there are no columns to make; add at least one"]
    made = Counter(name for column in config.columns for name in (column.name, *column.side_columns))
    mistakes = [
        f"{number} columns are called `{name}`; give each its own name" for name, number in made.items() if number > 1
    ]
    mistakes += [
        f"column `{name}` has the name of a seed column; choose another" for name in made if name in seed_columns
    ]
    aliases = Counter(model.alias for model in config.model_configs)
    return mistakes + [
        f"{n} models have the alias `{alias}`; give each its own" for alias, n in aliases.items() if n > 1
    ]


def _models(
    config: DataDesignerConfig, providers: Sequence[ModelProvider], policy: Policy, keys: Keys, mistakes: list[str]
) -> dict[str, PlannedModel]:
    """The models that columns use; what is wrong with them is added to ``mistakes``."""
    known = {model.alias: model for model in config.model_configs}
    asked = [(column.name, alias) for column in config.columns for alias in column.model_aliases]
    mistakes += [
        f"column `{column}` asks the model `{alias}`; {no_such(alias, known, 'model')}"
        for column, alias in asked
        if alias not in known
    ]
    planned: dict[str, PlannedModel] = {}
    wrong: dict[str | None, list[tuple[str, str]]] = {}
    for alias in dict.fromkeys(alias for _, alias in asked if alias in known):
        try:
            planned[alias] = _planned(known[alias], providers, policy, keys)
        except RollmillError as error:
            wrong.setdefault(known[alias].provider, []).append((alias, str(error)))
    mistakes += map(_told_once, wrong.values())
    return planned


def _planned(model: ModelConfig, providers: Sequence[ModelProvider], policy: Policy, keys: Keys) -> PlannedModel:
    """The model at its provider. Raises ``RollmillError`` when there is none, or no key."""
    provider = keys(endpoint_of(model, providers))
    provider.key()
    return PlannedModel(model, provider, policy(provider.endpoint))


def _told_once(models: list[tuple[str, str]]) -> str:
    """What is wrong with the provider of several models, in the words for the first."""
    (first, words), *others = models
    same = ", ".join(repr(alias) for alias, _ in others)
    return f"{words}; the same holds for {same}" if same and repr(first) in words else words


def _wrong_columns(columns: Sequence[Column], seed_columns: Sequence[str] | None) -> list[str]:
    """What is wrong with each column. Where the seed's columns are not known, it may have any that is used."""
    made = {name for column in columns for name in (column.name, *column.side_columns)}
    seed = {name for column in columns for name in column.required_columns} if seed_columns is None else seed_columns
    return [mistake for column in columns for mistake in column.check({*seed, *made})]


def _needs(columns: Sequence[Column]) -> dict[str, frozenset[str]]:
    """For each column, the columns it uses, a side column standing for the column it comes with."""
    owner = {name: column.name for column in columns for name in (column.name, *column.side_columns)}
    return {
        column.name: frozenset(owner[name] for name in column.required_columns if name in owner) - {column.name}
        for column in columns
    }


def _waves(
    columns: Sequence[Column], needs: dict[str, frozenset[str]]
) -> tuple[tuple[tuple[Column, ...], ...], list[str]]:
    """The columns in waves; or what is left of them as one cycle of names."""
    waves: list[tuple[Column, ...]] = []
    done: set[str] = set()
    left = list(columns)
    while left:
        wave = tuple(column for column in left if needs[column.name] <= done)
        if not wave:
            return (), _cycle(left, needs)
        waves.append(wave)
        done |= {column.name for column in wave}
        left = [column for column in left if column.name not in done]
    return tuple(waves), []


def _cycle(left: Sequence[Column], needs: dict[str, frozenset[str]]) -> list[str]:
    """One way through the columns that are left which comes back to where it began."""
    names = {column.name for column in left}
    way = [left[0].name]
    while True:
        following = min(needs[way[-1]] & names)
        if following in way:
            return [*way[way.index(following) :], following]
        way.append(following)


def _hash(columns: Sequence[Column], models: dict[str, PlannedModel]) -> str:
    """A hash of all that a row's cells follow from besides the row: never keys, timeouts or concurrency."""
    asked = {
        alias: [m.provider.endpoint, m.config.model, sent_params(m.config, m.provider), m.policy]
        for alias, m in models.items()
    }
    parts = [PLAN_VERSION, ROW_SCHEMA_VERSION, [column.identity() for column in columns], asked]
    return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()
