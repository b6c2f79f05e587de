"""What the other scripts know of the dashboard and of PromQL: panels with their queries, and the names that an expression asks for."""

import json
import pathlib
import re

MONITORING = pathlib.Path(__file__).resolve().parent.parent
DASHBOARD = MONITORING / "grafana" / "dashboards" / "central-inventory.json"
# A selector: a name of ours, or one that a rule records, and its matchers.
SELECTOR = re.compile(r'(?<![\w:.$])((?:inventory_|process_)\w+|up|\w+:\w+:\w+)(?![\w:(])\s*(\{[^}]*\})?')
HISTOGRAM_PARTS = ("_bucket", "_sum", "_count")


def dashboard():
    return json.loads(DASHBOARD.read_text())


def panels(document):
    """The panels that show something, each with the title of its row."""
    row = None
    for panel in document["panels"]:
        if panel["type"] == "row":
            row = panel["title"]
        else:
            yield row, panel


def with_values(expr, interval):
    """`expr` with Grafana's variables replaced, as if all instances were chosen."""
    return expr.replace("$__rate_interval", interval).replace("$instance", ".+")


def selectors(expr):
    """Each series selector of `expr`, as it could be asked for by itself."""
    return sorted({name + (matchers or "") for name, matchers in SELECTOR.findall(expr)})


def names(expr):
    return {re.match(r"[\w:]+", selector).group() for selector in selectors(expr)}


def family(name, families):
    """The family that a series belongs to: histograms have parts."""
    for part in HISTOGRAM_PARTS:
        if name.endswith(part) and name.removesuffix(part) in families:
            return name.removesuffix(part)
    return name
