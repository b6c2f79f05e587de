"""The rounds: in each, every measurement once, in an order of its own, with one server awake at a time."""
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory

from checks import check_job, miscount, settled_events
from drivers import DRIVERS
from harness.machine import DIRECTORY_MODE
from harness.turns import order, say
from servers import SERVERS

WARM_SECONDS = 2
# Of the drivers' CPU: beyond it, the driver may be what was measured.
DRIVER_SHARE_MAX = 0.9


class Rounds:
    """Yields records: in each round one of every server, then one of every sample."""

    def __init__(self, measurements, place, options):
        self.measurements, self.place, self.options = measurements, place, options
        self.servers = {}

    def records(self):
        for number in range(1, self.options.rounds + 1):
            for record in self.round(number):
                yield {"record": record.pop("record"), "round": number, **record}

    def round(self, number):
        """With servers and data of its own, so that no round meets what an earlier one has left behind."""
        with ExitStack() as stack:
            directory = Path(stack.enter_context(TemporaryDirectory(prefix="round-", dir=self.place.directory)))
            directory.chmod(DIRECTORY_MODE)
            yield from self.started(replace(self.place, directory=directory), stack)
            for measurement in order(self.measurements, number):
                yield {"record": "sample", **self.sample(measurement)}

    def started(self, place, stack):
        """One after the other, so that none disturbs another's start."""
        for name in dict.fromkeys(measurement.server for measurement in self.measurements):
            say(f"{name}: start, prepare, check")
            server = self.servers[name] = SERVERS[name](place)
            stack.callback(server.stop)
            server.start()
            server.prepare()
            yield {"record": "server", "server": name, "title": server.title, "version": server.version(),
                   **({"check": check_job(server)} if server.is_store else {})}
            server.pause()

    def sample(self, measurement):
        """One turn of one server: awake, warm, measured, counted, asleep."""
        server = self.servers[measurement.server]
        server.resume()
        counted = server.is_store and measurement.job.kind != "read"
        try:
            problem = ""
            for seconds in (min(WARM_SECONDS, self.options.seconds), self.options.seconds):
                before = settled_events(server) if counted else 0
                load = DRIVERS[measurement.server](server, measurement, seconds, self.options.client_cpu)
                if counted:
                    problem = problem or miscount(load, settled_events(server) - before)
        finally:
            server.pause()
        say(f"{measurement}: {load.rate:,.0f}/s, p50 {load.p50_us:,.0f} us{', ' + problem if problem else ''}")
        return {"job": measurement.job.name, "server": measurement.server, "connections": measurement.connections,
                **load.as_json(), "problem": problem}
