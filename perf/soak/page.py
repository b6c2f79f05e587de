"""The records as a page and a picture. Pure."""
from lines import Line, Panel, svg
from verdicts import MIB, product_bytes

TITLES = {"memory": "Resident memory while events come and go", "products": "Resident memory while a store begins",
          "fleet": "Resident memory while a fleet follows", "behind": "Resident memory while a fleet falls behind"}


def page(facts, records, verdicts):
    parts = [f"# Soak, {facts['date']}\n\n```console\n$ {facts['command']}\n```", "## Aims\n\n" + table(
        [["part", "aim", "target", "measured", ""]] +
        [[part, v.aim, v.target, v.measured, v.word if v.met else f"**{v.word}**"] for part, found in verdicts.items() for v in found])]
    if "products" in records:
        parts.append(products_text(records["products"]))
    for part, words in [("fleet", "stores that keep up"), ("behind", "stores that fall behind")]:
        if part in records:
            parts.append(fleet_text(records[part], words))
    if "stalls" in records:
        parts.append(stalls_text(records["stalls"]))
    parts.append("## Machine\n\n" + "\n".join(f"- {name}: {facts[name]}" for name in ["commit", "cpu", "cpus", "kernel", "fileSystem", "loadBefore", "loadAfter"]))
    return "\n\n".join(parts) + "\n"


def products_text(record):
    rows = [["start", "ready after", "highest", "resident, asked nothing yet", "resident", "bytes of each product, strings apart"]]
    for start in ["fromCatalogue", "fromSnapshot"]:
        found = record[start]
        rows.append([start, f"{found['readySeconds']:.1f} s", f"{found['peak'] / MIB:.0f} MiB", f"{found['residentUnasked'] / MIB:.0f} MiB", f"{found['resident'] / MIB:.0f} MiB", f"{product_bytes(record, start):.0f}"])
    bootstrap = record["bootstrap"]
    latencies = [["updates", "number", "p50 ms", "p99 ms", "max ms"]]
    for when, found in bootstrap["updatesMs"].items():
        if found:
            latencies.append([when, *(f"{found[name]:,}" for name in ["count", "p50", "p99", "max"])])
    return (f"## {record['products']:,} products\n\nWithout any: {record['residentWithout'] / MIB:.0f} MiB. The strings of all: {record['stringBytes'] / MIB:.0f} MiB.\n\n" + table(rows) +
            f"\n\nThe snapshot of {bootstrap['snapshotBytes'] / 1e6:.0f} MB came in {bootstrap['streamingSeconds']:.1f} s; the store had read it after {bootstrap['readingSeconds']:.1f} s "
            f"more, and caught up with the feed in {bootstrap['catchingUpSeconds']:.2f} s.\n\n" + table(latencies))


def fleet_text(record, words):
    delivery = record["deliveryUs"]
    load = record["load"]["latencyMs"]
    wanted = record["followers"] * record["load"]["requests"] * record["seconds"] / (record["load"]["endedMs"] - record["load"]["beganMs"]) * 1000
    return (f"## {record['followers']:,} {words}\n\nUpdates: p50 {load['p50']} ms, p99 {load['p99']} ms, longest {load['max']} ms of {load['count']:,}. Deliveries: "
            f"{record['delivered'] / record['seconds']:,.0f} a second, {record['delivered'] / wanted:.0%} of what was to be delivered in that time, p50 {(delivery['p50_us'] or 0) / 1000:,.1f} ms, p99 {(delivery['p99_us'] or 0) / 1000:,.1f} ms.")


def stalls_text(record):
    rows = [["", "requests", "p50 ms", "p99 ms", "longest ms", "longer than the limit", "of these the server's", "the server's syncs, mean ms", "its heartbeats late by, mean ms", "the machine's own"]]
    for name, load in record.items():
        machine = "; ".join(f"{one['what']}: {one['stalls']}, longest {one['longestMs']:.0f} ms" for one in load["machine"])
        found = load["latencyMs"]
        rows.append([name, f"{load['requests']:,}", found["p50"], found["p99"], found["max"], load["longerThanLimit"], load["stalledByServer"], f"{load['syncMeanMs']:.1f}", f"{load['heartbeatMeanMs']:.2f}", machine])
    return "## Stalls\n\n" + table(rows)


def table(rows):
    lines = ["| " + " | ".join(map(str, row)) + " |" for row in rows]
    return "\n".join([lines[0], "|" + "---|" * len(rows[0]), *lines[1:]])


def picture(facts, records):
    panels = []
    for part, record in records.items():
        if part in TITLES and record["resident"]:
            start = record["resident"][0][0]
            resident = Line("resident", [((at - start) / 1000, value / MIB) for at, value in record["resident"]])
            panels.append(Panel(TITLES[part], "seconds", "MiB", [resident]))
            remembered = [((at - start) / 1000, found["inventory_idempotency_entries"]) for at, found in record["metrics"]]
            kept = [((at - start) / 1000, found["inventory_events_queue_size"]) for at, found in record["metrics"]]
            panels.append(Panel("What it holds meanwhile", "seconds", "entries", [Line("updates remembered", remembered), Line("events kept", kept)]))
    for part, load in [*((part, records.get(part, {}).get("load")) for part in ["fleet", "behind"]), *((f"stalls, {name}", load) for name, load in records.get("stalls", {}).items())]:
        if load:
            series = [second for second in load["series"] if second["answered"]]
            panels.append(Panel(f"Latency second by second: {part}", "seconds", "ms", [
                Line("longest", [(second["second"], second["maxMs"]) for second in series]),
                Line("median", [(second["second"], second["p50Ms"]) for second in series])]))
    return svg(panels, f"{facts['date']}, commit {facts['commit']}, {facts['command']}")
