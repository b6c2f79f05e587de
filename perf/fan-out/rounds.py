"""The rounds: in each, every measurement once, in an order of its own, each with a server of its own."""
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory

from driver import drive
from harness.machine import DIRECTORY_MODE
from harness.turns import order, say
from servers import SERVERS


class Rounds:
    """Yields a record of every sample."""

    def __init__(self, measurements, place, options):
        self.measurements, self.place, self.options = measurements, place, options

    def records(self):
        for number in range(1, self.options.rounds + 1):
            for measurement in order(self.measurements, number):
                yield {"record": "sample", "round": number, **self.sample(measurement)}

    def sample(self, measurement):
        """A new server, so that its memory is that of these followers, and no channel or connection of an earlier one is left."""
        name = {"job": measurement.job.name, "server": measurement.subject.name, "isPeer": measurement.subject.is_peer}
        with ExitStack() as stack:
            directory = Path(stack.enter_context(TemporaryDirectory(prefix="server-", dir=self.place.directory)))
            directory.chmod(DIRECTORY_MODE)
            server = SERVERS[measurement.subject.server](replace(self.place, directory=directory))
            stack.callback(server.stop)
            try:
                server.start()
                figures = drive(server, measurement, self.options, self.place.binaries)
            except RuntimeError as problem:
                say(f"{measurement}: {problem}")
                return {**name, "version": server.version(), "figures": None, "problems": [str(problem)]}
            say(f"{measurement}: {said(figures)}")
            return {**name, "version": server.version(), "figures": figures, "problems": figures["problems"]}


def said(figures):
    parts = [f"{figures['updates_per_second']:,.0f} updates/s, p50 {milliseconds(figures['update_p50_ms'])}"]
    if figures["followers"]:
        parts.append(f"{figures['deliveries_per_second']:,.0f} deliveries/s, last receipt p50 {milliseconds(figures['last_receipt_p50_ms'])}")
    return "; ".join([*parts, *figures["problems"]])


def milliseconds(value):
    return "unknown" if value is None else f"{value:,.1f} ms"
