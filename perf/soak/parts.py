"""The parts: each starts servers, has load made, and returns a record of what was seen. Judged elsewhere."""
import json
import resource
import shutil
import subprocess
import threading
import time
from dataclasses import dataclass
from pathlib import Path

from server import Server, busy_seconds, write_catalogue

PREFIX = "soak"
# What a start took for itself the allocator gives back to the system when it has something to do; on a server that nobody asks
# anything it stays. So it is asked a little before the memory is looked at.
STIR = ["steady", "--rate", 200, "--seconds", 3]
# What says whether the server itself saw its disk or its executors wait.
MEANS = {"sync": "inventory_journal_sync_duration_seconds", "heartbeat": "inventory_executor_heartbeat_delay_seconds"}
# Products where their number does not matter.
PRODUCTS_FEW = 10_000
# Of the load generator's own, while a fleet follows: each follower is told of their creation.
FLEET_OWN_PRODUCTS = 100


@dataclass(frozen=True)
class Setup:
    binaries: Path
    directory: Path
    server_cpus: str
    client_cpu: str
    products: int
    events: int
    event_rate: float
    followers: int
    fleet_rate: float
    fleet_seconds: float
    behind_rate: float
    behind_seconds: float
    steady_rate: float
    steady_seconds: float
    bootstrap_rate: float
    bootstrap_seconds: float
    # How long an update is remembered: so short that the memory of them is full before anything is judged.
    ttl_seconds: int


def memory(setup):
    """A million events while few of them are kept: resident memory must stay where it is."""
    directory = fresh(setup, "memory")
    write_catalogue(directory / "inventory.json", PREFIX, PRODUCTS_FEW)
    environment = {"MAX_EVENTS_IN_QUEUE": "10000", "IDEMPOTENCY_CACHE_TTL": f"{setup.ttl_seconds}s", "IDEMPOTENCY_CACHE_CLEANUP_INTERVAL": "1s"}
    with Server(setup.binaries / "central-inventory", directory, setup.server_cpus, environment) as server:
        server.wait_for_spare()
        # Three times as long as an update is remembered, and more than there is room for.
        warm = max(int(3 * setup.ttl_seconds * setup.event_rate), 20_000)
        load = ["events", "--products", PRODUCTS_FEW, "--rate", setup.event_rate]
        warmed = soak(setup, server, *load, "--events", warm)
        judged = soak(setup, server, *load, "--events", setup.events)
        return {"warmUp": warmed, "load": judged, **seen(server)}


def products(setup):
    """What a product costs; then a store begins with all of them while they change, and must end exact."""
    none = fresh(setup, "none")
    write_catalogue(none / "inventory.json", PREFIX, 0)
    with Server(setup.binaries / "central-inventory", none, setup.server_cpus) as server:
        server.create(PREFIX, 1)
        without = stirred(setup, server, 1)["resident"]
    directory = fresh(setup, "products")
    strings = write_catalogue(directory / "inventory.json", PREFIX, setup.products)
    record = {"products": setup.products, "stringBytes": strings, "residentWithout": without}
    with Server(setup.binaries / "central-inventory", directory, setup.server_cpus) as server:
        record["fromCatalogue"] = stirred(setup, server, setup.products)
    # The first start has written a snapshot and a journal of its own.
    with Server(setup.binaries / "central-inventory", directory, setup.server_cpus) as server:
        record["fromSnapshot"] = stirred(setup, server, setup.products)
        record["bootstrap"] = soak(setup, server, "bootstrap", "--products", setup.products, "--rate", setup.bootstrap_rate,
                                   "--seconds", setup.bootstrap_seconds)
        return {**record, **seen(server)}


def stirred(setup, server, products):
    """Resident memory right after the start, and when it was asked something."""
    server.wait_for_spare()
    first = server.at_rest()
    soak(setup, server, *STIR, "--products", products)
    return {"readySeconds": server.ready_seconds, "residentUnasked": first, "resident": server.at_rest(), "peak": server.resident_peak()}


def fleet(setup):
    """An hour's worth of events in some minutes, which the stores keep up with."""
    return followed(setup, "fleet", setup.fleet_rate, setup.fleet_seconds)


def behind(setup):
    """More events than a core can deliver to so many: the stores fall behind, out of the server's memory and each elsewhere."""
    return followed(setup, "behind", setup.behind_rate, setup.behind_seconds)


