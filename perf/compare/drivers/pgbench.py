"""pgbench with prepared statements: one call of the function is one transaction and one round trip (pgbench.sql)."""
import math
import re
from pathlib import Path

from servers.postgresql import USER, program

from .driver import Load, percentile, run

SCRIPT = Path(__file__).with_name("pgbench.sql")
# Of the transactions, whose latency is written down.
SAMPLED = 0.05
# Its clock runs while it connects, so it is given that time besides: what it took the last time, or this at first.
FIRST_CONNECTING_SECONDS_EACH = 0.02


def drive(server, measurement, seconds, cpu):
    connecting = server.__dict__.setdefault("connecting_seconds", {})
    expected = connecting.get(measurement.connections, measurement.connections * FIRST_CONNECTING_SECONDS_EACH)
    for old in server.directory.glob("latency.*"):
        old.unlink()
    ran = run([program("pgbench"), "-h", "127.0.0.1", "-p", server.port, "-U", USER, "-n", "-M", "prepared", "-j", 1,
               "-c", measurement.connections, "-T", seconds + math.ceil(expected), "-f", SCRIPT, "-D", f"products={measurement.job.products}",
               "--random-seed=rand", "--log", "--log-prefix=latency", f"--sampling-rate={SAMPLED}", "postgres"],
              cpu, server, measurement.connections, seconds, server.directory)
    connecting[measurement.connections] = connecting_seconds(ran.output)
    return ran.onto(parse(ran.output, "".join(log.read_text() for log in server.directory.glob("latency.*"))))


def connecting_seconds(output):
    said = re.search(r"initial connection time = ([\d.]+) ms", output)
    if not said:
        raise RuntimeError(f"pgbench measured nothing: {output.strip()[-500:]}")
    return float(said[1]) / 1000


def parse(output, log):
    """The third word of a line of the log is a latency in microseconds."""
    done = int(re.search(r"transactions actually processed: (\d+)", output)[1])
    failed = int(re.search(r"number of failed transactions: (\d+)", output)[1])
    rate = float(re.search(r"^tps = ([\d.]+)", output, re.M)[1])
    latencies = sorted(int(line.split()[2]) for line in log.splitlines()) or [0]
    return Load(operations=done, operations_max=done, failed=failed, rate=rate,
                p50_us=percentile(latencies, 0.5), p99_us=percentile(latencies, 0.99))
