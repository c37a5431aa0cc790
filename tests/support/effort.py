"""How many cases of chance and how many moments of a kill the tests try.

The gate (`make test`) tries a fixed share of them, the same in every run. `make test-thorough`,
which sets `TEST_EFFORT=thorough`, tries all.
"""

import os
from collections.abc import Sequence
from itertools import product
from typing import Any, Final, TypeVar

Point = TypeVar("Point")

THOROUGH: Final = os.environ.get("TEST_EFFORT", "gate") == "thorough"


def examples(gate: int, thorough: int) -> int:
    """Return how many examples Hypothesis draws."""
    return thorough if THOROUGH else gate


def share(points: Sequence[Point], every: int) -> list[Point]:
    """Return the first point and every so-manieth after it; all of them if thorough."""
    return list(points if THOROUGH else points[::every])


def combined(every: int, *values: Sequence[Any]) -> list[tuple[Any, ...]]:
    """Return a share of all combinations; each value is in one of them."""
    points = share(list(product(*values)), every)
    for place, expected in enumerate(values):
        assert {point[place] for point in points} == set(expected), "another `every` is needed"
    return points
