"""The driver: `fan_out` of the bench crate, on its CPU, and what it said."""
import json
import signal
import subprocess

from harness.process import pinned, send
from jobs import MESSAGE_BYTES

# It gives up by itself where followers do not come to wait.
WAITING_SECONDS_MAX = 120
SPARE_SECONDS = 30
# A peer that has fallen behind is not waited for any longer.
DRAIN_SECONDS_OF_PEERS = 30


def drive(server, measurement, options, binaries):
    """Returns the driver's figures. Raises RuntimeError if it has none."""
    job, subject = measurement.job, measurement.subject
    seconds = max(options.seconds, job.seconds_min)
    drain = drain_seconds(subject, options)
    command = pinned(options.client_cpu) + [
        str(binaries / "fan_out"), "--subject", subject.protocol, "--address", f"127.0.0.1:{server.port}",
        "--status", f"127.0.0.1:{server.status_port}", "--server-pid", ",".join(map(str, server.pids())),
        "--followers", str(job.followers), "--rate", str(job.rate), "--connections", str(job.connections),
        "--duration", f"{seconds}s", "--drain", f"{drain}s", "--message-bytes", str(MESSAGE_BYTES)]
    child = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    try:
        said, complaint = child.communicate(timeout=seconds_max(seconds, drain))
    except subprocess.TimeoutExpired as late:
        raise RuntimeError(f"the driver does not end within {late.timeout:.0f} s") from late
    finally:
        if child.returncode is None:
            send(child.pid, signal.SIGKILL)
            child.wait()
    if not said.strip():
        raise RuntimeError(f"the driver failed: {complaint.strip()[-500:]}")
    return json.loads(said)


def drain_seconds(subject, options):
    return min(options.drain, DRAIN_SECONDS_OF_PEERS) if subject.is_peer else options.drain


def seconds_max(seconds, drain):
    return WAITING_SECONDS_MAX + seconds + 2 * drain + SPARE_SECONDS
