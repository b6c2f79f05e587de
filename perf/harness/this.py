"""This server as it is shipped, but for the rate limiter: every update durable before its answer, metrics and log on."""
import http.client
import json
import re
import urllib.request

from .process import run
from .server import PRODUCTS, QUANTITY, Outcome, Store, free_port

BEYOND_ANY_OFFSET = 1 << 52


class This(Store):
    name = "this"
    title = "central-inventory"
    syncs_seen_by = "its metric inventory_journal_sync_duration_seconds (the sync goes through io_uring, where strace is blind)"

    @staticmethod
    def product_id(number):
        return f"BENCH-{number:04}"

    def launch(self):
        self.metrics_port = free_port()
        self.spawn([str(self.binary())], {
            "PORT": str(self.port), "METRICS_PORT": str(self.metrics_port), "BIND_ADDRESS": "127.0.0.1",
            "RATE_LIMIT_ENABLED": "false", "JOURNAL_SYNC": "always", "LOG_LEVEL": "info",
            "DATA_PATH": str(self.directory / "inventory.json"), "EVENTS_FILE_PATH": str(self.directory / "events.json"),
            **self.environment()})

    def binary(self):
        return self.place.binaries / "central-inventory"

    def environment(self):
        """What a measurement sets besides."""
        return {}

    def answers(self):
        try:
            return self.ask("GET", "/health")[0] == 200
        except OSError:
            return False

    def prepare(self):
        products = [{"productId": self.product_id(number), "name": "Bench", "available": QUANTITY, "price": 9.99}
                    for number in range(PRODUCTS)]
        status, answer = self.ask("POST", "/v1/admin/products/create", {"products": products}, key="admin-demo")
        assert status == 200 and json.loads(answer)["summary"]["successfulCreations"] == PRODUCTS, answer

    def update(self, product, delta, key, version=None):
        expected = {"anyVersion": True} if version is None else {"version": version}
        status, answer = self.ask("POST", "/v1/inventory/updates", {
            "storeId": "check", "productId": product, "delta": delta, "idempotencyKey": key, **expected})
        return Outcome(status == 200, answer)

    def product(self, product):
        found = json.loads(self.ask("GET", f"/v1/inventory/{product}")[1])
        return found["available"], found["version"]

    def events(self):
        status, answer = self.ask("GET", f"/v1/inventory/events?offset={BEYOND_ANY_OFFSET}")
        assert status == 410, answer
        return json.loads(answer)["nextOffset"]

    def syncs_during(self, work):
        before = self.syncs()
        work()
        return self.syncs() - before

    def syncs(self):
        with urllib.request.urlopen(f"http://127.0.0.1:{self.metrics_port}/metrics", timeout=10) as answer:
            return int(re.search(r"^inventory_journal_sync_duration_seconds_count (\d+)", answer.read().decode(), re.M)[1])

    def ask(self, method, path, body=None, key="demo"):
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=10)
        try:
            connection.request(method, path, json.dumps(body) if body else None,
                               {"X-API-Key": key, "Content-Type": "application/json"})
            answer = connection.getresponse()
            return answer.status, answer.read().decode()
        finally:
            connection.close()

    def version(self):
        return run([str(self.binary()), "--version"]).strip()
