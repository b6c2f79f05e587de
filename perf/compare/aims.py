"""What was aimed at, and whether it was reached: of each aim, the median over the rounds counts."""
from collections.abc import Callable
from dataclasses import dataclass

from figures import Samples, Spread, p50_us, ratios, spread


@dataclass(frozen=True)
class Aim:
    title: str
    target: float
    values: Callable[[Samples], list]
    at_most: bool = False


def rate_ratio(of, to):
    return lambda samples: ratios(samples, of, to)


def alone(samples):
    """Latency of an update with nothing else going on, to what cannot be saved of it: the disk's part and the protocol's."""
    found = []
    for number in samples.rounds:
        parts = [samples.get("alone", server, number) for server in ("this", "disk", "constant")]
        if all(parts):
            this, disk, constant = map(p50_us, parts)
            found.append(this / (disk + constant))
    return found


AIMS = [
    Aim("updates: rate to the hyper constant's", 0.75, rate_ratio(("updates", "this"), ("updates", "constant"))),
    Aim("updates: rate to that of Redis", 2.5, rate_ratio(("updates", "this"), ("updates", "redis"))),
    Aim("updates: rate to that of PostgreSQL", 8.0, rate_ratio(("updates", "this"), ("updates", "postgresql"))),
    Aim("reads of one product: rate to the hyper constant's", 0.93, rate_ratio(("reads", "this"), ("reads", "constant"))),
    Aim("batches of 100: updates/s to those of single updates", 12.0, rate_ratio(("batches", "this"), ("updates", "this"))),
    Aim("one connection: p50 to a bare write and sync plus the hyper constant's p50", 1.5, alone, at_most=True),
    Aim("one hot product, 64 connections: rate to that over 1,000 products", 0.9, rate_ratio(("hot", "this"), ("updates-64", "this"))),
]


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


def verdicts(samples):
    return [verdict(aim, samples) for aim in AIMS]


def verdict(aim, samples):
    values = aim.values(samples)
    return Verdict(aim, spread(values), sum(reaches(aim, value) for value in values))
