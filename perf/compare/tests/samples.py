"""Samples to test with."""
from figures import Samples


def sample(job, server, number, rate=100.0, **more):
    return {"record": "sample", "job": job, "server": server, "round": number, "connections": 8, "operations": 100, "failed": 0,
            "rate": rate, "p50_us": 10, "p99_us": 20, "seconds": 1.0, "server_cpu_seconds": 0.5, "driver_cpu_seconds": 0.25,
            "other_cpu_share": 0.0, "problem": "", **more}


def samples(*records):
    return Samples(records)


SERVERS = [{"record": "server", "server": "this", "title": "central-inventory", "version": "1",
            "check": {"syncs": 21, "updates": 20, "seen_by": "its metric"}},
           {"record": "server", "server": "redis", "title": "Redis & co", "version": "7"},
           {"record": "server", "server": "socket", "title": "sockets & co", "version": ""}]

FACTS = {"date": "2026-11-23", "rounds": 3, "seconds": 8, "connections": 8, "serverCpu": 0, "clientCpu": 1, "command": "perf/compare/run",
         "commit": "abc", "cpu": "x", "cpus": 2, "governor": "not shown", "kernel": "6", "fileSystem": "ext4", "rustc": "r", "wrk": "4",
         "python": "3"}
