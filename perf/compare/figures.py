"""From samples to figures, and ratios of samples of the same round. No input, no output."""
from jobs import JOBS


class Samples:
    """The samples that are worth something, by job, server and round."""

    def __init__(self, records):
        self.all = [record for record in records if record["record"] == "sample"]
        self.good = [sample for sample in self.all if not sample["problem"] and sample["operations"]]
        self.by_place = {(sample["job"], sample["server"], sample["round"]): sample for sample in self.good}
        self.rounds = sorted({sample["round"] for sample in self.all})

    def of(self, job, server):
        return [sample for sample in self.good if (sample["job"], sample["server"]) == (job, server)]

    def get(self, job, server, number):
        return self.by_place.get((job, server, number))

    def places(self):
        """Each job and server that was measured, in an order that does not change from run to run."""
        met = {(sample["job"], sample["server"]) for sample in self.all}
        return [(job.name, server) for job in JOBS.values() for server in job.servers if (job.name, server) in met]


def rate(sample):
    return sample["rate"]


def p50_us(sample):
    return sample["p50_us"]


def server_cpu_us(sample):
    return sample["server_cpu_seconds"] / sample["operations"] * 1e6


def driver_cpu_us(sample):
    return sample["driver_cpu_seconds"] / sample["operations"] * 1e6


def driver_share(sample):
    """Of one CPU."""
    return sample["driver_cpu_seconds"] / sample["seconds"]


def ratios(samples, of, to, figure=rate):
    """`figure` of the one to that of the other, in each round that has both. `of` and `to` are each a (job, server)."""
    return [figure(samples.get(*of, number)) / figure(samples.get(*to, number))
            for number in samples.rounds if samples.get(*of, number) and samples.get(*to, number)]
