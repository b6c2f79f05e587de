#!/usr/bin/env python3
"""Judges a server under load by what Prometheus scraped from it: `check_live.py PROMETHEUS_URL METRICS_URL PROMTOOL` exits with a list
of what is wrong. What may be wrong, and why, stands in the tables below."""

import json
import re
import subprocess
import sys
import urllib.parse
import urllib.request

import promql

DOCS = promql.MONITORING.parent / "docs"

# Counters of a label's value that a healthy server does not move; a whole family has the empty value.
UNMOVED = {
    ("inventory_api_problems_total", "recovering"): "needs a start that takes long",
    ("inventory_api_problems_total", "draining"): "needs a stop, which ends the scrapes",
    ("inventory_api_problems_total", "storage_failed"): "needs a disk that fails",
    ("inventory_snapshots_total", "failed"): "needs a disk that fails",
    ("inventory_feed_polls_total", "unreadable"): "needs a damaged journal",
    ("inventory_rate_limit_clients_forgotten_total", ""): "needs more addresses than RATE_LIMIT_MAX_CLIENTS",
    ("inventory_otlp_exports_total", "exported"): "needs a receiver",
    ("inventory_otlp_exports_total", "failed"): "needs a receiver",
    ("inventory_log_lines_dropped_total", ""): "needs a reader of the log that is too slow",
}
# Complaints of `promtool check metrics` about names that are given.
GIVEN_NAMES = {
    "inventory_api_requests_by_client_ip_type": 'counter metrics should have "_total" suffix',
    "inventory_worker_active_count": 'non-histogram and non-summary metrics should not have "_count" suffix',
}


def main():
    prometheus, metrics_url, promtool = Prometheus(sys.argv[1]), sys.argv[2], sys.argv[3]
    text = fetch(metrics_url)
    exported = dict(re.findall(r"^# TYPE (\S+) (\S+)$", text, re.MULTILINE))
    asked = [*of_panels(), *prometheus.rules("recording")]
    alerts = list(prometheus.rules("alerting"))
    faults = [
        *without_data(prometheus, asked),
        *without_series(prometheus, asked + alerts),
        *not_exported(asked + alerts, exported),
        *without_labels(prometheus),
        *undocumented(exported),
        *unmoved(text, exported),
        *lint(promtool, text),
        *open_metrics(metrics_url, exported),
        *prometheus.complaints(),
    ]
    if faults:
        sys.exit("\n".join(faults))
    print(f"{len(asked)} queries of panels and recording rules return data, {len(alerts)} alerts find their series")
    print(f"{len(exported)} metrics are exported and documented, {text.count(chr(10))} lines, {len(text)} bytes")
    print("firing:", ", ".join(prometheus.firing()) or "nothing")


class Prometheus:
    def __init__(self, url):
        self.url = url

    def get(self, path, **parameters):
        return json.loads(fetch(f"{self.url}/api/v1/{path}?{urllib.parse.urlencode(parameters)}"))["data"]

    def values(self, expr):
        return [float(series["value"][1]) for series in self.get("query", query=expr)["result"]]

    def labels(self, expr):
        """The labels that the series of `expr` have, all together."""
        return {label for series in self.get("query", query=expr)["result"] for label in series["metric"]}

    def rules(self, kind):
        """What each rule of that kind asks for, under its name."""
        for rule in self.whole_rules():
            if rule["type"] == kind:
                yield rule["name"], rule["query"]

    def whole_rules(self):
        return [rule for group in self.get("rules")["groups"] for rule in group["rules"]]

    def firing(self):
        return sorted({alert["labels"]["alertname"] for alert in self.get("alerts")["alerts"] if alert["state"] == "firing"})

    def complaints(self):
        for rule in self.whole_rules():
            if rule["health"] != "ok":
                yield f"rule {rule['name']} is {rule['health']}: {rule.get('lastError')}"
        for target in self.get("targets")["activeTargets"]:
            if target["health"] != "up":
                yield f"the target is {target['health']}: {target['lastError']}"


def fetch(url, accept="text/plain"):
    with urllib.request.urlopen(urllib.request.Request(url, headers={"Accept": accept}), timeout=30) as answer:
        return answer.read().decode()


