"""The emulator: CPUs in software, two unless chosen otherwise, a disk, and two serial ports that are files here."""
import signal
import subprocess

from harness.process import run, send

# An old processor: the emulator is slow at the vectors of newer ones, and nothing here needs them.
CPU = "Nehalem"
# What is emulated has no other guests to be protected from. The clock is read without the emulator's help.
KERNEL_OPTIONS = "console=ttyS0 loglevel=4 panic=-1 mitigations=off tsc=reliable"
# Each has a thread of the emulator's.
TWO_AT_ONCE = ("-accel", "tcg,thread=multi", "-smp", "2")
DISK_BYTES = 2 << 30
CONSOLE_LINES = 30


class Emulator:
    """One guest, from being switched on to having switched itself off."""

    def __init__(self, directory, kernel, first_file_system, memory_mib, processors=TWO_AT_ONCE, disk_options=""):
        self.console, self.records = directory / "console", directory / "records"
        disk, first = directory / "disk", directory / "first-file-system"
        first.write_bytes(first_file_system)
        with open(disk, "wb") as empty:
            empty.truncate(DISK_BYTES)
        run(["mke2fs", "-q", "-F", "-t", "ext4", disk])
        # setpriv: it ends with us even if we are killed.
        self.command = ["setpriv", "--pdeathsig", "KILL", "qemu-system-x86_64", *processors, "-cpu", CPU, "-machine", "q35",
                        "-m", str(memory_mib), "-nodefaults", "-no-user-config", "-display", "none", "-no-reboot",
                        "-kernel", str(kernel), "-initrd", str(first), "-append", KERNEL_OPTIONS,
                        "-serial", f"file:{self.console}", "-serial", f"file:{self.records}", "-drive", f"file={disk},if=virtio,format=raw{disk_options}"]

    def run(self, seconds_max):
        """Returns what the guest wrote to its second port."""
        emulator = subprocess.Popen(self.command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
        try:
            said, _ = emulator.communicate(timeout=seconds_max)
        except subprocess.TimeoutExpired as late:
            raise RuntimeError(f"the guest is not off within {late.timeout:.0f} s; its console:\n{self.last_lines()}") from late
        finally:
            if emulator.poll() is None:
                send(emulator.pid, signal.SIGKILL)
                emulator.wait()
        if emulator.returncode != 0:
            raise RuntimeError(f"the emulator failed: {said.strip()[-500:]}; the guest's console:\n{self.last_lines()}")
        return self.records.read_text(errors="replace")

    def last_lines(self):
        return "\n".join(self.console.read_text(errors="replace").splitlines()[-CONSOLE_LINES:]) if self.console.exists() else ""


def version():
    return run(["qemu-system-x86_64", "--version"]).splitlines()[0]
