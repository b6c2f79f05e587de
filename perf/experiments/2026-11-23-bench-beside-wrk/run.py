#!/usr/bin/env python3
"""inventory-bench beside wrk on one server, interleaved: the same requests over the same number of connections, closed loop.

    run.py [--connections 64] [--rounds 9] [--seconds 5] > samples.txt

The server runs on CPU 0, the clients on CPU 1, the one and the other first in turns. Requests are those the server
counted; CPU times are the kernel's, of the whole life of the client, so that what it does before and after counts too.
"""
import argparse
import json
import os
import re
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.request
from pathlib import Path

ROOT = Path(__file__).parents[3]
PORT, METRICS_PORT = 18081, 19081
PRODUCTS = 1000
TICKS = os.sysconf("SC_CLK_TCK")
KINDS = {"updates": "any-version", "reads": "reads"}


def build():
    subprocess.run(["cargo", "build", "--release", "--quiet", "-p", "central-inventory", "-p", "inventory-bench", "--bins"],
                   cwd=ROOT, check=True)
    return Path(os.environ.get("CARGO_TARGET_DIR", ROOT / "target")) / "release"


def start(binary, directory):
    environment = {"PORT": str(PORT), "METRICS_PORT": str(METRICS_PORT), "BIND_ADDRESS": "127.0.0.1",
                   "RATE_LIMIT_ENABLED": "false", "DATA_PATH": f"{directory}/inventory.json",
                   "EVENTS_FILE_PATH": f"{directory}/events.json"}
    server = subprocess.Popen(["taskset", "-c", "0", binary], env=environment, stderr=open(f"{directory}/log", "w"))
    for _ in range(100):
        try:
            urllib.request.urlopen(f"http://127.0.0.1:{PORT}/health", timeout=5).read()
            break
        except OSError:
            time.sleep(0.1)
    products = [{"productId": f"BENCH-{n:04}", "name": "Bench", "available": 1000000, "price": 9.99}
                for n in range(1, PRODUCTS + 1)]
    request = urllib.request.Request(
        f"http://127.0.0.1:{PORT}/v1/admin/products/create", json.dumps({"products": products}).encode(),
        {"X-API-Key": "admin-demo", "Content-Type": "application/json"})
    urllib.request.urlopen(request, timeout=30).read()
    return server


def counted():
    page = urllib.request.urlopen(f"http://127.0.0.1:{METRICS_PORT}/metrics", timeout=5).read().decode()
    return sum(float(value) for value in re.findall(r"^inventory_api_requests_total\{.*\} (\S+)", page, re.M))


def server_cpu(server):
    fields = Path(f"/proc/{server.pid}/stat").read_text().rsplit(")", 1)[1].split()
    return int(fields[11]) / TICKS, int(fields[12]) / TICKS


def measure(server, command):
    """A client's rate as it says itself, and CPU microseconds a request: client user, system, server user, system."""
    requests, before = counted(), server_cpu(server)
    client = subprocess.Popen(["taskset", "-c", "1", *map(str, command)], cwd=ROOT,
                              stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
    text = client.stdout.read()
    _, status, usage = os.wait4(client.pid, 0)
    if status != 0:
        sys.exit(f"{command[0]} failed")
    requests, after = counted() - requests, server_cpu(server)
    cpu = [usage.ru_utime, usage.ru_stime, after[0] - before[0], after[1] - before[1]]
    return text, [round(seconds / requests * 1e6, 2) for seconds in cpu]


def wrk(server, kind, options):
    text, cpu = measure(server, ["wrk", "-t1", f"-c{options.connections}", f"-d{options.seconds}s", "-s",
                                 f"perf/wrk/{kind}.lua", f"http://127.0.0.1:{PORT}"])
    return float(re.search(r"rate (\d+)", text)[1]), cpu


def bench(target, server, kind, options):
    text, cpu = measure(server, [
        target / "inventory-bench", "--url", f"127.0.0.1:{PORT}", "--cpus", 1, "--preset", KINDS[kind], "--closed",
        "--no-verify", "--connections", options.connections, "--duration", f"{options.seconds}s", "--warm-up", "500ms",
        "--products", PRODUCTS, "--json", "-"])
    phase = json.loads(text)["phases"][0]
    return sum(kind["count"] for kind in phase["kinds"].values()) / phase["seconds"], cpu


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--connections", type=int, default=64)
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--seconds", type=int, default=5)
    options = parser.parse_args()
    target = build()
    samples = {kind: [] for kind in KINDS}
    with tempfile.TemporaryDirectory() as directory:
        server = start(target / "central-inventory", directory)
        try:
            print("kind client rate client_user client_system server_user server_system")
            for turn in range(options.rounds):
                for kind in KINDS:
                    clients = {"wrk": lambda: wrk(server, kind, options),
                               "bench": lambda: bench(target, server, kind, options)}
                    order = list(clients) if turn % 2 == 0 else list(reversed(clients))
                    seen = {client: clients[client]() for client in order}
                    samples[kind].append(seen)
                    for client, (rate, cpu) in seen.items():
                        print(kind, client, round(rate), *cpu, flush=True)
        finally:
            server.terminate()
            server.wait()
    print()
    for kind, rounds in samples.items():
        ratios = sorted(seen["bench"][0] / seen["wrk"][0] for seen in rounds)
        print(f"{kind}: rate bench/wrk min {ratios[0]:.2f} median {statistics.median(ratios):.2f} max {ratios[-1]:.2f}")
        for client in ("wrk", "bench"):
            middle = [statistics.median(seen[client][1][n] for seen in rounds) for n in range(4)]
            print("  {}: client {:.1f} us a request (user {:.1f}), server {:.1f} (user {:.1f}): {:.1f} times as cheap, "
                  "{:.1f} in user mode".format(client, middle[0] + middle[1], middle[0], middle[2] + middle[3], middle[2],
                                               (middle[2] + middle[3]) / (middle[0] + middle[1]), middle[2] / middle[0]))


main()
