"""The model's answers as Markdown, for docs/SCALING.md too, and as a picture. Pure."""
from lines import Line, Panel, svg
from model import KINDS, ROLES, best, best_apart, default_plan, estimate, sequencer_limit

CORES = [4, 8, 16, 32, 64]
CORES_DRAWN = 96
BEGIN, END = "<!-- figures: perf/scaling/run -->", "<!-- end of figures -->"


def figures(facts, costs, mixes):
    rows = [["role", *(f"one {kind}, us of a core" for kind in KINDS)]]
    rows += [[role, *(f"{costs.us[role].get(kind, 0):.2f}" for kind in KINDS)] for role in ROLES]
    parts = [f"From {facts['source']}, commit {facts['commit']}, {facts['date']}, on {facts['cpu']} ({facts['cpus']} CPUs). Acceptors: {facts['acceptors']}. A core is busy for at most "
             f"{costs.headroom:.0%} of its time, loses {costs.loss_per_core:.1%} for each further one, and the most popular product has {costs.hot_share:.0%} of the updates.", table(rows)]
    for name, mix in mixes.items():
        parts.append(f"### {name.capitalize()}\n\n" + table(plan_rows(costs, mix)) + "\n\n" + limit_text(costs, mix))
    return "\n\n".join(parts)


def plan_rows(costs, mix):
    rows = [["cores", "requests a second", "the plan that carries them", "held up by", "with each role on cores of its own", "with the server's own plan"]]
    for cores in CORES:
        found = best(costs, mix, cores)
        rows.append([cores, f"{found.rate:,.0f}", found.plan, found.limit, estimate_text(best_apart(costs, mix, cores)), estimate_text(estimate(costs, mix, default_plan(cores)))])
    return rows


def estimate_text(found):
    return f"{found.rate:,.0f}: {found.plan}; held up by {found.limit}" if found else ""


def limit_text(costs, mix):
    found = sequencer_limit(costs, mix)
    if found is None:
        return "The sequencer is no limit on any machine."
    cores, rate = found
    return f"From **{cores} cores** on the one sequencer is the limit, at {rate:,.0f} requests a second: more cores carry no more."


def table(rows):
    lines = ["| " + " | ".join(map(str, row)) + " |" for row in rows]
    return "\n".join([lines[0], "|" + "---|" * len(rows[0]), *lines[1:]])


def replaced(document, found):
    """The document with other figures between its marks."""
    before, begin, rest = document.partition(BEGIN)
    _, end, after = rest.partition(END)
    if not begin or not end:
        raise ValueError(f"the document lacks {BEGIN} or {END}")
    return f"{before}{BEGIN}\n\n{found}\n\n{END}{after}"


def picture(facts, costs, mixes):
    panels = []
    for name, mix in mixes.items():
        cores = range(1, CORES_DRAWN + 1)
        planned = [(count, best(costs, mix, count).rate) for count in cores]
        own = [(count, estimate(costs, mix, default_plan(count)).rate) for count in cores]
        limit = sequencer_limit(costs, mix)
        marks = [(limit[1], "the sequencer's limit")] if limit else []
        apart = [(count, best_apart(costs, mix, count).rate) for count in cores if count >= 3]
        panels.append(Panel(f"Throughput against cores: {name}", "cores", "requests a second", [Line("the best plan", planned), Line("roles apart", apart), Line("the server's own plan", own, dashed=True)], marks))
    return svg(panels, f"A model, not a measurement. {facts['date']}, commit {facts['commit']}")
