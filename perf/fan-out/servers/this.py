"""This server as it is shipped, but for the rate limiter and the limits on connections and waiting polls."""
from harness.this import This


class Fleet(This):
    # Where another build than ours is measured.
    chosen = None

    def binary(self):
        return self.chosen or super().binary()

    def environment(self):
        room = str(self.place.connections)
        return {"MAX_CONNECTIONS": room, "MAX_CONNECTIONS_PER_IP": room, "MAX_WAITERS": room}

    @property
    def status_port(self):
        return self.metrics_port

    def pids(self):
        return [self.process.popen.pid]


class Before(Fleet):
    name = "before"
    title = "central-inventory before"
