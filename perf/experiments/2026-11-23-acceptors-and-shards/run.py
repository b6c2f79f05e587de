#!/usr/bin/env python3
"""run.py SERVER [ROUNDS]: updates and reads with 1 and 2 acceptors and 1, 2 and 4 shards, on two CPUs that wrk shares.

Each round starts every combination anew and measures it for 3 s, after 1 s to warm up, over 64 connections. Prints medians, with
the lowest and highest.
"""
import statistics
import sys
import tempfile
from pathlib import Path
from types import SimpleNamespace

sys.dont_write_bytecode = True
sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "wrk"))

from against import Server

PLANS = [(acceptors, shards) for acceptors in (1, 2) for shards in (1, 2, 4)]
SCRIPTS = ["updates.lua", "reads.lua"]


def measure(binary, acceptors, shards):
    environment = [f"INVENTORY_ACCEPTOR_COUNT={acceptors}", f"INVENTORY_WORKER_COUNT={shards}"]
    with tempfile.TemporaryDirectory() as directory:
        server = Server(binary, 18181, "0,1", environment, f"{directory}/server")
        try:
            found = {}
            for script in SCRIPTS:
                server.measure(script, SimpleNamespace(connections=64, seconds=1))
                found[script] = server.measure(script, SimpleNamespace(connections=64, seconds=3))
            return found
        finally:
            server.process.terminate()
            server.process.wait()


def spread(values):
    return f"{statistics.median(values):,.1f} ({min(values):,.1f}-{max(values):,.1f})"


def main():
    binary, rounds = sys.argv[1], int(sys.argv[2]) if len(sys.argv) > 2 else 5
    samples = {plan: [] for plan in PLANS}
    for number in range(rounds):
        for plan in PLANS if number % 2 == 0 else reversed(PLANS):
            samples[plan].append(measure(binary, *plan))
    print("| acceptors | shards | what | thousand requests a second | server CPU us a request | p50 ms | p99 ms |\n|---|---|---|---|---|---|---|")
    for (acceptors, shards), of_plan in samples.items():
        for script in SCRIPTS:
            of = [sample[script] for sample in of_plan]
            assert not any(sample["errors"] for sample in of)
            columns = [spread([sample[name] / scale for sample in of])
                       for name, scale in (("rate", 1e3), ("cpu_us", 1), ("p50_us", 1e3), ("p99_us", 1e3))]
            print(f"| {acceptors} | {shards} | {script.removesuffix('.lua')} | " + " | ".join(columns) + " |")


main()
