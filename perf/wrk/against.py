#!/usr/bin/env python3
"""Two builds of the server side by side: rate, and CPU time of the server per request, as ratios of paired rounds.

    perf/wrk/against.py BEFORE AFTER [--connections 64] [--rounds 15] [--seconds 3] [--scrape] [--server-cpus 0]
                        [--loads updates,reads] [NAME=VALUE ...]

BEFORE and AFTER are binaries; `BEFORE:LOG_LEVEL=error` gives one of them its own environment, NAME=VALUE both. Servers run
on CPU 0, or where --server-cpus says, wrk on CPU 1; within a round both are measured once, in turns the one and the other
first. With --scrape the metrics port of AFTER is asked once a second meanwhile.
"""
import argparse
import json
import os
import re
import statistics
import subprocess
import sys
import tempfile
import threading
import time
import urllib.request
from pathlib import Path

HERE = Path(__file__).parent
PRODUCTS = 1000


class Server:
    def __init__(self, spec, port, cpus, shared, directory):
        binary, *own = spec.split(":")
        environment = dict(pair.split("=", 1) for pair in own + shared)
        os.makedirs(directory)
        self.url, self.metrics = f"http://127.0.0.1:{port}", f"http://127.0.0.1:{port + 1}/metrics"
        self.process = subprocess.Popen(
            ["taskset", "-c", cpus, binary],
            env={"PORT": str(port), "METRICS_PORT": str(port + 1), "BIND_ADDRESS": "127.0.0.1",
                 "RATE_LIMIT_ENABLED": "false", "DATA_PATH": f"{directory}/inventory.json",
                 "EVENTS_FILE_PATH": f"{directory}/events.json", **environment},
            stderr=open(f"{directory}/log", "w"))
        self.wait()
        products = [{"productId": f"BENCH-{n:04}", "name": "Bench", "available": 1000000, "price": 9.99}
                    for n in range(1, PRODUCTS + 1)]
        create = urllib.request.Request(
            f"{self.url}/v1/admin/products/create", json.dumps({"products": products}).encode(),
            {"X-API-Key": "admin-demo", "Content-Type": "application/json"})
        urllib.request.urlopen(create).read()

    def wait(self):
        for _ in range(200):
            try:
                return urllib.request.urlopen(f"{self.url}/health").read()
            except OSError:
                time.sleep(0.05)
        sys.exit(f"{self.url} does not answer")

    def cpu_seconds(self):
        fields = Path(f"/proc/{self.process.pid}/stat").read_text().rsplit(")", 1)[1].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    def measure(self, script, options):
        before = self.cpu_seconds()
        said = subprocess.run(
            ["taskset", "-c", "1", "wrk", "-t1", f"-c{options.connections}", f"-d{options.seconds}s",
             "-s", HERE / script, self.url], capture_output=True, text=True, check=True).stdout
        found = re.search(r"requests (\d+) errors (\d+) rate (\d+) p50_us (\d+) p99_us (\d+)", said)
        requests, errors, rate, p50, p99 = map(int, found.groups())
        return {"rate": rate, "cpu_us": (self.cpu_seconds() - before) / requests * 1e6,
                "p50_us": p50, "p99_us": p99, "errors": errors}


def scrape(server, stop):
    while not stop.wait(1):
        urllib.request.urlopen(server.metrics).read()


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("before")
    parser.add_argument("after")
    parser.add_argument("environment", nargs="*")
    parser.add_argument("--connections", type=int, default=64)
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--seconds", type=int, default=3)
    parser.add_argument("--scrape", action="store_true")
    parser.add_argument("--server-cpus", default="0")
    parser.add_argument("--loads", default="updates,reads", help="of updates, batches, reads")
    options = parser.parse_args()
    servers, stop = [], threading.Event()
    with tempfile.TemporaryDirectory() as directory:
        try:
            for number, spec in enumerate([options.before, options.after]):
                servers.append(Server(spec, 18081 + 10 * number, options.server_cpus, options.environment, f"{directory}/{number}"))
            if options.scrape:
                threading.Thread(target=scrape, args=(servers[1], stop), daemon=True).start()
            for load in options.loads.split(","):
                compare(servers, f"{load}.lua", options)
        finally:
            stop.set()
            for server in servers:
                server.process.terminate()
            for server in servers:
                server.process.wait()


def compare(servers, script, options):
    for server in servers:
        server.measure(script, options)  # Warm.
    ratios = {"rate": [], "cpu_us": []}
    for number in range(options.rounds):
        samples = {}
        for which in [(0, 1), (1, 0)][number % 2]:
            samples[which] = servers[which].measure(script, options)
        print(script, number, json.dumps(samples), flush=True)
        for name, of_name in ratios.items():
            of_name.append(samples[1][name] / samples[0][name])
    for name, of_name in ratios.items():
        low, middle, high = statistics.quantiles(of_name, n=4)
        print(f"{script} {name} after/before: median {middle:.3f}, quartiles {low:.3f}-{high:.3f}, "
              f"range {min(of_name):.3f}-{max(of_name):.3f}, {len(of_name)} rounds", flush=True)


if __name__ == "__main__":
    main()
