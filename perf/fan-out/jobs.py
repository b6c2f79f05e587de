"""What is measured: each job, and which servers do it."""
from dataclasses import dataclass

# Bytes of a message for nchan: an answer of this server with one event in it has as many.
MESSAGE_BYTES = 350
# At few updates a second it is published for so long at least, or there would be no figure.
FEW_SECONDS = 8
FEW_PER_SECOND = 0.5
# For the jobs that do not vary it.
RATE = 100


@dataclass(frozen=True)
class Subject:
    """A server, and how it is followed."""
    name: str
    server: str
    title: str
    # As the driver names it.
    protocol: str
    # A peer may fall behind; what it does then is a figure, not a failure.
    is_peer: bool = False


def ours(protocol):
    return (Subject("this", "this", "central-inventory", protocol), Subject("before", "before", "central-inventory before", protocol))


# All messages that are there in one answer, as this server does it.
NCHAN_PAGES = Subject("nchan", "nchan", "nchan", "nchan-pages", is_peer=True)
# What nchan does unless told otherwise.
NCHAN_SINGLE = Subject("nchan-single", "nchan", "nchan, a message an answer", "nchan-poll", is_peer=True)
NCHAN_STREAM = Subject("nchan", "nchan", "nchan", "nchan-stream", is_peer=True)
POLLS = (*ours("inventory-poll"), NCHAN_PAGES)
STREAMS = (*ours("inventory-stream"), NCHAN_STREAM)


@dataclass(frozen=True)
class Job:
    name: str
    title: str
    followers: int
    # Updates a second.
    rate: float
    subjects: tuple
    # Jobs of the same group are compared with each other, and measured together.
    group: str
    seconds_min: int = 0

    @property
    def connections(self):
        """As many as there are updates in a second: an update that waits for a second behind its fleet holds none of the others back."""
        return max(4, int(self.rate))


@dataclass(frozen=True)
class Measurement:
    job: Job
    subject: Subject

    def __str__(self):
        return f"{self.job.name}/{self.subject.name}"


def jobs(polls, streams, many, rates):
    """By name. `polls`, `streams` and `many` are numbers of followers, `rates` those of the jobs that look for saturation."""
    found = [
        Job("alone", f"{RATE} updates a second, nobody follows", 0, RATE, POLLS, "fleet"),
        Job("polls", f"{RATE} updates a second, {polls:,} waiting polls", polls, RATE, (*POLLS, NCHAN_SINGLE), "fleet"),
        Job("streams", f"{RATE} updates a second, {streams:,} streams", streams, RATE, STREAMS, "fleet"),
        *[Job(f"polls-{rate}", f"{rate} updates a second, {polls:,} waiting polls", polls, rate, POLLS, "saturation")
          for rate in rates if rate != RATE],
        Job("many", f"Few updates, {many:,} waiting polls", many, FEW_PER_SECOND, POLLS, "many", FEW_SECONDS)]
    return {job.name: job for job in found}


def measurements(of, only, servers):
    """Those whose job or server is named in `only`, or all, of servers that are there."""
    names = {subject.name for job in of.values() for subject in job.subjects}
    if unknown := set(only) - set(of) - names:
        raise ValueError(f"neither a job nor a server: {', '.join(sorted(unknown))}")
    chosen_jobs = set(only) & set(of) or set(of)
    chosen = set(only) & names or names
    return [Measurement(job, subject) for job in of.values() if job.name in chosen_jobs
            for subject in job.subjects if subject.name in chosen and subject.server in servers]
