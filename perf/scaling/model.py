"""Throughput against cores, from what each role costs a request. Pure: no files, no clock.

A core of an acceptor, a shard or the sequencer does at most headroom / cost requests a second. Acceptors and shards are as many as
wanted, the sequencer is one. The plan that carries most is the one whose scarcest role is least scarce.
"""
from dataclasses import dataclass

ROLES = ["acceptor", "shard", "sequencer"]
KINDS = ["update", "read"]
# As `src/plan/layout.rs`: from here on every role has CPUs of its own, and of so many CPUs one at most runs shards.
CPUS_LARGE = 8
CPUS_PER_SHARD_CPU = 8
DEFAULT_SHARDS = 4


@dataclass(frozen=True)
class Costs:
    """CPU time of each role for a request of each kind, in microseconds: {role: {kind: us}}."""
    us: dict
    # Of all updates, those of the one product that most are about: it has one shard.
    hot_share: float = 0.0
    # Of its time, what a core is to be busy at most: beyond, requests queue.
    headroom: float = 0.9
    # Of its time, what a core loses for each further core: memory, caches and the kernel's own locks. Not measured on two cores.
    loss_per_core: float = 0.0

    def of(self, role, mix):
        return sum(share * self.us[role].get(kind, 0.0) for kind, share in mix.items())


@dataclass(frozen=True)
class Plan:
    """Cores by role. Folded: acceptors and shards share the same cores, and `shards` counts them again."""
    acceptors: int
    shards: int
    folded: bool = False
    # Whether the sequencer shares a core with others.
    sequencer_shares: bool = False

    @property
    def cores(self):
        return self.acceptors + (0 if self.folded else self.shards) + (0 if self.sequencer_shares else 1)

    def __str__(self):
        sequencer = "the sequencer on one of them" if self.sequencer_shares else "the sequencer on its own"
        if self.folded:
            return f"{self.acceptors} with an acceptor and shards each, {sequencer}"
        return f"{self.acceptors} acceptors, {self.shards} shards, {sequencer}"


@dataclass(frozen=True)
class Estimate:
    plan: Plan
    # Requests a second.
    rate: float
    # The role without which there would be more.
    limit: str


def skew(costs, shards):
    """How much more the busiest shard has to do than an even share, because of the hot product."""
    return 1 + costs.hot_share * (shards - 1)


def estimate(costs, mix, plan):
    acceptor, shard, sequencer = (costs.of(role, mix) / 1e6 for role in ROLES)
    room = costs.headroom / (1 + costs.loss_per_core * (plan.cores - 1))
    shard_share = shard * skew(costs, plan.shards) / plan.shards
    if plan.folded:
        each = acceptor / plan.acceptors + shard_share
        if plan.sequencer_shares:
            return Estimate(plan, room / (each + sequencer), "the core with the sequencer")
        rates = {"sequencer": most(room, sequencer), "acceptors and shards": room / each}
    else:
        rates = {"sequencer": most(room, sequencer), "acceptors": room * plan.acceptors / acceptor, "shards": most(room, shard_share)}
    limit = min(rates, key=rates.get)
    return Estimate(plan, rates[limit], limit)


def most(room, seconds):
    """A role that a request does not need limits nothing."""
    return room / seconds if seconds > 0 else float("inf")


def plans(cores):
    yield Plan(cores, cores, folded=True, sequencer_shares=True)
    if cores >= 2:
        yield Plan(cores - 1, cores - 1, folded=True)
    for shards in range(1, cores - 1):
        yield Plan(cores - 1 - shards, shards)


def best(costs, mix, cores):
    """Of those that carry as much, the first: fewer shards, since acceptors need not be counted out."""
    return max((estimate(costs, mix, plan) for plan in plans(cores)), key=lambda found: found.rate)


def best_apart(costs, mix, cores):
    """The best where each role has cores of its own; none on fewer than three."""
    apart = [estimate(costs, mix, plan) for plan in plans(cores) if not plan.folded]
    return max(apart, key=lambda found: found.rate, default=None)


def default_plan(cores, shards=DEFAULT_SHARDS):
    """What the server does by itself (`central-inventory plan`)."""
    if cores <= 2:
        return Plan(cores, min(cores, shards), folded=True, sequencer_shares=True)
    if cores < CPUS_LARGE:
        return Plan(cores - 1, min(cores - 1, shards), folded=True)
    shard_cores = min(shards, cores // CPUS_PER_SHARD_CPU)
    return Plan(cores - 1 - shard_cores, shard_cores)


def sequencer_limit(costs, mix, cores_max=1024):
    """The fewest cores on which the best plan is held up by the sequencer, and the rate there; none if that never comes."""
    if costs.of("sequencer", mix) <= 0:
        return None
    for cores in range(1, cores_max + 1):
        found = best(costs, mix, cores)
        if found.limit == "sequencer":
            return cores, found.rate
    return None


def validated(costs, mixes):
    """Raises ValueError for what makes no sense."""
    for role in ROLES:
        for kind, us in costs.us[role].items():
            if kind not in KINDS or not us >= 0:
                raise ValueError(f"{role}, {kind}: {us} us is no cost")
    for name, mix in mixes.items():
        if abs(sum(mix.values()) - 1) > 1e-9 or set(mix) - set(KINDS):
            raise ValueError(f"the mix {name} is not made of {KINDS} with shares that sum to 1")
        if not costs.of("acceptor", mix) > 0 or not costs.of("shard", mix) > 0:
            raise ValueError(f"the mix {name} costs an acceptor or a shard nothing: a figure is missing")
    if not 0 < costs.headroom <= 1 or costs.loss_per_core < 0 or not 0 <= costs.hot_share <= 1:
        raise ValueError("headroom is above 0 and at most 1, the loss is not negative, the hot share is from 0 to 1")
    return costs
