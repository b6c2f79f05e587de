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
from driver import DRAIN_SECONDS_OF_PEERS, WAITING_SECONDS_MAX, seconds_max
from figures import Samples
from harness import machine
from harness.aims import say_verdict
from harness.command import allow_files, ended_by_signals, failed, positive
from harness.server import Place
from jobs import RATE, jobs, measurements
from output.plot import figures_plot
from output.table import figures_page
from rounds import Rounds
from servers import SERVERS
from servers.nchan import MODULE, PROGRAM

NAME = "perf/fan-out"
REPOSITORY = Path(__file__).resolve().parents[2]
# Each program, and the Debian package that brings it.
PACKAGES = {PROGRAM: "nginx", "taskset": "util-linux", "setpriv": "util-linux", "findmnt": "util-linux"}
# What a server opens beside a connection for each follower and publisher.
FILES_SPARE = 200
# Journal of a measurement, at most: 1,600 updates a second of 430 bytes, written in blocks.
BYTES_PER_SECOND = 20_000_000


def main():
    options = parse(sys.argv[1:])
    if missing := missing_packages():
        if not options.install:
            return failed(NAME, f"missing; `--install` does it: apt-get install {' '.join(missing)}")
        machine.install(missing)
    try:
        by_name = jobs(options.polls, options.streams, options.many, options.rates)
        planned = measurements(by_name, options.only, available(options))
        planned, files, not_measured = within_files(planned)
        if not planned:
            return failed(NAME, "; ".join(not_measured) or "nothing to measure")
        binaries = build(options)
        ended_by_signals(NAME, options.rounds * sum(turn_seconds_max(measurement, options) for measurement in planned))
        os.sched_setaffinity(0, {options.client_cpu})
        records = measure(options, planned, binaries, {"openFiles": files, "notMeasured": not_measured})
    except (RuntimeError, AssertionError, ValueError, OSError, subprocess.SubprocessError) as problem:
        return failed(NAME, problem)
    return write(options.output, list(by_name.values()), records)


def parse(arguments):
    parser = argparse.ArgumentParser(prog=NAME + "/run", description="One update to tens of thousands of stores, by this server and by nginx with nchan.")
    parser.add_argument("--rounds", type=positive, default=3)
    parser.add_argument("--seconds", type=positive, default=5, help="of each measurement, after one to warm up")
    parser.add_argument("--drain", type=positive, default=120, help=f"seconds, at most, for all followers to receive the rest after each measurement; {DRAIN_SECONDS_OF_PEERS} for peers")
    parser.add_argument("--polls", type=positive, default=10_000, help="waiting polls")
    parser.add_argument("--streams", type=positive, default=2_000)
    parser.add_argument("--many", type=positive, default=40_000, help="waiting polls of the job that only needs them to receive")
    parser.add_argument("--rates", type=rates, default=[20, 100, 400, 1600], metavar="A,B", help="updates a second, with waiting polls")
    parser.add_argument("--only", type=lambda text: text.split(","), default=[], metavar="A,B", help="jobs, servers, or both")
    parser.add_argument("--server", type=Path, metavar="BINARY", help="measure this build instead of one of these sources")
    parser.add_argument("--before", type=Path, metavar="BINARY", help="measure this build of the server as well")
    parser.add_argument("--server-cpu", type=int, default=0)
    parser.add_argument("--client-cpu", type=int, default=1)
    parser.add_argument("--output", type=Path, default=REPOSITORY / "perf/results" / f"{time.strftime('%Y-%m-%d')}-{machine.machine_name()}" / "fan-out")
    parser.add_argument("--install", action="store_true", help="apt-get install what is missing")
    options = parser.parse_args(arguments)
    if options.server_cpu == options.client_cpu:
        parser.error("servers and the driver need a CPU each")
    return options


def rates(text):
    return sorted({positive(rate) for rate in text.split(",")})


def missing_packages():
    found = machine.missing_packages(PACKAGES)
    return found if MODULE.exists() else sorted({*found, "libnginx-mod-nchan"})


