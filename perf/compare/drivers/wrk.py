"""wrk, for the servers that speak HTTP. Its requests are made by wrk.lua."""
import json
import secrets
from pathlib import Path

from .driver import Load, run

SCRIPT = Path(__file__).with_name("wrk.lua")


def drive(server, measurement, seconds, cpu):
    job = measurement.job
    ran = run(["wrk", "-t1", f"-c{measurement.connections}", f"-d{seconds}s", "-s", SCRIPT, f"http://127.0.0.1:{server.port}",
               "--", job.kind, job.products, secrets.token_hex(4)],
              cpu, server, measurement.connections, seconds, server.directory)
    return ran.onto(parse(ran.output, job.operations_per_request))


def parse(output, operations_per_request):
    said = json.loads(output.strip().splitlines()[-1])
    operations = (said["requests"] - said["status"]) * operations_per_request
    return Load(operations=operations, operations_max=said["sent"],
                failed=said["status"] + said["socket"] + said["timeout"],
                rate=operations / (said["duration_us"] / 1e6), p50_us=said["p50_us"], p99_us=said["p99_us"])
