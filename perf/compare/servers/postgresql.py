"""PostgreSQL in a cluster of its own, every commit synced before it returns, and the job as a function (postgresql.sql)."""
import shutil
import signal
from pathlib import Path

from harness.process import run
from harness.server import PRODUCTS, QUANTITY, Outcome, Store, is_root

from .strace import syncs_during

SCHEMA = Path(__file__).with_name("postgresql.sql")
USER = "postgres"
SPARE_CONNECTIONS = 20
# Checkpointer, two writers, and the launchers of autovacuum and replication. Each client has a process besides.
OWN_PROCESSES = 5


class PostgreSQL(Store):
    name = "postgresql"
    title = "PostgreSQL"
    # Ends at once: its data is thrown away.
    stop_signal = signal.SIGQUIT
    syncs_seen_by = "strace (fdatasync, fsync)"

    @staticmethod
    def product_id(number):
        """pgbench can only make numbers."""
        return str(number)

    def launch(self):
        # It refuses to run as root.
        self.user = USER if is_root() else None
        if self.user:
            shutil.chown(self.directory, USER, USER)
        self.data = self.directory / "data"
        as_user = ["setpriv", "--reuid", USER, "--regid", USER, "--init-groups"] if self.user else []
        run([*as_user, program("initdb"), "-D", self.data, "-U", USER, "-A", "trust", "-E", "UTF8", "--locale=C", "--no-sync"],
            120, cwd=self.directory)
        settings = {
            "port": self.port, "listen_addresses": "127.0.0.1", "unix_socket_directories": "",
            "max_connections": self.place.connections + SPARE_CONNECTIONS,
            "fsync": "on", "synchronous_commit": "on",
            "shared_buffers": "512MB",
            # No checkpoint in a measurement: each turn begins with one. In favour of PostgreSQL.
            "max_wal_size": "16GB", "checkpoint_timeout": "1h"}
        chosen = [part for name, value in settings.items() for part in ["-c", f"{name}={value}"]]
        self.spawn([program("postgres"), "-D", str(self.data), *chosen], user=self.user)

    def answers(self):
        try:
            return self.ask("SELECT 1") == "1"
        except RuntimeError:
            return False

    def prepare(self):
        run([*self.psql(), "-q", "-v", "ON_ERROR_STOP=1", "-f", SCHEMA])
        self.ask(f"INSERT INTO products SELECT n::text, {QUANTITY}, 1, now() FROM generate_series(0, {PRODUCTS - 1}) n")
        self.ask("VACUUM ANALYZE")

    def ready_for_turn(self):
        self.ask("CHECKPOINT")

    def has_clients(self, count):
        return self.process.child_count() >= OWN_PROCESSES + count

    def update(self, product, delta, key, version=None):
        expected = "NULL" if version is None else version
        try:
            answer = self.ask(f"SELECT * FROM apply_update('check', '{product}', {delta}, '{key}', {expected})")
        except RuntimeError as refused:
            return Outcome(False, str(refused))
        return Outcome(True, answer)

    def product(self, product):
        available, version = self.ask(f"SELECT available, version FROM products WHERE id = '{product}'").split("|")
        return int(available), int(version)

    def events(self):
        return int(self.ask("SELECT count(*) FROM events"))

    def syncs_during(self, work):
        return syncs_during(self.process, self.directory, work)

    def psql(self):
        return [program("psql"), "-h", "127.0.0.1", "-p", str(self.port), "-U", USER, "-d", "postgres", "-X", "-A", "-t"]

    def ask(self, statement):
        return run([*self.psql(), "-v", "ON_ERROR_STOP=1", "-c", statement], 120).strip()

    def version(self):
        return run([program("postgres"), "--version"]).strip()


def program(name):
    """Debian keeps each version's programs in a directory of its own; the newest is taken."""
    versions = sorted(Path("/usr/lib/postgresql").glob(f"*/bin/{name}"), key=lambda path: float(path.parent.parent.name))
    return str(versions[-1]) if versions else shutil.which(name) or name
