"""A server that is started here, what it is asked beside the load, and what is seen of it from outside."""
import json
import os
import re
import socket
import subprocess
import threading
import time
import urllib.request
from dataclasses import dataclass, field
from pathlib import Path

PAGE_BYTES = os.sysconf("SC_PAGE_SIZE")
TICKS_PER_SECOND = os.sysconf("SC_CLK_TCK")
START_SECONDS_MAX = 180
STOP_SECONDS_MAX = 60
SAMPLE_SECONDS = 0.05
SCRAPE_SECONDS = 1
# Resident memory has come to rest when it moved by less than this in so long: what a start took for itself is given back to
# the system some seconds later.
REST_BYTES, REST_SECONDS, REST_SECONDS_MAX = 1 << 20, 2, 30
# Of the metrics, those that say what memory is needed for.
WATCHED = ["inventory_idempotency_entries", "inventory_events_queue_size", "inventory_feed_waiters", "inventory_connections"]


@dataclass
class Series:
    """What was seen: resident bytes, and metrics, each with milliseconds since the epoch."""
    resident: list = field(default_factory=list)
    metrics: list = field(default_factory=list)


class Server:
    def __init__(self, binary, directory, cpus, environment=None):
        directory.mkdir(parents=True, exist_ok=True)
        self.directory = directory
        self.port, self.metrics_port = free_port(), free_port()
        self.address = f"127.0.0.1:{self.port}"
        self.began = time.monotonic()
        self.log = directory / "log"
        with open(self.log, "ab") as log:
            self.process = subprocess.Popen(
                ["taskset", "-c", cpus, "setpriv", "--pdeathsig", "KILL", str(binary)], stderr=log, stdin=subprocess.DEVNULL,
                env={"PATH": os.environ["PATH"], "PORT": str(self.port), "METRICS_PORT": str(self.metrics_port), "BIND_ADDRESS": "127.0.0.1",
                     "RATE_LIMIT_ENABLED": "false", "DATA_PATH": str(directory / "inventory.json"),
                     "EVENTS_FILE_PATH": str(directory / "events.json"), **(environment or {})})
        self.wait_until_ready()
        self.ready_seconds = time.monotonic() - self.began
        self.series = Series()
        self.is_over = threading.Event()
        self.sampler = threading.Thread(target=self.sample, daemon=True)
        self.sampler.start()

    def wait_until_ready(self):
        while time.monotonic() - self.began < START_SECONDS_MAX:
            if self.process.poll() is not None:
                raise RuntimeError(f"the server ended: {self.last_line()}")
            try:
                urllib.request.urlopen(f"http://{self.address}/health/ready", timeout=5).read()
                return
            except OSError:
                time.sleep(0.05)
        raise RuntimeError(f"the server is not ready after {START_SECONDS_MAX} s: {self.last_line()}")

    def last_line(self):
        return (self.log.read_text(errors="replace").splitlines() or ["it said nothing"])[-1]

    def resident(self):
        return int(Path(f"/proc/{self.process.pid}/statm").read_text().split()[1]) * PAGE_BYTES

    def cpu_seconds(self):
        fields = Path(f"/proc/{self.process.pid}/stat").read_text().rsplit(")", 1)[1].split()
        return (int(fields[11]) + int(fields[12])) / TICKS_PER_SECOND

    def resident_peak(self):
        status = Path(f"/proc/{self.process.pid}/status").read_text()
        return int(re.search(r"VmHWM:\s+(\d+)", status)[1]) << 10

    def sample(self):
        scrape_at = 0
        while not self.is_over.wait(SAMPLE_SECONDS):
            try:
                self.series.resident.append((unix_ms(), self.resident()))
                if time.monotonic() >= scrape_at:
                    scrape_at = time.monotonic() + SCRAPE_SECONDS
                    found = self.metrics()
                    self.series.metrics.append((unix_ms(), {name: found.get(name, 0) for name in WATCHED}))
            except OSError:
                continue  # It is stopping, or too busy to answer.

    def metrics(self):
        page = urllib.request.urlopen(f"http://127.0.0.1:{self.metrics_port}/metrics", timeout=10).read().decode()
        return parse_metrics(page)

    def at_rest(self):
        """Resident bytes when they no longer move."""
        end, seen = time.monotonic() + REST_SECONDS_MAX, []
        while time.monotonic() < end:
            seen.append(self.resident())
            lately = seen[-int(REST_SECONDS / SAMPLE_SECONDS):]
            if len(seen) > len(lately) and max(lately) - min(lately) < REST_BYTES:
                break
            time.sleep(SAMPLE_SECONDS)
        return seen[-1]

    def wait_for_spare(self, seconds_max=60):
        """After a start the next segment is written in advance, which keeps the disk busy."""
        end, spare = time.monotonic() + seconds_max, self.directory / "events.spare.json"
        active = self.directory / "events.json"
        while time.monotonic() < end and active.exists() and not (spare.exists() and spare.stat().st_size >= active.stat().st_size):
            time.sleep(0.1)

    def create(self, prefix, count):
        for first in range(0, count, 1000):
            products = [product(prefix, number) for number in range(first, min(first + 1000, count))]
            request = urllib.request.Request(f"http://{self.address}/v1/admin/products/create", json.dumps({"products": products}).encode(),
                                             {"X-API-Key": "admin-demo", "Content-Type": "application/json"})
            urllib.request.urlopen(request, timeout=60).read()

    def stop(self):
        self.is_over.set()
        self.sampler.join()
        if self.process.poll() is None:
            self.process.terminate()
            try:
                self.process.wait(STOP_SECONDS_MAX)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.stop()


def busy_seconds(text, names):
    """CPU seconds, from `/proc/stat`, that these CPUs were not idle, whoever used them; what was stolen from a virtual machine too."""
    ticks = 0
    for line in text.splitlines():
        name, *counts = line.split()
        if name in names:
            user, nice, system, _idle, _waiting, interrupts, soft_interrupts, stolen = map(int, counts[:8])
            ticks += user + nice + system + interrupts + soft_interrupts + stolen
    return ticks / TICKS_PER_SECOND


def parse_metrics(page):
    """Name to value, summed over labels."""
    found = {}
    for line in page.splitlines():
        if line and not line.startswith("#"):
            name, value = re.split(r"[{ ]", line, maxsplit=1)[0], line.rsplit(" ", 1)[1]
            found[name] = found.get(name, 0) + float(value)
    return found


def product(prefix, number):
    return {"productId": f"{prefix}-{number:07}", "name": "A product of the soak test", "available": 1_000_000, "price": 9.99}


def write_catalogue(path, prefix, count):
    """A file that a server starts from. Returns the bytes of its products' own strings: id, name and price."""
    strings = 0
    with open(path, "w") as file:
        file.write('{"products":{')
        for number in range(count):
            one = product(prefix, number)
            strings += len(one["productId"]) + len(one["name"]) + len(str(one["price"]))
            stands = json.dumps({**one, "version": 1, "lastUpdated": "2026-01-01T00:00:00.000Z"})
            file.write(f'{"," if number else ""}\n"{one["productId"]}":{stands}')
        file.write("\n}}\n")
    return strings


def free_port():
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return found.getsockname()[1]


def unix_ms():
    return time.time_ns() // 1_000_000