def followed(setup, name, rate, seconds):
    """A million products, many stores that follow, and updates of all products for minutes."""
    directory = fresh(setup, name)
    write_catalogue(directory / "inventory.json", PREFIX, setup.products)
    environment = {"IDEMPOTENCY_CACHE_TTL": f"{setup.ttl_seconds}s", "IDEMPOTENCY_CACHE_CLEANUP_INTERVAL": "1s",
                   "MAX_CONNECTIONS_PER_IP": "65536", "LOG_LEVEL": "error"}
    with Server(setup.binaries / "central-inventory", directory, setup.server_cpus, environment) as server:
        server.wait_for_spare()
        before = stirred(setup, server, setup.products)["resident"]
        # As long as updates are remembered, and what the first pages for so many stores need.
        warm = setup.ttl_seconds + min(5, seconds / 2)
        report, came = directory / "report.json", {}
        follow = [setup.binaries / "inventory-bench", "--url", server.address, "--preset", "fleet", "--followers", setup.followers, "--rate", 1,
                  "--connections", 1, "--products", FLEET_OWN_PRODUCTS, "--duration", f"{seconds:.0f}s", "--warm-up", f"{warm:.0f}s",
                  "--json", report, "--no-verify"]
        followers = threading.Thread(target=lambda: came.update(run(setup, follow, seconds + 300)))
        followers.start()
        load = soak(setup, server, "steady", "--updates-only", "--products", setup.products, "--rate", rate, "--connections", 32,
                    "--seconds", seconds + warm)
        followers.join()
        if came["status"] != 0:
            raise RuntimeError(f"inventory-bench: {came['said'][-500:]}")
        phase = json.loads(report.read_text())["phases"][0]
        return {"followers": setup.followers, "residentBefore": before, "load": load, "warmSeconds": warm,
                "deliveryUs": {name: phase["kinds"].get("delivery", {}).get("latency", {}).get(name) for name in ["p50_us", "p99_us", "max_us"]},
                "delivered": phase["outcomes"].get("delivered", 0), "seconds": phase["seconds"], **seen(server)}


def stalls(setup):
    """A low rate for minutes: no request waits long but for what the machine stood still. With the journal, and without."""
    record = {}
    for name, persistence in [("journal", "true"), ("memory", "false")]:
        directory = fresh(setup, f"stalls-{name}")
        environment = {"ENABLE_JSON_PERSISTENCE": persistence, "LOG_LEVEL": "error"}
        with Server(setup.binaries / "central-inventory", directory, setup.server_cpus, environment) as server:
            server.create(PREFIX, 1000)
            server.wait_for_spare()
            load = ["steady", "--products", 1000, "--rate", setup.steady_rate]
            soak(setup, server, *load, "--seconds", min(3, setup.steady_seconds))
            disk = ["--watch-disk", directory] if persistence == "true" else []
            cpus = sorted({*setup.server_cpus.split(","), *setup.client_cpu.split(",")})
            before, spent = server.metrics(), Spent(server, cpus)
            record[name] = soak(setup, server, *load, "--seconds", setup.steady_seconds, "--watch-cpus", ",".join(cpus), *disk)
            record[name]["otherCpuShare"] = spent.other_share()
            after = server.metrics()
            more = {metric: value - before.get(metric, 0) for metric, value in after.items()}
            record[name]["serverWaitedForCpuSeconds"] = more.get("inventory_executor_wait_seconds_total", 0)
            for what in ["sync", "heartbeat"]:
                record[name][f"{what}MeanMs"] = mean_ms(more, MEANS[what])
    return record


class Spent:
    """What others do on these CPUs, from now on."""

    def __init__(self, server, cpus):
        self.server, self.cpus, self.begun, self.before = server, cpus, time.monotonic(), self.now(server, cpus)

    @staticmethod
    def now(server, cpus):
        own = resource.getrusage(resource.RUSAGE_CHILDREN)
        return busy_seconds(Path("/proc/stat").read_text(), {f"cpu{cpu}" for cpu in cpus}) - server.cpu_seconds() - own.ru_utime - own.ru_stime

    def other_share(self):
        elapsed = time.monotonic() - self.begun
        return max(0.0, self.now(self.server, self.cpus) - self.before) / (elapsed * len(self.cpus))


def mean_ms(more, metric):
    """Of a histogram of the server; 0 where nothing came."""
    return 1000 * more.get(f"{metric}_sum", 0) / (more.get(f"{metric}_count", 0) or 1)


def fresh(setup, name):
    directory = setup.directory / name
    shutil.rmtree(directory, ignore_errors=True)
    directory.mkdir(parents=True)
    return directory


def soak(setup, server, part, *options):
    command = [setup.binaries / "inventory-bench", "soak", part, "--url", server.address, "--prefix", PREFIX, *options]
    came = run(setup, command, 3600)
    if came["status"] != 0:
        raise RuntimeError(f"inventory-bench soak {part}: {came['said'][-500:]}; the server: {server.last_line()}")
    return json.loads(came["out"])


def run(setup, command, seconds_max):
    begun = time.monotonic()
    done = subprocess.run(["taskset", "-c", setup.client_cpu, "setpriv", "--pdeathsig", "KILL", *map(str, command)], capture_output=True,
                          text=True, timeout=seconds_max)
    return {"status": done.returncode, "out": done.stdout, "said": (done.stderr or done.stdout).strip(), "seconds": time.monotonic() - begun}


def seen(server):
    return {"resident": server.series.resident, "metrics": server.series.metrics}


PARTS = {"memory": memory, "products": products, "fleet": fleet, "behind": behind, "stalls": stalls}
