"""Options, then: what is missing, build, the guest, verdict, output. The only module of these that ends the process."""
import argparse
import json
import os
import shlex
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from guest import emulator
from guest.contents import first_file_system
from guest.packages import MODULES, PROGRAMS, kernel
from guest.records import BEYOND, Records, problems, shown
from harness import machine
from harness.command import ended_by_signals, failed, positive

NAME = "perf/fan-out/guest"
REPOSITORY = Path(__file__).resolve().parents[3]
# A poll is over after 60 s: updates that are closer than that find each one waiting for its first time.
EVERY_SECONDS = 45
UPDATES_MIN = 5
CONNECTIONS = 4
# What a server or the driver opens beside a connection for each follower.
FILES_SPARE = 500
FILES_MIN = 100_000
# For all followers to receive the rest after the last update.
DRAIN_SECONDS = 600
MEMORY_MIB_MAX = 8192
# Starting the guest, connecting, and ending it.
SPARE_SECONDS = 900
PRODUCTS = 10


def main():
    options = parse(sys.argv[1:])
    if missing := machine.missing_packages(PROGRAMS):
        if not options.install:
            return failed(NAME, f"missing; `--install` does it: apt-get install {' '.join(missing)}")
        machine.install(missing)
    try:
        binaries = build(options)
        ended_by_signals(NAME, 2 * seconds_max(options))
        with tempfile.TemporaryDirectory(prefix="fan-out-guest-") as directory:
            facts, text = in_guest(options, binaries, Path(directory))
        return report(options, facts, Records(text))
    except (RuntimeError, ValueError, OSError, subprocess.SubprocessError) as problem:
        return failed(NAME, problem)


def parse(arguments):
    parser = argparse.ArgumentParser(
        prog=NAME + "/run", description="Lets more polls wait on one core of the real server than this machine has open files for: in a guest with a "
        "kernel of its own, emulated in software. Shows that it works, and nothing of how fast.")
    parser.add_argument("--followers", type=positive, default=40_000, help=f"waiting polls; only more than {BEYOND:,} show what is to be shown")
    parser.add_argument("--updates", type=positive, default=6, help=f"each must reach all followers; at least {UPDATES_MIN}")
    parser.add_argument("--every", type=positive, default=EVERY_SECONDS, metavar="SECONDS", help="between two updates")
    parser.add_argument("--memory", type=positive, default=4096, metavar="MIB", help=f"of the guest, at most {MEMORY_MIB_MAX}")
    parser.add_argument("--server", type=Path, metavar="BINARY", help="this build instead of one of these sources")
    parser.add_argument("--driver", type=Path, metavar="BINARY", help="likewise")
    parser.add_argument("--kernel-package", type=Path, metavar="FILE", help="a linux-image-*-cloud-amd64 that is there already; default: Debian's is downloaded")
    parser.add_argument("--output", type=Path, default=REPOSITORY / "perf/results" / f"{time.strftime('%Y-%m-%d')}-{machine.machine_name()}" / "fan-out-guest")
    parser.add_argument("--install", action="store_true", help="apt-get install what is missing")
    options = parser.parse_args(arguments)
    if options.updates < UPDATES_MIN:
        parser.error(f"at least {UPDATES_MIN} updates")
    if options.memory > MEMORY_MIB_MAX:
        parser.error(f"at most {MEMORY_MIB_MAX} MiB of memory")
    return options


def build(options):
    """The server and the driver, unless they are named."""
    target = (REPOSITORY / os.environ.get("CARGO_TARGET_DIR", "target") / "release").resolve()
    cargo = ["cargo", "build", "--release", "--quiet"]
    if not options.server:
        subprocess.run([*cargo, "--bin", "central-inventory"], cwd=REPOSITORY, check=True)
    if not options.driver:
        subprocess.run([*cargo, "--package", "inventory-bench", "--bin", "fan_out"], cwd=REPOSITORY, check=True)
    return {"central-inventory": options.server or target / "central-inventory", "fan_out": options.driver or target / "fan_out"}


def in_guest(options, binaries, directory):
    """Returns facts and what the guest wrote."""
    found = kernel(directory, options.kernel_package)
    first = first_file_system(binaries, found.modules, told(options))
    guest = emulator.Emulator(directory, found.image, first, options.memory)
    print(f"{NAME}: the guest is on, for some {(options.updates * options.every + 120) // 60 + 1} minutes", flush=True)
    of_now = facts(options, directory, found)
    return of_now, guest.run(seconds_max(options))


def told(options):
    """What `init` is told. The first update counts like any other."""
    connections = options.followers + FILES_SPARE
    driver = {"followers": options.followers, "rate": 1 / options.every, "warm-up": "0s", "duration": f"{options.updates * options.every}s",
              "drain": f"{DRAIN_SECONDS}s", "connections": CONNECTIONS, "products": PRODUCTS}
    return {"PORT": 8081, "METRICS_PORT": 9080, "FILES": max(FILES_MIN, connections + FILES_SPARE), "CONNECTIONS": connections,
            "MODULES": " ".join(f"{name}.ko" for name in MODULES),
            "DRIVER_OPTIONS": " ".join(f"--{name} {value}" for name, value in driver.items())}


def seconds_max(options):
    return options.updates * options.every + DRAIN_SECONDS + SPARE_SECONDS


def facts(options, directory, found):
    return {"date": time.strftime("%Y-%m-%d"), "command": shlex.join([NAME + "/run", *sys.argv[1:]]), "emulator": emulator.version(),
            "emulatedCpu": emulator.CPU, "kernelPackage": found.package, **machine.facts(REPOSITORY, directory)}


def report(options, facts, records):
    """Fails unless everything was shown."""
    wrong, figures = problems(records, options.followers, options.updates), shown(records, options.followers)
    options.output.mkdir(parents=True, exist_ok=True)
    text = json.dumps({"facts": facts, "shown": figures, "problems": wrong, "records": records.all}, indent=1)
    (options.output / "run.json").write_text(text + "\n")
    print(json.dumps(figures, indent=1))
    print(f"written: {options.output}/run.json")
    if wrong:
        return failed(NAME, "; ".join(wrong))
    print(f"ok: {figures['waitingAtOnce']:,} waited at once on one core, and each of {figures['updatesReceivedByAll']} updates reached all of them, in order. "
          "An emulated CPU is some twenty times slower: its times say nothing about speed.")
    return 0
