"""What is measured: each job, and which servers do it."""
from dataclasses import dataclass

from harness.server import PRODUCTS

ITEMS_PER_BATCH = 100


@dataclass(frozen=True)
class Job:
    name: str
    title: str
    # update, read or batch.
    kind: str
    servers: tuple
    # None: as many as --connections says.
    connections: int | None = None
    products: int = PRODUCTS
    # Another job that it is compared with.
    beside: str = ""

    @property
    def group(self):
        return self.beside or self.name

    @property
    def operations_per_request(self):
        return ITEMS_PER_BATCH if self.kind == "batch" else 1


STORES = ("this", "redis", "postgresql")

JOBS = {job.name: job for job in [
    Job("updates", "Durable updates, 1,000 products", "update", (*STORES, "constant", "socket")),
    Job("updates-64", "Durable updates, 1,000 products", "update", (*STORES, "constant"), connections=64),
    Job("hot", "Durable updates, one product", "update", ("this",), connections=64, products=1, beside="updates-64"),
    # The server's lanes have 500 slots, and an item of a batch takes one.
    Job("batches", "Durable updates in batches of 100", "batch", ("this",), connections=16, beside="updates"),
    Job("reads", "Reads of one product", "read", ("this", "constant", "socket")),
    Job("alone", "One durable update after the other", "update", (*STORES, "constant", "disk"), connections=1),
]}


@dataclass(frozen=True)
class Measurement:
    job: Job
    server: str
    connections: int

    def __str__(self):
        return f"{self.job.name}/{self.server}"


def measurements(only, connections):
    """Those whose job or server is named in `only`, or all."""
    unknown = set(only) - set(JOBS) - {server for job in JOBS.values() for server in job.servers}
    if unknown:
        raise ValueError(f"neither a job nor a server: {', '.join(sorted(unknown))}")
    jobs = set(only) & set(JOBS) or set(JOBS)
    servers = set(only) - set(JOBS)
    return [Measurement(job, server, job.connections or connections)
            for job in JOBS.values() if job.name in jobs
            for server in job.servers if not servers or server in servers]
