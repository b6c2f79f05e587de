"""The archive that a kernel unpacks into its first file system: cpio in its form `newc`. Pure, so that no program is needed for it."""
import stat
from dataclasses import dataclass

ALIGNMENT = 4
# The kernel knows the end by this name.
LAST = "TRAILER!!!"


@dataclass(frozen=True)
class Entry:
    """`mode` says what it is and who may use it, as in `stat`."""
    path: str
    mode: int
    content: bytes = b""


def directory(path):
    return Entry(path, stat.S_IFDIR | 0o755)


def file(path, content, may_run=False):
    return Entry(path, stat.S_IFREG | (0o755 if may_run else 0o644), content)


def with_directories(entries):
    """Before each entry, those of its directories that no entry before it has."""
    known = set()
    for entry in entries:
        parts = entry.path.split("/")
        for count in range(1, len(parts)):
            path = "/".join(parts[:count])
            if path not in known:
                known.add(path)
                yield directory(path)
        known.add(entry.path)
        yield entry


def archive(entries):
    """Paths are relative to the root, and all belongs to root."""
    numbered = enumerate([*entries, Entry(LAST, 0)], start=1)
    return b"".join(packed(number, entry) for number, entry in numbered)


def packed(number, entry):
    name = entry.path.encode() + b"\0"
    links = 2 if stat.S_ISDIR(entry.mode) else 1
    user = group = modified = device_major = device_minor = of_device_major = of_device_minor = checksum = 0
    fields = (number, entry.mode, user, group, links, modified, len(entry.content), device_major, device_minor,
              of_device_major, of_device_minor, len(name), checksum)
    head = b"070701" + b"".join(b"%08X" % field for field in fields)
    return padded(head + name) + padded(entry.content)


def padded(content):
    return content + bytes(-len(content) % ALIGNMENT)
