"""What it is measured on, and what is missing on it."""
import glob
import os
import platform
import shutil
from pathlib import Path

from .process import run

# What is there is gone when the power is.
NOT_DURABLE = {"tmpfs", "ramfs"}
# Servers that run as other users have to reach their own directories in ours.
DIRECTORY_MODE = 0o711


def missing_packages(packages):
    """Of `packages`, a Debian package for each program, those whose program is not there."""
    return sorted({package for command, package in packages.items() if not shutil.which(command)})


def install(packages):
    run(["apt-get", "update", "-q"], 600)
    run(["apt-get", "install", "-y", "-q", "--no-install-recommends", *packages], 1200,
        env={**os.environ, "DEBIAN_FRONTEND": "noninteractive"})


def file_system(directory):
    return run(["findmnt", "-n", "-o", "FSTYPE", "-T", directory]).strip()


def check_directory(directory, needed):
    """Raises RuntimeError if servers that are to be durable cannot run there, and write so many bytes."""
    if file_system(directory) in NOT_DURABLE:
        raise RuntimeError(f"{directory} is in memory, where nothing is durable: set TMPDIR to a directory on a disk")
    free = shutil.disk_usage(directory).free
    if free < needed:
        raise RuntimeError(f"{directory} has {free / 1e9:.1f} GB free, {needed / 1e9:.1f} are needed: set TMPDIR, or measure less")


def facts(repository, directory):
    return {"commit": commit(repository), "cpu": cpu_model(), "cpus": os.cpu_count(), "governor": governor(), "kernel": platform.release(),
            "fileSystem": file_system(directory), "rustc": run(["rustc", "--version"]).strip(), "python": platform.python_version()}


def commit(repository):
    try:
        changed = run(["git", "-C", repository, "status", "--porcelain", "--untracked-files=no"]).strip()
        return run(["git", "-C", repository, "rev-parse", "--short", "HEAD"]).strip() + (" and changes" if changed else "")
    except RuntimeError:
        return "unknown"


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
