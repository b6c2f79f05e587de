"""nginx with nchan: messages in memory, nothing durable, no decision, no idempotency."""
import re
import subprocess
import urllib.request
from pathlib import Path

from harness.server import Server

PROGRAM = "/usr/sbin/nginx"
MODULE = Path("/usr/lib/nginx/modules/ngx_nchan_module.so")
CONFIGURATION = Path(__file__).with_name("nchan.conf")
# The listening socket, the logs, and what nginx keeps for itself.
FILES_SPARE = 64


class Nchan(Server):
    name = "nchan"
    title = "nchan"

    def launch(self):
        values = {"MODULE": MODULE, "DIRECTORY": self.directory, "PORT": self.port, "FILES": self.place.connections + FILES_SPARE,
                  "CONNECTIONS": 2 * self.place.connections}
        text = re.sub(r"@(\w+)@", lambda match: str(values[match[1]]), CONFIGURATION.read_text())
        (self.directory / "nginx.conf").write_text(text)
        self.spawn([PROGRAM, "-p", str(self.directory), "-c", str(self.directory / "nginx.conf")])

    def answers(self):
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{self.port}/status", timeout=10) as answer:
                return answer.status == 200
        except OSError:
            return False

    @property
    def status_port(self):
        return self.port

    def pids(self):
        """The worker, whose memory counts, and the master."""
        return [*self.process.children(), self.process.popen.pid]

    def version(self):
        # It says so as if it were an error.
        nginx = subprocess.run([PROGRAM, "-v"], capture_output=True, text=True, timeout=10).stderr.strip()
        module = subprocess.run(["dpkg-query", "-W", "-f", "${Version}", "libnginx-mod-nchan"], capture_output=True, text=True, timeout=10).stdout
        return f"{nginx}, nchan {module or 'of unknown version'}"
