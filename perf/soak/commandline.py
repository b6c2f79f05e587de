"""Options, then: build, parts, verdicts, output. The only module that ends the process."""
import argparse
import json
import os
import platform
import resource
import shlex
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import page
from harness import machine
from parts import PARTS, Setup
from verdicts import JUDGES

REPOSITORY = Path(__file__).resolve().parents[2]
# The same in small: whether everything works, and nothing of how fast.
SHORT = {"products": 20_000, "events": 40_000, "event_rate": 5_000.0, "bootstrap_seconds": 1.0, "ttl_seconds": 1, "followers": 50, "fleet_rate": 100.0, "fleet_seconds": 4.0, "behind_rate": 200.0, "behind_seconds": 4.0, "steady_seconds": 2.0}


def main():
    options = parse(sys.argv[1:])
    for stop in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(stop, ended)
    try:
        allow_files()
        binaries = options.binaries or build()
        with tempfile.TemporaryDirectory(prefix="soak-", dir=options.data) as directory:
            facts, records = measure(options, binaries, Path(directory))
    except (RuntimeError, OSError, ValueError, subprocess.SubprocessError) as problem:
        print(f"perf/soak: {problem}", file=sys.stderr)
        return 1
    try:
        return report(options, facts, records)
    except ValueError as problem:
        print(f"perf/soak: {problem}", file=sys.stderr)
        return 1


def parse(arguments):
    parser = argparse.ArgumentParser(prog="perf/soak/run", description="The server for a long time, with a million products and with many stores.")
    parser.add_argument("--short", action="store_true", help="the same in small, in less than a minute; writes nothing unless --output is given")
    parser.add_argument("--only", type=lambda text: text.split(","), default=list(PARTS), metavar="A,B", help=", ".join(PARTS))
    parser.add_argument("--products", type=int, default=1_000_000)
    parser.add_argument("--events", type=int, default=1_000_000)
    parser.add_argument("--event-rate", type=float, default=16_000.0, help="events a second of the part memory")
    parser.add_argument("--followers", type=int, default=10_000, help="stores that follow in the parts fleet and behind")
    parser.add_argument("--fleet-rate", type=float, default=150.0, help="updates a second in the part fleet")
    parser.add_argument("--fleet-seconds", type=float, default=240.0)
    parser.add_argument("--behind-rate", type=float, default=1_000.0, help="updates a second in the part behind")
    parser.add_argument("--behind-seconds", type=float, default=240.0)
    parser.add_argument("--steady-rate", type=float, default=200.0, help="requests a second in the part stalls")
    parser.add_argument("--steady-seconds", type=float, default=180.0, help="with the journal, and as long again without")
    parser.add_argument("--bootstrap-rate", type=float, default=300.0, help="updates a second while a store begins")
    parser.add_argument("--bootstrap-seconds", type=float, default=5.0, help="updates before the store begins, and after it has")
    parser.add_argument("--ttl-seconds", type=int, default=5, help="IDEMPOTENCY_CACHE_TTL of the parts memory, fleet and behind")
    parser.add_argument("--server-cpus", default="0")
    parser.add_argument("--client-cpu", default="1")
    parser.add_argument("--binaries", type=Path, help="where central-inventory and inventory-bench are; default: they are built")
    parser.add_argument("--data", type=Path, help="where servers keep their data, on a disk; default: TMPDIR")
    parser.add_argument("--output", type=Path)
    options = parser.parse_args(arguments)
    if unknown := set(options.only) - set(PARTS):
        parser.error(f"none of {', '.join(PARTS)}: {', '.join(sorted(unknown))}")
    if options.short:
        for name, value in SHORT.items():
            if getattr(options, name) == parser.get_default(name):
                setattr(options, name, value)
    elif options.output is None:
        options.output = REPOSITORY / "perf/results" / f"{time.strftime('%Y-%m-%d')}-{machine.machine_name()}" / "soak"
    return options


def build():
    """The server as it is shipped, and what loads it. Returns the directory that they are in."""
    target = Path(os.environ.get("CARGO_TARGET_DIR", REPOSITORY / "target"))
    for package in ["central-inventory", "inventory-bench"]:
        subprocess.run(["cargo", "build", "--release", "--quiet", "--package", package, "--bin", package], cwd=REPOSITORY, check=True)
    return (REPOSITORY / target / "release").resolve()


def allow_files():
    """Server and stores need one for each connection; they inherit it."""
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))


def measure(options, binaries, directory):
    facts = {"date": time.strftime("%Y-%m-%d"), "command": shlex.join(["perf/soak/run", *sys.argv[1:]]), "commit": machine.commit(REPOSITORY), "cpu": machine.cpu_model(),
             "cpus": os.cpu_count(), "kernel": platform.release(), "fileSystem": machine.file_system(directory), "loadBefore": f"{os.getloadavg()[0]:.2f}"}
    names = ["server_cpus", "client_cpu", "products", "events", "event_rate", "followers", "fleet_rate", "fleet_seconds", "behind_rate", "behind_seconds", "steady_rate", "steady_seconds", "bootstrap_rate", "bootstrap_seconds", "ttl_seconds"]
    setup = Setup(binaries=binaries, directory=directory, **{name: getattr(options, name) for name in names})
    records = {}
    for part in options.only:
        begun = time.monotonic()
        records[part] = PARTS[part](setup)
        print(f"{part}: {time.monotonic() - begun:.0f} s", file=sys.stderr, flush=True)
    facts["loadAfter"] = f"{os.getloadavg()[0]:.2f}"
    return facts, records


def report(options, facts, records):
    if options.output:
        options.output.mkdir(parents=True, exist_ok=True)
        (options.output / "records.json").write_text(json.dumps({"facts": facts, "records": records}) + "\n")
    verdicts = {part: JUDGES[part](record) for part, record in records.items()}
    if options.output:
        (options.output / "figures.md").write_text(page.page(facts, records, verdicts))
        (options.output / "figures.svg").write_text(page.picture(facts, records))
        print(f"written: {options.output}/records.json, figures.md, figures.svg")
    for part, found in verdicts.items():
        for verdict in found:
            print(f"{verdict.word:10} {part}: {verdict.aim}: {verdict.target}; measured {verdict.measured}")
    return 1 if any(verdict.met is False for found in verdicts.values() for verdict in found) else 0


def ended(number, _):
    """What was started ends with this process."""
    raise SystemExit(f"perf/soak: ended by {signal.Signals(number).name}")
