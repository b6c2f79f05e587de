#!/usr/bin/env python3
"""Judges the dashboard and the alerts without a server: `check_dashboard.py RULES` exits with a list of what is wrong, and writes every
expression of a panel into the rules file RULES, for promtool to parse."""

import json
import re
import sys

import promql

PANELS = 33
ROWS = [
    "Traffic and errors",
    "Latency",
    "Shards and lanes",
    "Sequencer and journal",
    "Feed",
    "Limits and clients",
    "Process",
]
ALERTS = promql.MONITORING / "prometheus" / "rules" / "alerts.yml"
TESTS = promql.MONITORING / "prometheus" / "tests"
RUNBOOK = promql.MONITORING.parent / "docs" / "RUNBOOK.md"


def main():
    document = promql.dashboard()
    faults = list(of_dashboard(document)) + list(of_alerts(ALERTS.read_text(), RUNBOOK.read_text()))
    if faults:
        sys.exit("\n".join(faults))
    with open(sys.argv[1], "w") as out:
        json.dump(as_rules(document), out)


def of_dashboard(document):
    panels = [panel for _, panel in promql.panels(document)]
    rows = [panel["title"] for panel in document["panels"] if panel["type"] == "row"]
    variables = [variable["name"] for variable in document["templating"]["list"]]
    if len(panels) != PANELS:
        yield f"the dashboard has {len(panels)} panels, {PANELS} are wanted"
    if rows != ROWS:
        yield f"its rows are {rows}"
    if variables != ["datasource", "instance"]:
        yield f"its variables are {variables}"
    for panel in panels:
        yield from (f"panel {panel['title']!r}: {fault}" for fault in of_panel(panel))


def of_panel(panel):
    if not panel["description"].strip():
        yield "it has no description"
    if not panel["fieldConfig"]["defaults"].get("unit"):
        yield "it has no unit"
    if not panel["targets"]:
        yield "it has no query"
    for part in [panel, *panel["targets"]]:
        if part["datasource"] != {"type": "prometheus", "uid": "${datasource}"}:
            yield "its data source is not the variable"
    for target in panel["targets"]:
        if not target["legendFormat"]:
            yield f"{target['expr']} has no legend"
        if '$instance' not in target["expr"]:
            yield f"{target['expr']} does not ask for the chosen instances"
    if len({target["legendFormat"] for target in panel["targets"]}) != len(panel["targets"]):
        yield "two of its queries have one legend"


def of_alerts(rules, runbook):
    """Every alert has a severity, its annotations, a section of the runbook and a test; no section is about an alert that is gone."""
    sections = set(re.findall(r"^## (Inventory\w+)$", runbook, re.MULTILINE))
    tests = "".join(path.read_text() for path in TESTS.glob("*.yml"))
    alerts = re.split(r"^      - alert: ", rules, flags=re.MULTILINE)[1:]
    names = {alert.split("\n", 1)[0] for alert in alerts}
    yield from (f"the runbook has a section {name}, which is no alert" for name in sorted(sections - names))
    for alert in alerts:
        name = alert.split("\n", 1)[0]
        for part in ["severity: (critical|warning)$", "summary: ", "description: ", f"runbook: docs/RUNBOOK.md#{name.lower()}$"]:
            if not re.search(rf"^ +{part}", alert, re.MULTILINE):
                yield f"alert {name} has no {part}"
        if name not in sections:
            yield f"alert {name} has no section in the runbook"
        judged = re.findall(rf"alertname: {name}\n +exp_alerts:( \[\])?$", tests, re.MULTILINE)
        if set(judged) != {"", " []"}:
            yield f"alert {name} has no test in which it fires and one in which it does not"


def as_rules(document):
    rules = [
        {"record": f"panel:{panel['id']}:{target['refId']}", "expr": promql.with_values(target["expr"], "1m")}
        for _, panel in promql.panels(document)
        for target in panel["targets"]
    ]
    return {"groups": [{"name": "panels", "rules": rules}]}


if __name__ == "__main__":
    main()
