"""The figures as a picture of bars."""
from figures import named
from harness.bars import OURS, PEER, Bar, Panel, svg
from harness.spread import spread

WANTED = [
    ("polls", "deliveries_per_second", "deliveries a second", "more is better"),
    ("polls", "server_cpu_us_per_delivery", "CPU time of the server for a delivery, us", "less is better"),
    ("polls", "last_receipt_p99_ms", "from an update's answer to the last receipt, p99, ms", "less is better"),
    ("streams", "deliveries_per_second", "deliveries a second", "more is better"),
    ("streams", "server_cpu_us_per_delivery", "CPU time of the server for a delivery, us", "less is better"),
    ("streams", "last_receipt_p99_ms", "from an update's answer to the last receipt, p99, ms", "less is better"),
]


def figures_plot(facts, jobs, samples):
    by_name = {job.name: job for job in jobs}
    panels = [panel for job, figure, title, note in WANTED if (panel := comparison(by_name.get(job), figure, title, note, samples))]
    panels += by_rate([by_name[name] for name in facts["byRate"]], samples)
    return svg(panels, f"rounds: {facts['rounds']}, of {facts['seconds']} s, {facts['date']}, commit {facts['commit']}: median, whiskers from minimum to maximum; "
                       "nchan stores nothing")


def comparison(job, figure, title, note, samples):
    bars = [bar(subject.title, subject, job, figure, samples) for subject in job.subjects] if job else []
    bars = [bar for bar in bars if bar]
    return Panel(f"{job.title}: {title}", note, bars) if bars else None


def by_rate(jobs, samples):
    """What becomes of deliveries where more is published than can be delivered one by one."""
    bars = [bar(f"{subject.title}, {job.rate:g}/s", subject, job, "deliveries_per_second", samples)
            for name in ("this", "before", "nchan") for job in jobs for subject in job.subjects if subject.name == name]
    bars = [bar for bar in bars if bar]
    return [Panel("Deliveries a second, by updates a second wanted", "past saturation it must not fall", bars)] if bars else []


def bar(label, subject, job, figure, samples):
    found = spread(map(named(figure), samples.of(job.name, subject.name)))
    return Bar(label, PEER if subject.is_peer else OURS, found) if found else None
