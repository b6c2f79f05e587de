"""What is needed to compare, beside what every measurement needs (harness/machine.py)."""
import subprocess

from harness import machine
from servers.postgresql import program

# Each program, and the Debian package that brings it.
PACKAGES = {"wrk": "wrk", "redis-server": "redis-server", "redis-benchmark": "redis-tools", "strace": "strace",
            program("postgres"): "postgresql", program("pgbench"): "postgresql", "taskset": "util-linux", "setpriv": "util-linux",
            "findmnt": "util-linux"}
# What the servers of one round write at most, for each second of a measurement: batches some 110 MB/s, seven others 25.
BYTES_PER_SECOND = 300_000_000


def facts(repository, directory):
    return {**machine.facts(repository, directory), "wrk": wrk_version()}


def wrk_version():
    """It says so where it explains its options, and calls that a failure."""
    said = subprocess.run(["wrk", "-v"], capture_output=True, text=True, timeout=10).stdout
    return said.split("[")[0].removeprefix("wrk").strip()
