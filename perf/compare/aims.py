"""What was aimed at."""
from figures import p50_us, ratios
from harness.aims import Aim, verdict


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


def verdicts(samples):
    return [verdict(aim, samples) for aim in AIMS]
