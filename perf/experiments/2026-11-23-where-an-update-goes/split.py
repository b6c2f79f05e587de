#!/usr/bin/env python3
"""perf script -F comm,ip,sym | split.py: shares of CPU time by what it is for.

A sample in the kernel belongs to the system call, or the interrupt, that it came by; one in user mode to the innermost frame that
tells.
"""
import collections
import re
import sys

KERNEL = [("kernel: send", "sendto|sendmsg|writev"), ("kernel: recv", "recvfrom|recvmsg"), ("kernel: epoll", "epoll"),
          ("kernel: the journal's sync (worker)", "io_wq|iou-wrk"), ("kernel: io_uring (the journal's writes, sleeping and waking)", "io_uring_enter|io_uring"),
          ("kernel: page faults", "page_fault"), ("kernel: interrupts", "irq|interrupt|softirq|apic"), ("kernel: other calls", "do_syscall|entry_SYSCALL")]
USER = [("JSON", r"sonic_rs|serde|simd"), ("sequencer and feed", r"::sequencer|encoding::"), ("journal", r"::journal|crc32c"),
        ("shard", r"\bshards::|::shard::|idempotency|hashbrown"), ("observation", r"::observe|::log|slog|ulid"),
        ("edge: update (check, route, answer)", r"::api::|::rules|::limiter|acceptor::exchange|acceptor::auth|::lane"),
        ("HTTP", r"acceptor::connection|acceptor::framing|httparse|http::|\bbytes::"),
        ("sockets", r"runtime::(sockets|tcp)|rustix"), ("executor", r"glommio|runtime::executor|io_uring"),
        ("clock", r"clock_gettime|vdso"), ("memory", r"\b_?mi_|malloc|free|memmove|memset|memcpy|alloc::")]


def is_kernel(line):
    return line.strip().lower().startswith("ffff")


def purpose(comm, frames, innermost_is_kernel):
    if innermost_is_kernel:
        text = " ".join([comm, *frames])
        return next((name for name, pattern in KERNEL if re.search(pattern, text)), "kernel: rest")
    if re.search(USER[-1][1], frames[0]):
        # Whoever asked for memory: its own share is told apart.
        return "memory"
    for frame in frames:
        for name, pattern in USER[:-1]:
            if re.search(pattern, frame):
                return name
    return "rest"


def main():
    shares, stack = collections.Counter(), []
    for line in [*sys.stdin, "\n"]:
        if line.strip():
            stack.append(line.rstrip())
        elif len(stack) > 1:
            frames = [frame.strip().split(" ", 1)[-1] for frame in stack[1:]]
            shares[purpose(stack[0], frames, is_kernel(stack[1]))] += 1
            stack = []
    total = sum(shares.values())
    print(f"| what | share of {total:,} samples |\n|---|---|")
    for name, count in shares.most_common():
        print(f"| {name} | {100 * count / total:.1f} % |")


main()
