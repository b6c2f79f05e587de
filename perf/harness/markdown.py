"""Tables as Markdown, and figures with their spread in them."""
from .spread import spread


def table(rows):
    lines = [f"| {' | '.join(row)} |" for row in rows]
    return "\n".join([lines[0], "|" + "---|" * len(rows[0]), *lines[1:]])


def column(samples, figure, text):
    return spread_text(spread(map(figure, samples)), text)


def spread_text(of, text):
    return f"{text(of.low)} **{text(of.middle)}** {text(of.high)}" if of else ""


def count_text(value):
    return f"{value:,.0f}"


def small_text(value):
    return f"{value:.1f}"


def ratio_text(value):
    return f"{value:.2f}"


def share_text(value):
    return f"{value:.0%}"
