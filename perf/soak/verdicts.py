"""What a record says of an aim. Pure."""
import statistics
from dataclasses import dataclass

MIB = 1 << 20
# Over a million events, 8 bytes for each: if anything were kept of each event, were it a pointer, it would be more. What moves
# without being kept is less: groups, pages and what the allocator holds back come to some MiB. What is larger is a table that
# doubles: at 16,000 events a second, remembered for 5 to 6 s, each of 4 shards holds some 22,000 updates, in the middle between
# doublings at 16,384 and 28,672 that take some 3 MiB of each.
MEMORY_GROWTH_MAX = 8 * MIB
# A product's own strings apart.
PRODUCT_BYTES_MAX = 400
# Of fewer products a mebibyte more or less of something else would decide.
PRODUCTS_JUDGED_MIN = 500_000
# A snapshot is streamed in slices; as a whole a million products would be 150 MB.
STREAMING_BYTES_MAX = 32 * MIB
# Stores that cannot keep up: 256 MiB of pages on their way, beyond which each gets 16 KiB at a time, and some 16 KiB for the
# store's connection and the events that are kept.
PAGES_BYTES_MAX = 256 * MIB
STORE_BYTES_MAX = 32 << 10
# Whatever stores do, updates go on.
BEHIND_UPDATE_MS_MAX = 1000
# The end beside the beginning.
LATENCY_GROWTH_MAX = 1.5
# Below this a longer latency is the machine's.
LATENCY_FLOOR_MS = 5
# Of both CPUs, what others may use while stalls are judged. Beyond, the machine was not idle: a sync runs in a worker of the kernel
# that has to wait for the CPU longer than a thread which sleeps nearly always, and nothing here would see it.
OTHER_CPU_MAX = 0.1
WINDOW = 0.2
# Between two looks at the memory.
LOOK_MS = 200


@dataclass(frozen=True)
class Verdict:
    aim: str
    target: str
    measured: str
    # None where the machine did not allow to judge it.
    met: bool | None

    @property
    def word(self):
        return {True: "met", False: "MISSED", None: "NOT JUDGED"}[self.met]


def between(series, from_ms, to_ms):
    return [(at, value) for at, value in series if from_ms <= at <= to_ms]


def ends(series):
    """Medians of the first and the last fifth."""
    if not series:
        raise ValueError("nothing was seen in the time that is judged")
    values = [value for _, value in series]
    size = max(1, int(len(values) * WINDOW))
    return statistics.median(values[:size]), statistics.median(values[-size:])


def mib(count):
    return f"{count / MIB:.1f} MiB"


def memory(record):
    load = record["load"]
    series = between(record["resident"], load["beganMs"], load["endedMs"])
    first, last = ends(series)
    highest = max(value for _, value in series)
    growth = last - first
    return [Verdict(f"resident memory over {load['events']:,} events", f"grows by at most {mib(MEMORY_GROWTH_MAX)}",
                    f"{mib(first)} to {mib(last)}, highest {mib(highest)}", growth <= MEMORY_GROWTH_MAX),
            Verdict("no event is refused", "0", str(load["refused"]), load["refused"] == 0)]


def product_bytes(record, start):
    return (record[start]["resident"] - record["residentWithout"] - record["stringBytes"]) / record["products"]


def products(record):
    verdicts = []
    starts = [("fromCatalogue", "read from a catalogue"), ("fromSnapshot", "after a restart")]
    for start, words in starts if record["products"] >= PRODUCTS_JUDGED_MIN else []:
        each = product_bytes(record, start)
        verdicts.append(Verdict(f"resident bytes of each of {record['products']:,} products, {words}, its strings apart", f"at most {PRODUCT_BYTES_MAX}",
                                f"{each:.0f}", each <= PRODUCT_BYTES_MAX))
    bootstrap = record["bootstrap"]
    before = between(record["resident"], bootstrap["beganMs"], bootstrap["streamingFromMs"])
    streaming = between(record["resident"], bootstrap["streamingFromMs"] - LOOK_MS, bootstrap["streamingToMs"] + LOOK_MS)
    more = max(value for _, value in streaming) - statistics.median(value for _, value in before)
    verdicts.append(Verdict("resident memory while the snapshot is streamed", f"at most {mib(STREAMING_BYTES_MAX)} more", f"{mib(more)} more", more <= STREAMING_BYTES_MAX))
    verdicts.append(Verdict("the store is equal to the listing", f"{record['products']:,} products", f"{bootstrap['products']:,}",
                            bootstrap["replicaEqualsListing"] and bootstrap["products"] == record["products"]))
    return verdicts


def fleet(record):
    load = record["load"]
    warm = record["warmSeconds"]
    series = between(record["resident"], load["beganMs"] + warm * 1000, load["endedMs"])
    first, last = ends(series)
    verdicts = [Verdict(f"resident memory with {record['followers']:,} stores", f"grows by at most {mib(MEMORY_GROWTH_MAX)}", f"{mib(first)} to {mib(last)}",
                        last - first <= MEMORY_GROWTH_MAX)]
    answered = [(second["second"], second["p50Ms"]) for second in load["series"] if second["second"] >= warm and second["answered"]]
    slow_first, slow_last = ends(answered)
    limit = max(slow_first * LATENCY_GROWTH_MAX, LATENCY_FLOOR_MS)
    return verdicts + [Verdict("latency of an update", f"at most {LATENCY_GROWTH_MAX} times as long at the end, or {LATENCY_FLOOR_MS} ms", f"{slow_first:.1f} ms to {slow_last:.1f} ms",
                               slow_last <= limit),
                       Verdict("no update is refused", "0", str(load["refused"]), load["refused"] == 0)]


def behind(record):
    load = record["load"]
    highest = max(value for _, value in between(record["resident"], load["beganMs"], load["endedMs"]))
    more, limit = highest - record["residentBefore"], PAGES_BYTES_MAX + record["followers"] * STORE_BYTES_MAX
    longest = load["latencyMs"]["max"]
    return [Verdict(f"resident memory with {record['followers']:,} stores that cannot keep up", f"at most {mib(limit)} more", f"{mib(more)} more", more <= limit),
            Verdict("the longest update meanwhile", f"at most {BEHIND_UPDATE_MS_MAX:,} ms", f"{longest:,.0f} ms", longest <= BEHIND_UPDATE_MS_MAX),
            Verdict("no update is refused", "0", str(load["refused"]), load["refused"] == 0)]


def stalls(record):
    verdicts = []
    for name, words in [("journal", "with the journal"), ("memory", "in memory")]:
        load = record[name]
        longest = load["slowest"][0] if load["slowest"] else {"waitedMs": 0, "withoutMachineMs": 0}
        others = load["otherCpuShare"]
        busy = f"; others used {others:.0%} of the CPUs" + (", too much to judge: measure again" if others > OTHER_CPU_MAX else "")
        verdicts.append(Verdict(f"requests of {load['requests']:,} that the server kept waiting longer than {load['limitMs']:.0f} ms, {words}", "0",
                                f"{load['stalledByServer']} (the longest of all waited {longest['waitedMs']:.0f} ms, {longest['withoutMachineMs']:.0f} without what the machine stood still{busy})",
                                None if others > OTHER_CPU_MAX else load["stalledByServer"] == 0))
    return verdicts


JUDGES = {"memory": memory, "products": products, "fleet": fleet, "behind": behind, "stalls": stalls}
