"""What the drivers share: a child on its CPU, timed, and what it came to."""
import os
import signal
import subprocess
import time
from dataclasses import asdict, dataclass

from harness.process import busy_seconds, cpu_seconds, pinned, send

CONNECTING_SECONDS_MAX = 20
SPARE_SECONDS = 40


@dataclass
class Load:
    """What a driver saw. Operations are updates or reads, not requests."""
    operations: int
    # Those that were sent but perhaps not answered before the time was over are in here too.
    operations_max: int
    failed: int
    rate: float
    p50_us: float
    p99_us: float
    # From when all connections were there to the end: what the server and the driver took of a CPU each.
    seconds: float = 0.0
    server_cpu_seconds: float = 0.0
    driver_cpu_seconds: float = 0.0
    # Of the time of both CPUs, what went to neither: interrupts, the kernel's workers, other work on the machine.
    other_cpu_share: float = 0.0

    def as_json(self):
        return {name: round(value, 6) if isinstance(value, float) else value for name, value in asdict(self).items()}


@dataclass(frozen=True)
class Ran:
    output: str
    seconds: float
    server_cpu_seconds: float
    driver_cpu_seconds: float
    other_cpu_share: float

    def onto(self, load):
        load.seconds, load.server_cpu_seconds = self.seconds, self.server_cpu_seconds
        load.driver_cpu_seconds, load.other_cpu_share = self.driver_cpu_seconds, self.other_cpu_share
        return load


def run(command, cpu, server, connections, seconds, directory):
    """Runs a driver to its end, and measures it and the server meanwhile. Making connections does not count."""
    output = directory / "driver"
    with open(output, "wb") as to:
        child = subprocess.Popen(pinned(cpu) + [str(part) for part in command], stdin=subprocess.DEVNULL, stdout=to, stderr=to,
                                 cwd=directory)
    end = time.monotonic() + CONNECTING_SECONDS_MAX + seconds + SPARE_SECONDS
    try:
        while not server.has_clients(connections) and not has_ended(child.pid) and time.monotonic() < end:
            time.sleep(0.01)
        before = looked(server, cpu), cpu_seconds(child.pid)
        status, usage = wait(child, end)
        after = looked(server, cpu), usage.ru_utime + usage.ru_stime
    finally:
        if child.returncode is None:
            send(child.pid, signal.SIGKILL)
            child.wait()
    said = output.read_text(errors="replace")
    if status != 0:
        raise RuntimeError(f"{command[0]} failed: {said.strip()[-500:]}")
    (seconds, server_seconds, busy), driver_seconds = [b - a for a, b in zip(before[0], after[0])], after[1] - before[1]
    other = max(0.0, busy - server_seconds - driver_seconds) / (2 * seconds)
    return Ran(said, seconds, server_seconds, driver_seconds, other)


def looked(server, cpu):
    """The time, the server's CPU time, and how long both CPUs were busy."""
    return time.monotonic(), server.cpu_seconds(), busy_seconds({server.place.cpu, cpu})


def has_ended(pid):
    """Whether it is a zombie, which leaves it to be waited for."""
    with open(f"/proc/{pid}/stat") as stat:
        return stat.read().rsplit(")", 1)[1].split()[0] == "Z"


def wait(child, end):
    """As `Popen.wait`, with the CPU time that the child took."""
    while time.monotonic() < end:
        pid, status, usage = os.wait4(child.pid, os.WNOHANG)
        if pid:
            child.returncode = os.waitstatus_to_exitcode(status)
            return child.returncode, usage
        time.sleep(0.01)
    raise RuntimeError(f"{child.args} does not end")


def percentile(ordered, share):
    return ordered[min(len(ordered) - 1, int(len(ordered) * share))]
