"""The rounds: in each, every measurement once, in an order of its own, with one server awake at a time."""
import random
import sys
import time

from checks import check_job, miscount, settled_events
from drivers import DRIVERS
from servers import SERVERS

WARM_SECONDS = 1
# Of the drivers' CPU: beyond it, the driver may be what was measured.
DRIVER_SHARE_MAX = 0.9


class Rounds:
    """Starts the servers that `measurements` need, and yields records: facts of each server, then samples."""

    def __init__(self, measurements, place, options):
        self.measurements, self.place, self.options = measurements, place, options
        self.servers = {}

    def __enter__(self):
        return self

    def __exit__(self, *_):
        for server in self.servers.values():
            server.stop()

    def records(self):
        yield from self.started()
        for number in range(1, self.options.rounds + 1):
            for measurement in order(self.measurements, number):
                yield {"record": "sample", "round": number, **self.sample(measurement)}

    def started(self):
        """One after the other, so that none disturbs another's start."""
        for name in dict.fromkeys(measurement.server for measurement in self.measurements):
            say(f"{name}: start, prepare, check")
            server = self.servers[name] = SERVERS[name](self.place)
            server.start()
            server.prepare()
            yield {"record": "server", "server": name, "title": server.title, "version": server.version(),
                   **({"check": check_job(server)} if server.is_store else {})}
            server.pause()

    def sample(self, measurement):
        """One turn of one server: awake, warm, measured, counted, asleep."""
        server = self.servers[measurement.server]
        server.resume()
        try:
            appended = settled_events(server) if server.is_store else 0
            warm = self.drive(server, measurement, min(WARM_SECONDS, self.options.seconds))
            before = settled_events(server) if server.is_store else 0
            load = self.drive(server, measurement, self.options.seconds)
            problem = ""
            if server.is_store and measurement.job.kind != "read":
                problem = miscount(warm, before - appended) or miscount(load, settled_events(server) - before)
        finally:
            server.pause()
        sample = {"job": measurement.job.name, "server": measurement.server, "connections": measurement.connections,
                  **load.as_json(), "problem": problem}
        say(f"{measurement}: {load.rate:,.0f}/s, p50 {load.p50_us:,.0f} us{', ' + problem if problem else ''}")
        return sample

    def drive(self, server, measurement, seconds):
        return DRIVERS[measurement.server](server, measurement, seconds, self.options.client_cpu)

def order(measurements, number):
    """Shuffled, the same way whenever it is run, so that no measurement always follows the same other one. What is compared
    with each other stays together, so that the machine's moods meet both."""
    groups = {}
    for measurement in measurements:
        groups.setdefault(measurement.job.group, []).append(measurement)
    chance, groups = random.Random(number), list(groups.values())
    chance.shuffle(groups)
    for group in groups:
        chance.shuffle(group)
    return [measurement for group in groups for measurement in group]


def say(text):
    print(f"{time.strftime('%H:%M:%S')} {text}", file=sys.stderr, flush=True)
