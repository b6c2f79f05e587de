"""The figures as Markdown."""
from aims import verdicts
from figures import kib_per_follower, named, ratios, server_cpu_us_per_response, share_taken
from harness.aims import aims_table
from harness.markdown import column, count_text, ratio_text, share_text, small_text, spread_text, table
from harness.spread import spread

COLUMNS = [
    ("updates/s", named("updates_per_second"), small_text),
    ("of those due", share_taken, share_text),
    ("update p50 ms", named("update_p50_ms"), small_text),
    ("update p99 ms", named("update_p99_ms"), small_text),
]
COLUMNS_OF_FOLLOWERS = [
    ("last receipt p50 ms", named("last_receipt_p50_ms"), small_text),
    ("last receipt p99 ms", named("last_receipt_p99_ms"), small_text),
    ("deliveries/s", named("deliveries_per_second"), count_text),
    ("responses/s", named("responses_per_second"), count_text),
    ("server CPU us a delivery", named("server_cpu_us_per_delivery"), small_text),
    ("a response", server_cpu_us_per_response, small_text),
    ("KiB a follower", kib_per_follower, small_text),
]
COLUMNS_OF_CPU = [
    ("server's CPU", named("server_cpu_share"), share_text),
    ("driver's CPU", named("driver_cpu_share"), share_text),
    ("driver CPU us a delivery", named("driver_cpu_us_per_delivery"), small_text),
]


def figures_page(facts, jobs, samples):
    titles = {subject.name: subject.title for job in jobs for subject in job.subjects}
    here = [job for job in jobs if samples.servers(job.name)]
    parts = [heading(facts), aims_table(verdicts(samples, facts["byRate"]))]
    parts += [job_table(job, samples) for job in here]
    return "\n\n".join([*parts, warnings(facts, samples, titles), machine(facts, samples, titles)]) + "\n"


def heading(facts):
    return (f"# One update to a fleet, {facts['date']}\n\nRounds: {facts['rounds']}, of {facts['seconds']} s for each measurement; servers on CPU {facts['serverCpu']}, the driver "
            f"on CPU {facts['clientCpu']}, one at a time, in another order each round, each with a server of its own. Of everything: minimum, **median**, maximum.\n\n"
            "An update counts from when it was due, and the last receipt from the update's answer to when the last follower had it. A delivery is one update to one "
            "follower; a response has one or more. Every follower was checked to receive every update once and in the same order; warnings say where not.\n\n"
            "**nchan stores nothing durably, decides nothing and writes no log**: it takes a message into memory and hands it on. This server syncs each update to "
            "the disk before its answer, and logs a line for each response.\n\n```console\n$ " + facts["command"] + "\n```")


def job_table(job, samples):
    columns = [*COLUMNS, *(COLUMNS_OF_FOLLOWERS if job.followers else []), *COLUMNS_OF_CPU]
    if not job.followers:
        columns = [entry for entry in columns if "delivery" not in entry[0]]
    compared = job.followers and samples.of("alone", "this")
    rows = [["", *[title for title, _, _ in columns], *(["update p50 to that alone", "p99"] if compared else [])]]
    for subject in job.subjects:
        if found := samples.of(job.name, subject.name):
            row = [subject.title, *[column(found, figure, text) for _, figure, text in columns]]
            if compared:
                alone = ("alone", subject.server)
                row += [spread_text(spread(ratios(samples, (job.name, subject.name), alone, named(figure))), ratio_text)
                        for figure in ("update_p50_ms", "update_p99_ms")]
            rows.append(row)
    return f"## {job.title} (`{job.name}`)\n\n" + table(rows)


def warnings(facts, samples, titles):
    lines = [f"- {text}" for text in facts["notMeasured"]]
    for sample in samples.all:
        where = f"round {sample['round']}, {sample['job']}, {titles[sample['server']]}"
        lines += [f"- {where}: **{problem}**" for problem in sample["problems"]]
        if sample["figures"]:
            lines += [f"- {where}: {warning}" for warning in sample["figures"]["warnings"]]
    return "## Warnings\n\n" + ("\n".join(lines) or "None.")


def machine(facts, samples, titles):
    lines = [f"- {name}: {facts[name]}" for name in ["commit", "cpu", "cpus", "governor", "kernel", "openFiles", "fileSystem", "rustc", "python"]]
    versions = {sample["server"]: sample["version"] for sample in samples.all}
    lines += [f"- {titles[server]}: {version}" for server, version in versions.items()]
    return "## Machine and versions\n\n" + "\n".join(lines)
