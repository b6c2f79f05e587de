"""Processes of the servers and drivers: started on one CPU, paused, measured, ended. Nothing that was not started here."""
import os
import signal
import subprocess
import time
from pathlib import Path

TICKS_PER_SECOND = os.sysconf("SC_CLK_TCK")
STOP_SECONDS_MAX = 20


def pinned(cpu, user=None):
    """What stands before a command: its CPU, its user, and that it ends with us even if we are killed."""
    command = ["taskset", "-c", str(cpu), "setpriv", "--pdeathsig", "KILL"]
    return command + (["--reuid", user, "--regid", user, "--init-groups"] if user else [])


class Process:
    """A server with all the processes that it forks."""

    def __init__(self, command, cpu, log, environment=None, user=None):
        with open(log, "ab") as to:
            self.popen = subprocess.Popen(pinned(cpu, user) + command, stdin=subprocess.DEVNULL, stdout=to, stderr=to,
                                          env={"PATH": os.environ["PATH"], **(environment or {})}, cwd=Path(log).parent)
        self.log = Path(log)

    def is_running(self):
        return self.popen.poll() is None

    def children(self):
        return descendants(self.popen.pid)

    def child_count(self):
        """Of its own children alone: cheap enough to be asked often."""
        return len(children_of(self.popen.pid, self.popen.pid))

    def cpu_seconds(self):
        return sum(map(cpu_seconds, [self.popen.pid, *self.children()]))

    def pause(self):
        """The parent first, so that it forks no more while its children are stopped."""
        self.signal_all(signal.SIGSTOP)

    def resume(self):
        self.signal_all(signal.SIGCONT)

    def signal_all(self, which):
        if self.is_running():
            send(self.popen.pid, which)
            for child in self.children():
                send(child, which)

    def stop(self, gently=signal.SIGTERM):
        if not self.is_running():
            return
        self.resume()
        send(self.popen.pid, gently)
        try:
            self.popen.wait(STOP_SECONDS_MAX)
        except subprocess.TimeoutExpired:
            self.signal_all(signal.SIGKILL)
            self.popen.wait(STOP_SECONDS_MAX)

    def last_lines(self, count=5):
        return "\n".join(self.log.read_text(errors="replace").splitlines()[-count:])


def send(pid, which):
    try:
        os.kill(pid, which)
    except ProcessLookupError:
        pass  # It ended by itself.


def descendants(pid):
    """Children of `pid` and theirs, whatever sessions and groups they made for themselves."""
    try:
        tasks = os.listdir(f"/proc/{pid}/task")
    except (FileNotFoundError, ProcessLookupError):
        return []
    found = [child for task in tasks for child in children_of(pid, task)]
    return found + [deeper for child in found for deeper in descendants(child)]


def children_of(pid, task):
    try:
        return list(map(int, Path(f"/proc/{pid}/task/{task}/children").read_text().split()))
    except (FileNotFoundError, ProcessLookupError):
        return []


def cpu_seconds(pid):
    """CPU time of a process and of its children that have ended. `stat` counts in ticks of 10 ms, too coarse for hundreds of
    processes with some milliseconds each, so a process of one thread is read from `schedstat`, which counts nanoseconds."""
    try:
        own, ended, threads = parse_stat(Path(f"/proc/{pid}/stat").read_text())
        if threads == 1:
            own = int(Path(f"/proc/{pid}/schedstat").read_text().split()[0]) / 1e9
    except (FileNotFoundError, ProcessLookupError):
        return 0.0
    return own + ended


def parse_stat(text):
    """Seconds of the process, of its ended children, and how many threads it has."""
    fields = text.rsplit(")", 1)[1].split()
    user, system, children_user, children_system = map(int, fields[11:15])
    return (user + system) / TICKS_PER_SECOND, (children_user + children_system) / TICKS_PER_SECOND, int(fields[17])


def busy_seconds(cpus):
    """CPU seconds that these CPUs were not idle so far, whoever used them: processes, the kernel, interrupts, other guests."""
    return sum(parse_busy(Path("/proc/stat").read_text(), {f"cpu{cpu}" for cpu in cpus})) / TICKS_PER_SECOND


def parse_busy(text, names):
    for line in text.splitlines():
        name, *ticks = line.split()
        if name in names:
            user, nice, system, _idle, _waiting, interrupts, soft_interrupts, stolen = map(int, ticks[:8])
            yield user + nice + system + interrupts + soft_interrupts + stolen


def run(command, seconds_max=60, **options):
    """A short command that must succeed. Returns what it printed."""
    done = subprocess.run(command, capture_output=True, text=True, timeout=seconds_max, **options)
    if done.returncode != 0:
        raise RuntimeError(f"{' '.join(map(str, command))} failed: {(done.stderr or done.stdout).strip()[-500:]}")
    return done.stdout


def wait_until(true, what, seconds_max=30):
    end = time.monotonic() + seconds_max
    while time.monotonic() < end:
        if true():
            return
        time.sleep(0.02)
    raise RuntimeError(f"{what}: not within {seconds_max} s")
