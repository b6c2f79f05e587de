"""What every server can do for the rounds; the stores can do an update besides, so that it can be checked."""
import os
import signal
import socket
from dataclasses import dataclass
from pathlib import Path

from .process import Process, wait_until

PRODUCTS = 1000
QUANTITY = 1_000_000


@dataclass(frozen=True)
class Place:
    """Where a server may be."""
    directory: Path
    cpu: int
    connections: int
    binaries: Path


@dataclass(frozen=True)
class Outcome:
    """What one update came to. `answer` is what the server said, for comparing repeats."""
    applied: bool
    answer: str


class Server:
    """One server on its CPU. Paused whenever it is not its turn."""
    name = ""
    title = ""
    stop_signal = signal.SIGTERM
    is_store = False

    def __init__(self, place):
        self.place = place
        self.directory = place.directory / self.name
        self.directory.mkdir()
        self.port = free_port()
        self.process = None

    def start(self):
        self.launch()
        wait_until(self.answers_or_ended, f"{self.title} answers")

    def launch(self):
        raise NotImplementedError

    def spawn(self, command, environment=None, user=None):
        self.process = Process(command, self.place.cpu, self.directory / "log", environment, user)

    def answers_or_ended(self):
        if not self.process.is_running():
            raise RuntimeError(f"{self.title} ended: {self.process.last_lines()}")
        return self.answers()

    def answers(self):
        raise NotImplementedError

    def prepare(self):
        """Products, tables, scripts."""

    def ready_for_turn(self):
        """Runs after it was resumed, before it is measured."""

    def has_clients(self, count):
        """Whether a driver that has just been started has all its connections, where making them costs the server much."""
        return True

    def cpu_seconds(self):
        return self.process.cpu_seconds()

    def pause(self):
        self.process.pause()

    def resume(self):
        self.process.resume()
        wait_until(self.answers_or_ended, f"{self.title} answers again")
        self.ready_for_turn()

    def stop(self):
        if self.process:
            self.process.stop(self.stop_signal)

    def version(self):
        return ""


class Store(Server):
    """A server that does the job."""
    is_store = True
    # How a sync of the disk is seen from outside.
    syncs_seen_by = ""

    @staticmethod
    def product_id(number):
        raise NotImplementedError

    def update(self, product, delta, key, version=None):
        """One durable update; without a version, whatever version is current. Returns its Outcome."""
        raise NotImplementedError

    def product(self, product):
        """Its quantity and version."""
        raise NotImplementedError

    def events(self):
        """How many events were appended so far."""
        raise NotImplementedError

    def syncs_during(self, work):
        """How often the disk was synced while `work()` ran."""
        raise NotImplementedError


def free_port():
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return free.getsockname()[1]


def is_root():
    return os.geteuid() == 0
