"""Redis with an append-only file that is synced before the answer, and the job as a script (redis_update.lua)."""
from pathlib import Path

from harness.process import run
from harness.server import PRODUCTS, QUANTITY, Outcome, Store

from .strace import syncs_during

SCRIPT = Path(__file__).with_name("redis_update.lua")
EVENTS = "events"


class Redis(Store):
    name = "redis"
    title = "Redis"
    syncs_seen_by = "strace (fdatasync, fsync)"

    @staticmethod
    def product_id(number):
        """redis-benchmark writes random numbers with twelve digits."""
        return f"product:{number:012}"

    def launch(self):
        self.spawn(["redis-server", "--port", str(self.port), "--bind", "127.0.0.1", "--dir", str(self.directory),
                    "--appendonly", "yes", "--appendfsync", "always", "--auto-aof-rewrite-percentage", "0", "--save", "",
                    "--maxclients", str(self.place.connections + 100)])

    def answers(self):
        try:
            return self.ask("PING") == "PONG"
        except RuntimeError:
            return False

    def prepare(self):
        self.script = self.ask("SCRIPT", "LOAD", SCRIPT.read_text())
        products = "".join(f"HSET {self.product_id(number)} available {QUANTITY} version 1\n" for number in range(PRODUCTS))
        run(["redis-cli", "-e", "-p", str(self.port)], input=products)

    def call(self, product, delta, key, version):
        """The command of one update, for the check as for the driver."""
        return ["EVALSHA", self.script, "3", f"idempotency:{key}", product, EVENTS, "check", str(delta), version]

    def update(self, product, delta, key, version=None):
        try:
            return Outcome(True, self.ask(*self.call(product, delta, key, "any" if version is None else str(version))))
        except RuntimeError as refused:
            return Outcome(False, str(refused))

    def product(self, product):
        available, version = self.ask("HMGET", product, "available", "version").split()
        return int(available), int(version)

    def events(self):
        return int(self.ask("XLEN", EVENTS))

    def syncs_during(self, work):
        return syncs_during(self.process, self.directory, work)

    def ask(self, *command):
        return run(["redis-cli", "-e", "-p", str(self.port), *command], 30).strip()

    def version(self):
        return run(["redis-server", "--version"]).strip()
