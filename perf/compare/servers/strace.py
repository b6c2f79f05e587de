"""Counts the syncs that a server asks the kernel for, by system call."""
import re
import signal
import subprocess

from harness.process import wait_until

CALLS = "fsync,fdatasync,sync_file_range,msync"
SYNC = re.compile(r"\b(?:fsync|fdatasync)\(")


def syncs_during(process, directory, work):
    """How often `process` and its children, those included that it forks meanwhile, synced a file while `work()` ran."""
    trace = directory / "strace"
    pids = [str(pid) for pid in [process.popen.pid, *process.children()]]
    command = ["strace", "-f", "-e", f"trace={CALLS}", "-o", str(trace)]
    for pid in pids:
        command += ["-p", pid]
    strace = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        wait_until(lambda: traced(pids[0], strace), "strace attaches")
        work()
    finally:
        strace.send_signal(signal.SIGINT)
        strace.wait(20)
    return len(SYNC.findall(trace.read_text()))


def traced(pid, strace):
    if strace.poll() is not None:
        raise RuntimeError("strace cannot attach; it needs to be root, or the right to trace")
    with open(f"/proc/{pid}/status") as status:
        return f"TracerPid:\t{strace.pid}\n" in status.read()
