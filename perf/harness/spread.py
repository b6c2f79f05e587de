"""Minimum, median, maximum."""
from dataclasses import dataclass
from statistics import median


@dataclass(frozen=True)
class Spread:
    low: float
    middle: float
    high: float
    count: int


def spread(values):
    """None of nothing."""
    values = [value for value in values if value is not None]
    return Spread(min(values), median(values), max(values), len(values)) if values else None
