#!/usr/bin/env python3
"""What the records of a guest say, as a table: figures.py RECORDS.jsonl..."""
import json
import sys
from pathlib import Path
from statistics import median

UPDATES, REQUESTS = "inventory_updates_processed_total", "inventory_api_requests_total"
TICKS_PER_SECOND = 100
NANOSECONDS_PER_TICK = 10_000_000
# The workers of io_uring are threads of the process.
WORKER = "iou-wrk"
JOURNAL_BYTES = "inventory_journal_bytes_total"


class Span:
    """From one sample to another: instructions, and what they were for."""

    def __init__(self, before, after):
        own_before = dict(before["threads"])
        self.own = {name: count - own_before.get(name, 0) for name, count in after["threads"]}
        self.seconds = after["uptime"] - before["uptime"]
        self.kernel_threads = after["kernelThreads"] - before["kernelThreads"]
        self.ticks = [to - since for since, to in zip(before["ticks"][:2], after["ticks"][:2])]
        self.counters = {name: count - before["counters"].get(name, 0) for name, count in after["counters"].items()}

    @property
    def all(self):
        return sum(self.own.values())

    @property
    def workers(self):
        return sum(count for name, count in self.own.items() if name.startswith(WORKER))


class Guest:
    def __init__(self, records):
        self.records = records
        samples = [record for record in records if record["record"] == "sample"]
        at = {(one["load"], one["round"], one["time"], one["when"]): one for one in samples}
        self.spans = {key[:3]: Span(at[(*key[:3], "before")], after) for key, after in at.items() if key[3] == "after" and (*key[:3], "before") in at}
        self.starts = {one["load"]: one for one in samples if one["load"].startswith("start-")}
        idle = [span for (load, *_), span in self.spans.items() if load == "idle"]
        seconds = sum(span.seconds for span in idle)
        self.idle = sum(span.all for span in idle) / seconds
        self.idle_kernel = sum(span.kernel_threads for span in idle) / seconds

    def loads(self):
        return [load for load in dict.fromkeys(load for load, *_ in self.spans) if load != "idle"]

    def pairs(self, load):
        """The shorter and the longer span of each round."""
        rounds = sorted({round for name, round, _ in self.spans if name == load})
        for round in rounds:
            found = [span for (name, of, _), span in self.spans.items() if (name, of) == (load, round)]
            yield sorted(found, key=lambda span: span.counters[REQUESTS])


def per(shorter, longer, value):
    """Of one more update, or of one more request where nothing is updated. What a load does to begin and to end is in both."""
    counted = UPDATES if longer.counters[UPDATES] else REQUESTS
    return (value(longer) - value(shorter)) / (longer.counters[counted] - shorter.counters[counted])


def figures(guest, load):
    pairs = list(guest.pairs(load))
    longer = [pair[1] for pair in pairs]
    def each(value):
        return [per(*pair, value) for pair in pairs]
    def average(number, of):
        return sum(span.counters[number] for span in longer) / sum(span.counters[of] for span in longer)
    return {
        "server": each(lambda span: span.all - guest.idle * span.seconds),
        "workers": each(lambda span: span.workers),
        "kernel threads": each(lambda span: span.kernel_threads - guest.idle_kernel * span.seconds),
        # The kernel scales its ticks over the life of the process and never takes any back: filling segments, all in the kernel, distorts the first round.
        "in the kernel": [span.ticks[1] / sum(span.ticks) for span in longer[1:] or longer],
        "idle": median(each(lambda span: guest.idle * span.seconds)) / median(each(lambda span: span.all)),
        "group": average("inventory_commit_group_events_sum", "inventory_commit_group_events_count"),
        "bytes": each(lambda span: span.counters[JOURNAL_BYTES]),
        "operations": sum(span.counters[UPDATES] or span.counters[REQUESTS] for span in longer) // len(longer),
        "conflicts": average("inventory_version_conflicts_total", REQUESTS)}


def filled(guest):
    """Instructions for a MiB of a new segment: of the server, and of the kernel's threads. Each start makes two segments."""
    begun = {record["load"]: record for record in guest.records if record["record"] == "start"}
    def spent(load):
        after = guest.starts[load]
        user, system, started = after["ticks"]
        seconds = after["uptime"] - started / TICKS_PER_SECOND
        return ((user + system) * NANOSECONDS_PER_TICK - guest.idle * seconds,
                after["kernelThreads"] - begun[load]["kernelThreads"] - guest.idle_kernel * seconds)
    small, large = sorted(guest.starts, key=lambda load: int(load.split("-")[1]))
    mib = 2 * (int(large.split("-")[1]) - int(small.split("-")[1]))
    return [(more - less) / mib for less, more in zip(spent(small), spent(large))]


def spread(values, form="{:,.0f}"):
    low, middle, high = (form.format(value) for value in (min(values), median(values), max(values)))
    return f"{middle} ({low} to {high})"


def table(records):
    guest = Guest(records)
    lines = ["| | instructions: median (least to most) | of these, workers of io_uring | in the kernel | beside them, the kernel's threads | updates a group | journal bytes | idle's part taken off | counted a run | conflicts |",
             "|---|---|---|---|---|---|---|---|---|---|"]
    for load in guest.loads():
        of = figures(guest, load)
        # Without updates the only group is that of the products.
        group = f"{of['group']:.1f}" if median(of["bytes"]) else "-"
        lines.append(f"| {load} | {spread(of['server'])} | {median(of['workers']):,.0f} | {spread(of['in the kernel'], '{:.0%}')} | {spread(of['kernel threads'])} | {group} | "
                     f"{median(of['bytes']):,.0f} | {of['idle']:.2%} | {of['operations']:,} | {of['conflicts']:.2%} |")
    lines += ["", f"idle: {guest.idle:,.0f} a second; the kernel's threads {guest.idle_kernel:,.0f}",
              "a MiB of a segment: {:,.0f}, the kernel's threads {:,.0f}".format(*filled(guest))]
    for record in guest.records:
        if record["record"] == "known":
            lines.append(f"{record['program']}, round {record['round']}: {record['nanoseconds']:,} ns")
    problems = [record for record in guest.records if record["record"] == "failed" or record.get("warnings")]
    return "\n".join(lines + list(map(json.dumps, problems)))


if __name__ == "__main__":
    for path in sys.argv[1:]:
        print(table([json.loads(line) for line in Path(path).read_text().splitlines()]))
