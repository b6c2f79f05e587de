#!/usr/bin/env python3
"""What one write and sync take on the disk by itself, as the server's journal does them: one block of 4 KiB, which is what
a group of one update is padded to, past the page cache, into a file that has its size and its blocks already, then fdatasync.

    probe.py FILE SECONDS
"""
import json
import mmap
import os
import sys
import time
from pathlib import Path

BLOCK = 4096
FILE_BLOCKS = 4096


def drive(server, measurement, seconds, cpu):
    """On the CPU of the servers, whose work it stands for."""
    from .driver import Load, run
    ran = run([sys.executable, Path(__file__).resolve(), server.directory / "probe", seconds], server.place.cpu, server, 0,
              seconds, server.directory)
    said = json.loads(ran.output)
    return ran.onto(Load(operations=said["writes"], operations_max=said["writes"], failed=0, rate=said["writes"] / said["seconds"],
                         p50_us=said["p50_us"], p99_us=said["p99_us"]))


def measure(path, seconds):
    block = mmap.mmap(-1, BLOCK)  # Aligned to a page, as direct I/O demands.
    block.write(os.urandom(BLOCK))
    file = open_direct(path)
    try:
        for position in range(FILE_BLOCKS):
            os.pwrite(file, block, position * BLOCK)
        os.fsync(file)
        took, started = [], time.perf_counter()
        while time.perf_counter() < started + seconds:
            before = time.perf_counter_ns()
            os.pwrite(file, block, len(took) % FILE_BLOCKS * BLOCK)
            os.fdatasync(file)
            took.append(time.perf_counter_ns() - before)
        lasted = time.perf_counter() - started
    finally:
        os.close(file)
        os.unlink(path)
    took.sort()
    return {"writes": len(took), "seconds": lasted, "p50_us": took[len(took) // 2] / 1000,
            "p99_us": took[int(len(took) * 0.99)] / 1000}


def open_direct(path):
    flags = os.O_CREAT | os.O_RDWR
    try:
        return os.open(path, flags | os.O_DIRECT)
    except OSError:  # A file system that refuses it; the server goes through the page cache there as well.
        return os.open(path, flags)


if __name__ == "__main__":
    print(json.dumps(measure(sys.argv[1], int(sys.argv[2]))))
