"""The disk by itself: what one write and sync of the bytes of one update take. No process runs between its turns."""
from harness.server import Server


class Disk(Server):
    name = "disk"
    title = "one bare write and sync"

    def start(self):
        pass

    def cpu_seconds(self):
        return 0.0

    def pause(self):
        pass

    def resume(self):
        pass
