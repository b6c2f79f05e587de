#!/usr/bin/env python3
"""Load of all sorts on one server: `drive.py BASE_URL SECONDS`. Each thread plays one kind of client, well-behaved or not, and goes on
whatever it is answered: this makes numbers move, it judges no answer. At the end it prints how many answers of each status it got."""

import collections
import http.client
import itertools
import json
import random
import socket
import sys
import threading
import time
import urllib.parse

PRODUCTS = 200
STORES = 12
PAUSE_SECONDS = 0.02
# At the beginning of each such time nobody changes anything for a while, so that polls wait until their time ends.
QUIET_EVERY_SECONDS = 8
QUIET_SECONDS = 1.5


def main():
    base, seconds = urllib.parse.urlsplit(sys.argv[1]), float(sys.argv[2])
    load = Load(base.hostname, base.port, time.monotonic() + seconds)
    load.client(None).create(range(PRODUCTS))
    players = [store] * STORES + [follower] * 8 + [reader] * 2
    players += [batches, administrator, nuisance, greedy, hasty, late_poller, crowd, half_sender, never_reader]
    threads = [threading.Thread(target=load.play, args=(player, number)) for number, player in enumerate(players)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    print(" ".join(f"{status}:{count}" for status, count in sorted(load.answers.items())))


class Load:
    def __init__(self, host, port, end):
        self.host, self.port, self.end = host, port, end
        self.answers = collections.Counter()

    def client(self, address):
        return Client(self, address)

    def is_quiet(self):
        return time.monotonic() % QUIET_EVERY_SECONDS < QUIET_SECONDS

    def play(self, player, number):
        client = self.client(address(number))
        for turn in itertools.count():
            if time.monotonic() > self.end:
                return
            while self.is_quiet() and player in (store, batches, administrator):
                time.sleep(PAUSE_SECONDS)
            try:
                player(client, number, turn)
            except (OSError, http.client.HTTPException):
                client.leave()
            time.sleep(PAUSE_SECONDS)


def address(number):
    """Where client `number` seems to come from, through the trusted proxy 127.0.0.1: far away, near by, or the machine itself."""
    return [f"203.0.113.{number}", f"10.1.2.{number}", f"127.1.2.{number}"][number % 3]


class Client:
    """One connection, made anew when it was closed."""

    def __init__(self, load, address):
        self.load, self.address = load, address
        self.connection = None
        self.offset = None
        self.spent = set()

    def ask(self, method, path, body=None, key="demo", **headers):
        if self.connection is None:
            self.connection = http.client.HTTPConnection(self.load.host, self.load.port, timeout=10)
        headers |= {"X-API-Key": key} if key else {}
        headers |= {"X-Forwarded-For": self.address} if self.address else {}
        text = body if body is None or isinstance(body, str) else json.dumps(body)
        self.connection.request(method, path, text, headers)
        answer = self.connection.getresponse()
        content = answer.read()
        self.load.answers[answer.status] += 1
        if answer.will_close:
            self.leave()
        return answer.status, content

    def leave(self):
        if self.connection is not None:
            self.connection.close()
            self.connection = None

    def end_of_feed(self):
        status, content = self.ask("GET", "/v1/inventory/snapshot")
        if status != 200:
            raise ConnectionRefusedError(status)
        return json.loads(content)["nextOffset"]

    def admin(self, method, path, body=None):
        return self.ask(method, "/v1/admin/" + path, body, key="admin-demo")

    def create(self, numbers):
        products = [{"productId": product(number), "name": "A thing", "available": 1_000_000, "price": 9.99} for number in numbers]
        return self.admin("POST", "products/create", {"products": products})


def product(number):
    return f"WATCH-{number:04}"


def change(key, **others):
    return {"productId": product(random.randrange(PRODUCTS)), "delta": random.choice([-2, -1, 3]), "idempotencyKey": key, "anyVersion": True} | others


def store(client, number, turn):
    """Updates: most are applied, some repeat, some are stale, some ask for the impossible."""
    body = {"storeId": f"store-{number}"} | change(f"{number}-{turn}")
    if turn % 10 == 3:
        del body["anyVersion"]
        body["version"] = 1
    elif turn % 10 == 4:
        body |= {"delta": -9_000_000}
    elif turn % 50 == 5:
        body |= {"delta": 2**53 - 1}
    elif turn % 50 == 6:
        body |= {"productId": "NO-SUCH-THING"}
    client.ask("POST", "/v1/inventory/updates", body)
    if turn % 10 == 7:
        client.ask("POST", "/v1/inventory/updates", body)
    if turn % 50 == 8:
        client.ask("POST", "/v1/inventory/updates", body | {"delta": body["delta"] + 1})


def batches(client, number, turn):
    """Small ones, and every few seconds some that together are more than the idempotency memory holds."""
    sizes = [1000] * 6 if turn % 120 == 20 else [random.choice([2, 20, 100])]
    for part, size in enumerate(sizes):
        updates = [change(f"batch-{turn}-{part}-{item}") for item in range(size)]
        client.ask("POST", "/v1/inventory/updates", {"storeId": "store-batches", "updates": updates})
    time.sleep(0.1)


def follower(client, number, turn):
    """Follows the feed as a store does: from the snapshot on, then from offset to offset."""
    if client.offset is None:
        client.offset = client.end_of_feed()
    status, content = client.ask("GET", f"/v1/inventory/events?offset={client.offset}&limit=1000&wait=1")
    client.offset = json.loads(content)["nextOffset"] if status == 200 else None


def late_poller(client, number, turn):
    """Old events, expired ones, and some that do not exist yet."""
    for offset in [0, 1 << 40]:
        client.ask("GET", f"/v1/inventory/events?offset={offset}&limit=10")
    end = client.end_of_feed()
    client.ask("GET", f"/v1/inventory/events?offset={max(0, end - 600)}&limit=10")
    time.sleep(0.2)


def reader(client, number, turn):
    client.ask("GET", "/v1/inventory/" + product(random.randrange(PRODUCTS)))
    client.ask("GET", "/v1/inventory?limit=50")
    client.ask("GET", "/v1/inventory/" + product(1), **{"If-None-Match": "*"})
    client.ask("GET", "/v1/inventory/no-such-thing")
    time.sleep(0.08)


def administrator(client, number, turn):
    """The whole life of a product, asked for from ever new addresses, since the budget of each is small."""
    client.address = f"10.9.{turn >> 8 & 255}.{turn & 255}"
    extra = PRODUCTS + turn % 50
    client.create([extra])
    client.create([extra])
    client.admin("PUT", "products/set", {"products": [{"productId": product(extra), "price": 1 + turn}]})
    client.admin("DELETE", "products/delete", {"productIds": [product(extra)]})
    client.admin("GET", "rate-limit/status")
    time.sleep(0.5)


def nuisance(client, number, turn):
    """Everything that is refused before it is decided, and all that needs no key."""
    client.ask("POST", "/v1/inventory/updates", "{")
    client.ask("POST", "/v1/inventory/updates", {"storeId": ""})
    client.ask("POST", "/v1/inventory/updates", "<a/>", **{"Content-Type": "application/xml"})
    client.ask("GET", "/v1/inventory", key="guessed")
    client.ask("GET", "/v1/admin/rate-limit/status")
    client.ask("PATCH", "/v1/inventory")
    client.ask("GET", "/no/such/path")
    client.ask("GET", "/v1/inventory", **{"X-Long": "x" * 20_000})
    for path in ["/health", "/health/live", "/health/ready", "/problems/not_found", "/openapi.json", "/docs"]:
        client.ask("GET", path, key=None)
    client.ask("POST", "/v1/inventory/updates", "x" * (1 << 20 | 1))
    time.sleep(0.2)


def greedy(client, number, turn):
    """Spends its budget of the admin endpoints, from an address of each type."""
    client.address = ["198.51.100.7", "192.168.7.7", "127.7.7.7"][turn % 3]
    client.admin("GET", "rate-limit/status")


def hasty(client, number, turn):
    """Spends its large budget in one breath, once a minute, from an address of each type."""
    client.address = ["198.51.100.8", "192.168.7.8", "127.7.7.8"][turn % 3]
    occasion = (client.address, time.monotonic() // 60)
    if occasion not in client.spent and spend_budget(client):
        client.spent.add(occasion)


def spend_budget(client):
    """Whether it came to a refusal; the connection itself may be refused before that."""
    asked, text = 7000, head("GET", "/v1/inventory/x", f"X-Forwarded-For: {client.address}\r\n")
    with quiet_socket(client) as connection:
        threading.Thread(target=send_if_open, args=(connection, text * asked)).start()
        while asked > 0 and (read := connection.recv(1 << 16)):
            asked -= read.count(b"HTTP/1.1 ")
            if b"HTTP/1.1 429" in read:
                return True
    return False


def crowd(client, number, turn):
    """In a quiet moment: more waiting polls, and more connections, than there are places for. The polls leave before their answers."""
    if not client.load.is_quiet():
        return
    time.sleep(0.2)
    end = client.end_of_feed()
    client.leave()
    # From another loopback address, which is no proxy, so that the bound on connections of one address is met too.
    polls = [quiet_socket(client, "127.0.0.2") for _ in range(20)]
    for one in polls:
        send_if_open(one, head("GET", f"/v1/inventory/events?offset={end}&wait=30"))
    others = [quiet_socket(client) for _ in range(100)]
    time.sleep(0.3)
    for one in polls + others:
        one.close()
    time.sleep(2)


def half_sender(client, number, turn):
    """Begins a head, begins a body, or asks once and stays: each falls silent for longer than its deadline."""
    begun = [quiet_socket(client) for _ in range(3)]
    send_if_open(begun[0], b"GET /health HTTP/1.1\r\nHost:")
    send_if_open(begun[1], head("POST", "/v1/inventory/updates", "Content-Length: 100\r\n"))
    send_if_open(begun[2], head("GET", "/health"))
    time.sleep(4)
    for one in begun:
        one.close()


def never_reader(client, number, turn):
    """Asks for much and reads none of it."""
    with quiet_socket(client, receive_buffer=4096) as deaf:
        send_if_open(deaf, head("GET", "/v1/inventory/snapshot") * 300)
        time.sleep(4)


def quiet_socket(client, source="127.0.0.1", receive_buffer=None):
    one = socket.socket()
    if receive_buffer:
        one.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
    one.settimeout(1)
    one.bind((source, 0))
    one.connect((client.load.host, client.load.port))
    return one


def send_if_open(one, data):
    try:
        one.sendall(data)
    except OSError:
        pass  # It was refused: what it came for.


def head(method, path, more=""):
    return f"{method} {path} HTTP/1.1\r\nHost: localhost\r\nX-API-Key: demo\r\n{more}\r\n".encode()


if __name__ == "__main__":
    main()
