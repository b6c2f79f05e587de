"""The figures as a picture of bars."""
from figures import p50_us, rate, server_cpu_us
from harness.bars import OURS, PEER, YARDSTICK, Bar, Panel, svg
from harness.spread import spread

COLOURS = {"this": OURS, "redis": PEER, "postgresql": PEER}


def figures_plot(facts, servers, samples):
    titles = {server["server"]: server["title"] for server in servers}
    connections = facts["connections"]
    wanted = [
        ("updates", rate, f"Durable updates per second, {connections} connections", "more is better; pale bars do no work"),
        ("updates", server_cpu_us, "CPU time of the server for one durable update, us", "less is better"),
        ("reads", rate, f"Reads per second, {connections} connections", "more is better"),
        ("alone", p50_us, "Median latency of one durable update, alone on one connection, us", "less is better"),
    ]
    panels = []
    for job, figure, title, note in wanted:
        bars = [Bar(titles[server], COLOURS.get(server, YARDSTICK), spread(map(figure, samples.of(job, server))))
                for name, server in samples.places() if name == job and samples.of(job, server)]
        # The yardsticks' CPU time says nothing about a job that they do not do.
        if figure is server_cpu_us:
            bars = [bar for bar in bars if bar.colour != YARDSTICK]
        if bars:
            panels.append(Panel(title, note, sorted(bars, key=lambda bar: -bar.spread.middle)))
    return svg(panels, f"rounds: {facts['rounds']}, of {facts['seconds']} s, {facts['date']}, commit {facts['commit']}: median, whiskers from minimum to maximum")
