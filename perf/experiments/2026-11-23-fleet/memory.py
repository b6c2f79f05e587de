#!/usr/bin/env python3
"""Resident memory of the server for each connection: connected, idle after a request, and waiting for events.

    memory.py SERVER [--connections 2000] [NAME=VALUE ...]

SERVER is a binary; NAME=VALUE is its environment. It runs on CPU 0, with its data in a temporary directory.
"""
import argparse
import json
import re
import socket
import subprocess
import tempfile
import time
import urllib.request
from pathlib import Path

PORT, METRICS_PORT = 18481, 19481
HEAD = "HTTP/1.1\r\nHost: here\r\nX-API-Key: demo\r\n\r\n"


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("server")
    parser.add_argument("--connections", type=int, default=2000)
    parser.add_argument("environment", nargs="*")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as directory:
        environment = {"PORT": str(PORT), "METRICS_PORT": str(METRICS_PORT), "BIND_ADDRESS": "127.0.0.1", "LOG_LEVEL": "error",
                       "RATE_LIMIT_ENABLED": "false", "DATA_PATH": f"{directory}/inventory.json",
                       "EVENTS_FILE_PATH": f"{directory}/events.json",
                       **dict(pair.split("=", 1) for pair in options.environment)}
        server = subprocess.Popen(["taskset", "-c", "0", options.server], env=environment)
        try:
            time.sleep(2)
            measure(server, options.connections)
        finally:
            server.terminate()
            server.wait()


def resident_kib(server):
    return int(re.search(r"VmRSS:\s+(\d+)", Path(f"/proc/{server.pid}/status").read_text())[1])


def measure(server, count):
    before = resident_kib(server)
    print(f"without connections: {before} KiB")

    def show(what):
        time.sleep(1)
        print(f"{what}: {(resident_kib(server) - before) / count:.1f} KiB for each of {count}")

    sockets = [socket.create_connection(("127.0.0.1", PORT)) for _ in range(count)]
    show("connected")

    def ask(target):
        for connection in sockets:
            connection.sendall(f"GET {target} {HEAD}".encode())

    def take():
        for connection in sockets:
            connection.recv(65536)

    ask("/v1/inventory/PROD-001")
    take()
    show("idle after a read")
    ask("/v1/inventory/events?offset=0&wait=60")
    show("waiting")
    update = {"storeId": "a", "productId": "PROD-001", "delta": 1, "anyVersion": True, "idempotencyKey": "k"}
    request = urllib.request.Request(f"http://127.0.0.1:{PORT}/v1/inventory/updates", json.dumps(update).encode(),
                                     {"X-API-Key": "demo", "Content-Type": "application/json"})
    urllib.request.urlopen(request, timeout=30).read()
    take()
    show("idle after an event")
    ask("/v1/inventory/events?offset=1&wait=60")
    show("waiting again")


main()
