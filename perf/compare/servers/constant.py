"""The yardsticks: HTTP servers on the same executor that do no work (examples/constant_server.rs, socket_server.rs)."""
import http.client

from harness.server import Server


# Of all yardsticks the same, head included.
ANSWER_BYTES = 230


class Constant(Server):
    example = ""

    def launch(self):
        self.spawn([str(self.place.binaries / "examples" / self.example)], {"PORT": str(self.port)})

    def answers(self):
        try:
            return self.answer()[0] == 200
        except OSError:
            return False

    def prepare(self):
        size = self.answer()[1]
        assert size == ANSWER_BYTES, f"{self.title}: the answer has {size} bytes, not {ANSWER_BYTES} as that of the other"

    def answer(self):
        """Status and how many bytes the whole answer has, head included."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=10)
        try:
            connection.request("POST", "/", "{}")
            answer = connection.getresponse()
            head = len("HTTP/1.1 200 OK\r\n\r\n") + sum(len(f"{name}: {value}\r\n") for name, value in answer.getheaders())
            return answer.status, head + len(answer.read())
        finally:
            connection.close()


class Hyper(Constant):
    name = "constant"
    title = "hyper, a constant"
    example = "constant_server"


class Socket(Constant):
    name = "socket"
    title = "bare sockets, a constant"
    example = "socket_server"
