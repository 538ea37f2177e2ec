"""What replies cost, and the user's own table."""

from __future__ import annotations

from pathlib import Path

import pytest

from rollmill.errors import ConfigError
from rollmill.models import Usage
from rollmill.models.prices import Price, cost, prices

TABLE = {"toy": Price(input=2.0, cached=0.5, output=8.0)}


def test_cached_tokens_are_part_of_the_input() -> None:
    usage = Usage(input_tokens=1_000_000, cached_tokens=400_000, output_tokens=500_000, reasoning_tokens=100_000)
    assert cost(usage, "toy", TABLE) == pytest.approx(0.6 * 2 + 0.4 * 0.5 + 0.5 * 8)


def test_a_router_s_name_for_a_model_has_its_price_and_an_unknown_one_has_none() -> None:
    assert cost(Usage(input_tokens=1_000_000), "vendor/toy", TABLE) == 2.0
    assert cost(Usage(input_tokens=1_000_000), "toy-2", TABLE) is None


def test_the_user_s_table_is_over_the_listed_one(config: Path, tmp_path: Path) -> None:
    (config / "prices.yaml").write_text("gpt-4o: {input: 1, output: 2}\ntoy: {input: 3, cached: 1, output: 4}\n")
    assert prices()["toy"] == Price(3, 1, 4) and prices()["gpt-4o"] == Price(1, 1, 2) and "o3" in prices()
    (tmp_path / "mine.yaml").write_text("toy: {input: 5, output: 6}\n")
    assert prices(tmp_path / "mine.yaml")["toy"] == Price(5, 5, 6)


@pytest.mark.parametrize(
    "text", ["toy: 3", "- toy", "toy: {input: a, output: 1}", "toy: {input: -1, output: 1}", "toy: {in"]
)
def test_a_wrong_table_is_named(config: Path, text: str) -> None:
    (config / "prices.yaml").write_text(text)
    with pytest.raises(ConfigError, match=r"prices\.yaml"):
        prices()
