"""What it is measured on, and what is missing on it."""
import glob
import os
import platform
import shutil
import subprocess
from pathlib import Path

from process import run
from servers.postgresql import program

# Each program, and the Debian package that brings it.
PACKAGES = {"wrk": "wrk", "redis-server": "redis-server", "redis-benchmark": "redis-tools", "strace": "strace",
            program("postgres"): "postgresql", program("pgbench"): "postgresql", "taskset": "util-linux", "setpriv": "util-linux",
            "findmnt": "util-linux"}
# What is there is gone when the power is.
NOT_DURABLE = {"tmpfs", "ramfs"}
# What the servers of one round write at most, for each second of a measurement: batches some 110 MB/s, seven others 25.
BYTES_PER_SECOND = 300_000_000
# PostgreSQL, as another user, has to reach its own directory in ours.
DIRECTORY_MODE = 0o711


def missing_packages():
    return sorted({package for command, package in PACKAGES.items() if not shutil.which(command)})


def install(packages):
    run(["apt-get", "update", "-q"], 600)
    run(["apt-get", "install", "-y", "-q", "--no-install-recommends", *packages], 1200,
        env={**os.environ, "DEBIAN_FRONTEND": "noninteractive"})


def file_system(directory):
    return run(["findmnt", "-n", "-o", "FSTYPE", "-T", directory]).strip()


def check_directory(directory, seconds):
    """Raises RuntimeError if servers that are to be durable cannot run there for so long."""
    kind, needed = file_system(directory), seconds * BYTES_PER_SECOND
    if kind in NOT_DURABLE:
        raise RuntimeError(f"{directory} is in memory, where nothing is durable: set TMPDIR to a directory on a disk")
    free = shutil.disk_usage(directory).free
    if free < needed:
        raise RuntimeError(f"{directory} has {free / 1e9:.1f} GB free, {needed / 1e9:.1f} are needed: set TMPDIR, or fewer --seconds")


def facts(repository, directory):
    return {"commit": commit(repository), "cpu": cpu_model(), "cpus": os.cpu_count(), "kernel": platform.release(),
            "fileSystem": file_system(directory), "rustc": run(["rustc", "--version"]).strip(), "python": platform.python_version(),
            "wrk": wrk_version()}


def commit(repository):
    try:
        changed = run(["git", "-C", repository, "status", "--porcelain", "--untracked-files=no"]).strip()
        return run(["git", "-C", repository, "rev-parse", "--short", "HEAD"]).strip() + (" and changes" if changed else "")
    except RuntimeError:
        return "unknown"


def wrk_version():
    """It says so where it explains its options, and calls that a failure."""
    said = subprocess.run(["wrk", "-v"], capture_output=True, text=True, timeout=10).stdout
    return said.split("[")[0].removeprefix("wrk").strip()


def cpu_model():
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            return line.split(":", 1)[1].strip()
    return platform.machine()


def machine_name():
    """For the directory of the results: it says what kind of machine it was, not which."""
    is_virtual = "hypervisor" in Path("/proc/cpuinfo").read_text()
    return f"{os.cpu_count()}cpu-{'vm' if is_virtual else 'machine'}"


def governor():
    found = {Path(path).read_text().strip() for path in glob.glob("/sys/devices/system/cpu/cpu*/cpufreq/scaling_governor")}
    return ", ".join(sorted(found)) or "not shown"
