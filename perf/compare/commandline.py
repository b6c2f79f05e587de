"""Options, then: what is missing, build, rounds, output. The only module that ends the process."""
import argparse
import json
import os
import shlex
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from aims import verdicts
from figures import Samples
from harness import machine
from harness.aims import say_verdict
from harness.command import allow_files, ended_by_signals, failed, positive
from harness.server import Place
from jobs import measurements
from machine import BYTES_PER_SECOND, PACKAGES, facts as machine_facts
from output.plot import figures_plot
from output.table import figures_page
from rounds import WARM_SECONDS, Rounds

NAME = "perf/compare"
REPOSITORY = Path(__file__).resolve().parents[2]
# Beyond warm-up and measurement, what one turn may take: connecting, counting, a checkpoint.
TURN_SPARE_SECONDS = 60
# All servers, with their checks.
START_SECONDS_MAX = 300


def main():
    options = parse(sys.argv[1:])
    if missing := machine.missing_packages(PACKAGES):
        if not options.install:
            return failed(NAME, f"missing; `--install` does it: apt-get install {' '.join(missing)}")
        machine.install(missing)
    try:
        planned = measurements(options.only, options.connections)
        binaries = build()
        ended_by_signals(NAME, seconds_max(options, planned))
        allow_files()
        os.sched_setaffinity(0, {options.client_cpu})
        records = measure(options, planned, binaries)
    except (RuntimeError, AssertionError, ValueError, OSError, subprocess.SubprocessError) as problem:
        return failed(NAME, problem)
    return write(options.output, records)


def parse(arguments):
    parser = argparse.ArgumentParser(prog=NAME + "/run", description="This server and its peers side by side, at the same job.")
    parser.add_argument("--rounds", type=positive, default=7)
    parser.add_argument("--seconds", type=positive, default=8, help=f"of each measurement, after {WARM_SECONDS} to warm up")
    parser.add_argument("--connections", type=positive, default=256, help="of the jobs updates and reads")
    parser.add_argument("--only", type=lambda text: text.split(","), default=[], metavar="A,B", help="jobs, servers, or both")
    parser.add_argument("--server-cpu", type=int, default=0)
    parser.add_argument("--client-cpu", type=int, default=1)
    parser.add_argument("--output", type=Path, default=REPOSITORY / "perf/results" / f"{time.strftime('%Y-%m-%d')}-{machine.machine_name()}" / "compare")
    parser.add_argument("--install", action="store_true", help="apt-get install what is missing")
    options = parser.parse_args(arguments)
    if options.server_cpu == options.client_cpu:
        parser.error("servers and drivers need a CPU each")
    return options


def build():
    """The server and the yardsticks, as they are shipped. Returns the directory that they are in."""
    target = Path(os.environ.get("CARGO_TARGET_DIR", REPOSITORY / "target"))
    subprocess.run(["cargo", "build", "--release", "--quiet", "--bin", "central-inventory", "--example", "constant_server",
                    "--example", "socket_server"], cwd=REPOSITORY, check=True)
    return (REPOSITORY / target / "release").resolve()


def seconds_max(options, planned):
    turn = 2 * (WARM_SECONDS + options.seconds) + TURN_SPARE_SECONDS
    return options.rounds * (START_SECONDS_MAX + len(planned) * turn)


def measure(options, planned, binaries):
    """Every record is in the file as soon as it is there."""
    options.output.mkdir(parents=True, exist_ok=True)
    records = []
    with tempfile.TemporaryDirectory(prefix="compare-") as directory, open(options.output / "samples.jsonl", "w") as samples:
        os.chmod(directory, machine.DIRECTORY_MODE)
        machine.check_directory(directory, (WARM_SECONDS + options.seconds) * BYTES_PER_SECOND)

        def keep(record):
            records.append(record)
            print(json.dumps(record), file=samples, flush=True)

        keep({"record": "facts", **facts(options, directory)})
        place = Place(Path(directory), options.server_cpu, max(measurement.connections for measurement in planned), binaries)
        for record in Rounds(planned, place, options).records():
            keep(record)
    return records


def facts(options, directory):
    return {"date": time.strftime("%Y-%m-%d"), "rounds": options.rounds, "seconds": options.seconds,
            "connections": options.connections, "serverCpu": options.server_cpu, "clientCpu": options.client_cpu,
            "command": shlex.join([NAME + "/run", *sys.argv[1:]]), **machine_facts(REPOSITORY, directory)}


def write(directory, records):
    """Fails if a sample had to be left out; that an aim is missed is a result, not a failure."""
    samples = Samples(records)
    # Of the last round; each found the same, or there would be no samples.
    servers = list({record["server"]: record for record in records if record["record"] == "server"}.values())
    (directory / "figures.md").write_text(figures_page(records[0], servers, samples))
    (directory / "figures.svg").write_text(figures_plot(records[0], servers, samples))
    for verdict in verdicts(samples):
        say_verdict(verdict)
    print(f"written: {directory}/samples.jsonl, figures.md, figures.svg")
    left_out = [sample for sample in samples.all if sample["problem"]]
    return failed(NAME, f"{len(left_out)} samples left out, see figures.md") if left_out else 0
