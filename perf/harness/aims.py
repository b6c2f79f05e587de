"""What was aimed at, and whether it was reached: of each aim, the median over the rounds counts."""
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from .markdown import ratio_text, spread_text, table
from .spread import Spread, spread


@dataclass(frozen=True)
class Aim:
    title: str
    target: float
    values: Callable[[Any], list]
    at_most: bool = False


@dataclass(frozen=True)
class Verdict:
    aim: Aim
    spread: Spread | None
    rounds_met: int = 0

    @property
    def is_met(self):
        return self.spread is not None and reaches(self.aim, self.spread.middle)

    @property
    def text(self):
        if self.spread is None:
            return "not measured"
        return "met" if self.is_met else f"not met: {abs(self.spread.middle / self.aim.target - 1):.0%} {'above' if self.aim.at_most else 'below'}"


def reaches(aim, value):
    return value <= aim.target if aim.at_most else value >= aim.target


def verdict(aim, samples):
    values = aim.values(samples)
    return Verdict(aim, spread(values), sum(reaches(aim, value) for value in values))


def aims_table(verdicts):
    rows = [["aim", "target", "measured", "", "rounds that met it"]]
    for verdict in verdicts:
        aim = verdict.aim
        rows.append([aim.title, f"{'at most' if aim.at_most else 'at least'} {aim.target:g}",
                     spread_text(verdict.spread, ratio_text), f"**{verdict.text}**",
                     f"{verdict.rounds_met} of {verdict.spread.count}" if verdict.spread else ""])
    return "## Aims\n\n" + table(rows)


def say_verdict(verdict):
    measured = f"{verdict.spread.low:.2f} {verdict.spread.middle:.2f} {verdict.spread.high:.2f}" if verdict.spread else "-"
    print(f"{verdict.aim.title}: {'at most' if verdict.aim.at_most else 'at least'} {verdict.aim.target:g}, measured {measured}: {verdict.text}")
