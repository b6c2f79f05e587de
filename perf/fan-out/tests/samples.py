"""Samples to test with."""
from figures import Samples

FIGURES = {"followers": 10, "updates_due": 100, "updates_taken": 100, "updates_per_second": 100.0, "update_p50_ms": 1.0, "update_p99_ms": 2.0,
           "last_receipt_p50_ms": 3.0, "last_receipt_p99_ms": 4.0, "deliveries_per_second": 1000.0, "responses_per_second": 500.0,
           "deliveries_per_response": 2.0, "server_cpu_us_per_delivery": 5.0, "server_bytes_per_follower": 2048.0, "server_cpu_share": 0.5,
           "driver_cpu_share": 0.25, "driver_cpu_us_per_delivery": 2.5, "is_complete": True, "warnings": [], "problems": []}


def sample(job, server, number=1, problems=(), **figures):
    return {"record": "sample", "job": job, "server": server, "round": number, "isPeer": server.startswith("nchan"), "version": "1 & 2",
            "figures": {**FIGURES, **figures}, "problems": list(problems)}


def samples(*records):
    return Samples(records)


FACTS = {"date": "2026-11-23", "rounds": 2, "seconds": 5, "serverCpu": 0, "clientCpu": 1, "command": "perf/fan-out/run", "commit": "abc", "cpu": "x",
         "cpus": 2, "governor": "not shown", "kernel": "6", "fileSystem": "ext4", "rustc": "r", "python": "3", "openFiles": 20000,
         "byRate": ["polls-20", "polls"], "notMeasured": []}
