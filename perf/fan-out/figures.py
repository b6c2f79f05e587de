"""From samples to figures, and ratios of samples of the same round. No input, no output."""
KIB = 1024


class Samples:
    """The samples by job, server and round. One without figures is in `all` alone."""

    def __init__(self, records):
        self.all = [record for record in records if record["record"] == "sample"]
        self.good = [sample for sample in self.all if sample["figures"]]
        self.by_place = {(sample["job"], sample["server"], sample["round"]): sample["figures"] for sample in self.good}
        self.rounds = sorted({sample["round"] for sample in self.all})

    def of(self, job, server):
        return [sample["figures"] for sample in self.good if (sample["job"], sample["server"]) == (job, server)]

    def get(self, job, server, number):
        return self.by_place.get((job, server, number))

    def servers(self, job):
        return {sample["server"] for sample in self.all if sample["job"] == job}


def named(name):
    """A figure as the driver names it."""
    return lambda figures: figures[name]


def share_taken(figures):
    """Of the updates that were due, how many were taken."""
    return figures["updates_taken"] / figures["updates_due"] if figures["updates_due"] else None


def server_cpu_us_per_response(figures):
    each, deliveries = figures["server_cpu_us_per_delivery"], figures["deliveries_per_response"]
    return each * deliveries if each is not None and deliveries is not None else None


def kib_per_follower(figures):
    return figures["server_bytes_per_follower"] / KIB if figures["server_bytes_per_follower"] is not None else None


def ratios(samples, of, to, figure):
    """`figure` of the one to that of the other, in each round where both have it. `of` and `to` are each a (job, server)."""
    found = []
    for number in samples.rounds:
        one, other = samples.get(*of, number), samples.get(*to, number)
        if one and other and figure(one) is not None and figure(other):
            found.append(figure(one) / figure(other))
    return found