def available(options):
    for binary in (options.server, options.before):
        if binary and not os.access(binary, os.X_OK):
            raise ValueError(f"{binary} cannot be run")
    SERVERS["this"].chosen = options.server and options.server.resolve()
    SERVERS["before"].chosen = options.before and options.before.resolve()
    return set(SERVERS) - (set() if options.before else {"before"})


def within_files(planned):
    """A server and the driver need a file for each connection. Returns what can be measured, how many files there may be, and a
    sentence for each job that is left out."""
    allowed = allow_files(max(map(files_of, planned), default=0))
    left_out = {measurement.job.name: files_of(measurement) for measurement in planned if files_of(measurement) > allowed}
    sentences = [f"`{name}` is not measured: the server and the driver need {files:,} open files each, and no more than {allowed:,} are allowed here, "
                 "which only root with CAP_SYS_RESOURCE may raise (`ulimit -Hn`; a container is started with `--ulimit nofile=`)"
                 for name, files in left_out.items()]
    for sentence in sentences:
        print(f"{NAME}: {sentence}", file=sys.stderr)
    return [measurement for measurement in planned if measurement.job.name not in left_out], allowed, sentences


def files_of(measurement):
    return measurement.job.followers + measurement.job.connections + FILES_SPARE


def build(options):
    """The driver, and the server if no other one is named. Returns the directory that they are in."""
    target = Path(os.environ.get("CARGO_TARGET_DIR", REPOSITORY / "target"))
    cargo = ["cargo", "build", "--release", "--quiet"]
    if not options.server:
        subprocess.run([*cargo, "--bin", "central-inventory"], cwd=REPOSITORY, check=True)
    subprocess.run([*cargo, "--package", "inventory-bench", "--bin", "fan_out"], cwd=REPOSITORY, check=True)
    return (REPOSITORY / target / "release").resolve()


def turn_seconds_max(measurement, options):
    start_and_stop = WAITING_SECONDS_MAX
    return start_and_stop + seconds_max(max(options.seconds, measurement.job.seconds_min), options.drain)


def measure(options, planned, binaries, found):
    """Every record is in the file as soon as it is there."""
    options.output.mkdir(parents=True, exist_ok=True)
    records = []
    with tempfile.TemporaryDirectory(prefix="fan-out-") as directory, open(options.output / "samples.jsonl", "w") as samples:
        os.chmod(directory, machine.DIRECTORY_MODE)
        machine.check_directory(directory, (options.seconds + 1) * BYTES_PER_SECOND)

        def keep(record):
            records.append(record)
            print(json.dumps(record), file=samples, flush=True)

        keep({"record": "facts", **facts(options, directory), **found})
        place = Place(Path(directory), options.server_cpu, max(map(files_of, planned)), binaries)
        for record in Rounds(planned, place, options).records():
            keep(record)
    return records


def facts(options, directory):
    """`byRate` names the jobs of waiting polls in the order of their rates."""
    return {"date": time.strftime("%Y-%m-%d"), "rounds": options.rounds, "seconds": options.seconds, "serverCpu": options.server_cpu,
            "clientCpu": options.client_cpu, "byRate": ["polls" if rate == RATE else f"polls-{rate}" for rate in options.rates],
            "command": shlex.join([NAME + "/run", *sys.argv[1:]]), **machine.facts(REPOSITORY, directory)}


def write(directory, all_jobs, records):
    """Fails if this server did something wrong; that an aim is missed, or that a peer falls behind, is a result."""
    samples = Samples(records)
    (directory / "figures.md").write_text(figures_page(records[0], all_jobs, samples))
    (directory / "figures.svg").write_text(figures_plot(records[0], all_jobs, samples))
    for verdict in verdicts(samples, records[0]["byRate"]):
        say_verdict(verdict)
    print(f"written: {directory}/samples.jsonl, figures.md, figures.svg")
    wrong = [sample for sample in samples.all if sample["problems"] and not sample["isPeer"]]
    return failed(NAME, f"{len(wrong)} samples with problems, see figures.md") if wrong else 0
