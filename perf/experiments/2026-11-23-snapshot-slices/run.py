#!/usr/bin/env python3
"""run.py BENCH SERVER...: latency of updates at 300/s while stores stream a stock of 200,000 products from each server.

The server has CPU 0, load generator and curl have CPU 1. Each server runs once with one store at a time and once with 16.
"""
import json
import os
import subprocess
import sys
import tempfile
import time
import urllib.request
from pathlib import Path

sys.dont_write_bytecode = True
sys.path[:0] = [str(Path(__file__).resolve().parents[2] / part) for part in ("soak", "harness")]

from server import free_port, write_catalogue

PRODUCTS = 200_000
STORES = (1, 16)
BENCH = ("--rate 300 --duration 8s --warm-up 1s --connections 8 --products 100 --cpus 1 --no-verify").split()


def wait_until_ready(url, process):
    while process.poll() is None:
        try:
            urllib.request.urlopen(f"{url}/health").close()
            return
        except OSError:
            time.sleep(0.1)
    raise SystemExit("the server does not start")


def stream_beside(bench, url, stores):
    """Has so many stores stream as long as the load generator runs. Returns how many came to an end a second."""
    curl = ["taskset", "-c", "1", "curl", "-s", "-o", "/dev/null", "-H", "X-API-Key: demo",
            f"{url}/v1/inventory/snapshot"]
    running, ended, begun = [], 0, time.time()
    while bench.poll() is None:
        going = [one for one in running if one.poll() is None]
        ended += len(running) - len(going)
        running = going + [subprocess.Popen(curl) for _ in range(stores - len(going))]
        time.sleep(0.02)
    for one in running:
        one.kill()
        one.wait()
    return ended / (time.time() - begun)


def measure(bench, server, stores):
    with tempfile.TemporaryDirectory() as directory:
        home = Path(directory)
        write_catalogue(home / "inventory.json", "p", PRODUCTS)
        port = free_port()
        url = f"http://127.0.0.1:{port}"
        environment = {**os.environ, "PORT": str(port), "METRICS_PORT": str(free_port()), "RATE_LIMIT_ENABLED": "false",
                       "BIND_ADDRESS": "127.0.0.1", "DATA_PATH": str(home / "inventory.json"),
                       "EVENTS_FILE_PATH": str(home / "events.json")}
        with open(home / "log", "w") as log:
            process = subprocess.Popen(["taskset", "-c", "0", server], env=environment, stderr=log)
        try:
            wait_until_ready(url, process)
            report = home / "report.json"
            load = subprocess.Popen([bench, "--url", url, "--json", str(report), *BENCH],
                                    stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
            time.sleep(2)
            rate = stream_beside(load, url, stores)
            latency = json.loads(report.read_text())["phases"][0]["kinds"]["update"]["latency"]
        finally:
            process.kill()
            process.wait()
    return rate, latency


def main():
    bench, *servers = sys.argv[1:]
    print("| server | stores at a time | p50 ms | p99 ms | max ms | stocks streamed a second |\n|---|---|---|---|---|---|")
    for stores in STORES:
        for server in servers:
            rate, latency = measure(bench, server, stores)
            times = " | ".join(f"{latency[name] / 1e3:.1f}" for name in ("p50_us", "p99_us", "max_us"))
            print(f"| {server} | {stores} | {times} | {rate:.1f} |", flush=True)


main()
