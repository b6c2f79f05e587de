"""redis-benchmark: it is told how many requests to send, not for how long."""
import csv
import io

from .driver import Load, run

FIRST_REQUESTS_PER_CONNECTION = 50
RANDOM = "__rand_int__"
# Each is drawn from the number of products: 10^15 keys.
RANDOM_PARTS_OF_KEY = 5


def drive(server, measurement, seconds, cpu):
    # As fast as the last time with so many connections.
    rates = server.__dict__.setdefault("rates", {})
    rate = rates.get(measurement.connections)
    requests = int(rate * seconds) if rate else FIRST_REQUESTS_PER_CONNECTION * measurement.connections
    ran = run(["redis-benchmark", "-h", "127.0.0.1", "-p", server.port, "-c", measurement.connections, "-n", requests,
               "-r", measurement.job.products, "--csv",
               *server.call(f"product:{RANDOM}", 1, RANDOM * RANDOM_PARTS_OF_KEY, "any")],
              cpu, server, measurement.connections, seconds, server.directory)
    load = ran.onto(parse(ran.output, requests))
    rates[measurement.connections] = load.rate
    return load


def parse(output, requests):
    """Times are in milliseconds. An answer that is an error ends it, so there are no failed ones to count."""
    rows = list(csv.reader(io.StringIO(output[output.index('"test"'):])))
    figures = dict(zip(rows[0][1:], map(float, rows[1][1:])))
    return Load(operations=requests, operations_max=requests, failed=0, rate=figures["rps"],
                p50_us=round(figures["p50_latency_ms"] * 1000), p99_us=round(figures["p99_latency_ms"] * 1000))
