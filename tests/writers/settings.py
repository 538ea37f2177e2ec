"""How many examples a property is tried on."""

from __future__ import annotations

import os

from hypothesis import HealthCheck, Phase, settings

FACTOR = int(os.environ.get("ROLLMILL_EXAMPLES", "1"))
"""How many times the usual number of examples; from 2 on they are new ones in every run."""
SHRINK = os.environ.get("ROLLMILL_SHRINK", "") == "1"
"""Whether a failing example is made smaller, which takes minutes with whole logs."""


def examples(number: int) -> settings:
    """That many examples, the same ones in every run."""
    return settings(
        max_examples=number * FACTOR,
        deadline=None,
        derandomize=FACTOR == 1,
        database=None,
        print_blob=False,
        phases=[Phase.explicit, Phase.generate] + ([Phase.shrink] if SHRINK else []),
        suppress_health_check=list(HealthCheck),
    )
