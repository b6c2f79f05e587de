"""The figures as Markdown."""
from aims import verdicts
from figures import driver_cpu_us, driver_share, p50_us, rate, ratios, server_cpu_us
from harness.aims import aims_table
from harness.markdown import column, count_text, ratio_text, share_text, small_text, spread_text, table
from harness.spread import spread
from jobs import JOBS
from rounds import DRIVER_SHARE_MAX

# Other work on the two CPUs beyond this share of them makes a sample doubtful; interrupts and the kernel's workers are in it.
OTHER_SHARE_MAX = 0.2


def figures_page(facts, servers, samples):
    titles = {server["server"]: server["title"] for server in servers}
    parts = [heading(facts), aims_table(verdicts(samples))]
    for name in dict.fromkeys(job for job, _ in samples.places()):
        parts.append(job_table(JOBS[name], samples, titles))
    return "\n\n".join([*parts, warnings(samples, titles), checks(servers), machine(facts, servers)]) + "\n"


def heading(facts):
    return (f"# Side by side, {facts['date']}\n\nRounds: {facts['rounds']}, of {facts['seconds']} s for each measurement; servers on CPU {facts['serverCpu']}, drivers "
            f"on CPU {facts['clientCpu']}, one at a time, in another order each round. Of everything: minimum, **median**, maximum. A ratio is one "
            "of samples of the same round.\n\n```console\n$ " + facts["command"] + "\n```")


def job_table(job, samples, titles):
    """Rates are of operations: an item of a batch is one."""
    here = [server for name, server in samples.places() if name == job.name]
    connections = next(sample["connections"] for sample in samples.all if sample["job"] == job.name)
    rows = [["", "per second", f"{titles.get('this', 'this')} to it", "server CPU us each", "p50 us", "p99 us", "driver CPU us each", "driver's CPU"]]
    for server in job.servers:
        if server in here:
            found = samples.of(job.name, server)
            ratio = ratios(samples, (job.name, "this"), (job.name, server)) if server != "this" else []
            rows.append([titles[server], column(found, rate, count_text), spread_text(spread(ratio), ratio_text),
                         column(found, server_cpu_us, small_text), column(found, p50_us, count_text),
                         column(found, lambda sample: sample["p99_us"], count_text), column(found, driver_cpu_us, small_text), column(found, driver_share, share_text)])
    return f"## {job.title}: {connections} connection{'s' if connections > 1 else ''} (`{job.name}`)\n\n" + table(rows)


def warnings(samples, titles):
    lines = []
    for sample in samples.all:
        where = f"round {sample['round']}, {sample['job']}, {titles[sample['server']]}"
        if sample["problem"]:
            lines.append(f"- {where}: **left out**, {sample['problem']}")
        if sample["failed"]:
            lines.append(f"- {where}: {sample['failed']:,} requests failed")
    for job, server in samples.places():
        found = samples.of(job, server)
        shares = spread(map(driver_share, found))
        if server != "disk" and shares and shares.middle > DRIVER_SHARE_MAX:
            lines.append(f"- {job}, {titles[server]}: the driver used {shares.middle:.0%} of its CPU, so the server may be faster than measured")
        others = spread(sample["other_cpu_share"] for sample in found)
        if others and others.middle > OTHER_SHARE_MAX:
            lines.append(f"- {job}, {titles[server]}: {others.middle:.0%} of the two CPUs' time went to neither the server nor the driver")
    return "## Warnings\n\n" + ("\n".join(lines) or "None.")


def checks(servers):
    rows = [["", "syncs of the disk", "seen by"]]
    for server in servers:
        if "check" in server:
            check = server["check"]
            rows.append([server["title"], f"{check['syncs']} for {check['updates']} updates, one after the other", check["seen_by"]])
    if len(rows) == 1:
        return "## Checked before\n\nNo server that stores anything was measured."
    return ("## Checked before\n\nIn each of these an update changed quantity and version and appended one event, a repeat of its key got the "
            "same answer and had no effect, a stale version and a quantity below zero were refused without effect. After each "
            "load the events that it appended were counted.\n\n" + table(rows))


def machine(facts, servers):
    lines = [f"- {name}: {facts[name]}" for name in ["commit", "cpu", "cpus", "governor", "kernel", "fileSystem", "rustc", "wrk", "python"]]
    lines += [f"- {server['title']}: {server['version']}" for server in servers if server["version"]]
    return "## Machine and versions\n\n" + "\n".join(lines)
