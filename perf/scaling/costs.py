"""What each role costs, from what was measured by `perf/roles`; of a report without acceptors, theirs is what is left of the whole
server's CPU time beside the others (`perf/compare`)."""
import json
import statistics

from model import Costs

# Cases of `roles` by role and kind.
CASES = {"shard": {"update": "shard-updates-250k", "read": "shard-reads"}, "sequencer": {"update": "sequencer"},
         "acceptor": {"update": "acceptor-updates", "read": "acceptor-reads"}}
# Where the costs of acceptors come from, in words.
ALONE = "measured alone (`roles`)"
LEFT_OVER = "what is left of the whole server's CPU time, kernel and disk included"
# Jobs of `perf/compare` by kind.
JOBS = {"update": "updates", "read": "reads"}


def from_measurements(roles, server_us=None, **assumptions):
    """`roles` is the report of `roles`; `server_us` the CPU time of the whole server for a request of each kind. Returns the costs
    and, in words, where those of acceptors come from."""
    us = {role: {kind: roles["roles"][case]["cpuUs"]["median"] for kind, case in kinds.items() if case in roles["roles"]} for role, kinds in CASES.items()}
    if set(us["acceptor"]) == set(CASES["acceptor"]):
        return Costs(us, **assumptions), ALONE
    if not server_us:
        raise ValueError("there is no figure of an acceptor alone: name samples of perf/compare, or give the server's CPU time for a request")
    for kind, whole in server_us.items():
        rest = whole - us["shard"].get(kind, 0) - us["sequencer"].get(kind, 0)
        if rest <= 0:
            raise ValueError(f"shard and sequencer cost more for one {kind} than the whole server: the figures are of different machines")
        us["acceptor"].setdefault(kind, rest)
    return Costs(us, **assumptions), LEFT_OVER


def of_server(samples_path):
    """Medians over the samples of perf/compare, in microseconds."""
    found = {kind: [] for kind in JOBS}
    with open(samples_path) as lines:
        for line in lines:
            sample = json.loads(line)
            for kind, job in JOBS.items():
                if sample.get("record") == "sample" and sample["job"] == job and sample["server"] == "this" and not sample["problem"]:
                    found[kind].append(cpu_us(sample))
    missing = [JOBS[kind] for kind, values in found.items() if not values]
    if missing:
        raise ValueError(f"{samples_path}: no samples of {', '.join(missing)}")
    return {kind: statistics.median(values) for kind, values in found.items()}


def cpu_us(sample):
    return sample["server_cpu_seconds"] / sample["operations"] * 1e6