def of_panels():
    return [(name, expr) for name, expr, _ in legends()]


def legends():
    """Each query of a panel with its legend, under the panel's title."""
    for _, panel in promql.panels(promql.dashboard()):
        for target in panel["targets"]:
            yield f"panel {panel['title']!r}", promql.with_values(target["expr"], "15s"), target["legendFormat"]


def without_data(prometheus, asked):
    for name, expr in asked:
        # NaN is what no observation looks like; it is the one value that differs from itself.
        if not any(value == value for value in prometheus.values(expr)):
            yield f"{name} has no data: {expr}"


def without_series(prometheus, asked):
    for selector in sorted({selector for _, expr in asked for selector in promql.selectors(expr)}):
        if not prometheus.values(selector):
            yield f"no series: {selector}"


def without_labels(prometheus):
    """What legends and the texts of alerts fill in exists."""
    for name, expr, legend in legends():
        for label in re.findall(r"{{(\w+)}}", legend):
            if label not in prometheus.labels(expr):
                yield f"{name} has no label {label}: {expr}"
    for rule in prometheus.whole_rules():
        there = set().union(*map(prometheus.labels, promql.selectors(rule["query"])))
        for label in re.findall(r"\$labels\.(\w+)", json.dumps(rule.get("annotations", {}))):
            if label not in there:
                yield f"the text of {rule['name']} asks for the label {label}, which no series has"


def not_exported(asked, exported):
    for name, expr in asked:
        for metric in promql.names(expr):
            if ":" not in metric and metric != "up" and promql.family(metric, exported) not in exported:
                yield f"{name} asks for {metric}, which is not exported"


def undocumented(exported):
    """docs/METRICS.md has a row for each metric, with its type; it and the runbook name no other."""
    metrics, runbook = (DOCS / "METRICS.md").read_text(), (DOCS / "RUNBOOK.md").read_text()
    documented = dict(re.findall(r"^\| `(\w+)` \| (\w+) \|", metrics, re.MULTILINE))
    for name in sorted(exported.keys() | documented.keys()):
        if exported.get(name) != documented.get(name):
            yield f"{name} is exported as {exported.get(name)} and documented as {documented.get(name)}"
    for name in sorted(set(re.findall(r"(?<![\w:])(?:inventory|process)_\w+", metrics + runbook))):
        if promql.family(name, exported) not in exported:
            yield f"METRICS.md or RUNBOOK.md names {name}, which is not exported"


def unmoved(text, exported):
    """Every counter and histogram has counted something, with every value of its labels but for shards and executors."""
    moved, seen = set(), set()
    for series, labels, value in re.findall(r"^(\w+)(?:\{(.*)\})? (\S+)$", text, re.MULTILINE):
        name = promql.family(series, exported)
        if exported[name] == "gauge" or series.endswith(("_bucket", "_sum")):
            continue
        labels = re.findall(r'(\w+)="([^"]*)"', labels)
        key = (name, " ".join(value for label, value in labels if label not in ("shard", "executor", "roles")))
        seen.add(key)
        if float(value) > 0:
            moved.add(key)
    yield from (f"{' '.join(key)} did not move" for key in sorted(seen - moved - UNMOVED.keys()))


def lint(promtool, text):
    said = subprocess.run([promtool, "check", "metrics"], input=text, capture_output=True, text=True)
    for line in (said.stdout + said.stderr).splitlines():
        name, _, complaint = line.partition(" ")
        if GIVEN_NAMES.get(name) != complaint:
            yield f"promtool check metrics: {line}"


def open_metrics(url, exported):
    text = fetch(url, "application/openmetrics-text; version=1.0.0")
    if not text.endswith("# EOF\n"):
        yield "OpenMetrics does not end with its mark"
    described = set(re.findall(r"^# TYPE (\S+) ", text, re.MULTILINE))
    if described != {name.removesuffix("_total") for name in exported}:
        yield f"OpenMetrics has other metrics than the classic text: {sorted(described ^ {name.removesuffix('_total') for name in exported})}"


if __name__ == "__main__":
    main()
