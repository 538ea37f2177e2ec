"""What a run folder has cost so far, and what a run in it may still spend."""

from __future__ import annotations

from pathlib import Path

from rollmill.engine.plan import Plan
from rollmill.engine.progress import Usage as Counted
from rollmill.engine.progress import UsageBy, total_of
from rollmill.errors import ConfigError
from rollmill.models.budget import Budget
from rollmill.models.prices import Prices, cost
from rollmill.models.spent import spent
from rollmill.models.types import Usage


def usage_before(plan: Plan, journal: Path, table: Prices) -> UsageBy:
    """What earlier runs asked, by column and model: under its alias where the plan has that model for that column,
    else by its name. Every reply in the journal counts, at today's prices."""
    aliases = {
        (column.name, plan.models[alias].config.model): alias
        for column in plan.columns
        for alias in column.model_aliases
    }
    found: UsageBy = {}
    for (column, model), each in spent(journal).items():
        tokens = each.usage
        found[column, aliases.get((column, model), model)] = Counted(
            each.calls, 0, 0, tokens.input_tokens, tokens.cached_tokens, tokens.output_tokens, tokens.reasoning_tokens,
            cost(tokens, model, table),
        )  # fmt: skip
    return found


def budget_of(plan: Plan, max_cost: float | None, table: Prices, before: UsageBy) -> Budget | None:
    """What is left of ``max_cost`` after the earlier runs; None for no bound. Raises ``ConfigError`` when a model has
    no price."""
    if max_cost is None:
        return None
    unknown = sorted({m.config.model for m in plan.models.values() if cost(Usage(), m.config.model, table) is None})
    if unknown:
        raise ConfigError(
            f"a budget needs prices, and none is known for {', '.join(unknown)}; put them into prices.yaml "
            f"(dollars for a million tokens: `{unknown[0]}: {{input: 0.1, output: 0.4}}`)"
        )
    return Budget(max_cost, table, total_of(before.values()).cost or 0.0)
