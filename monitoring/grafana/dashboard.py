#!/usr/bin/env python3
"""The source of the dashboard: `dashboard.py` writes dashboards/central-inventory.json, `dashboard.py --check` tells whether
that file is what it would write. Rows and their panels stand in `ROWS`, in the order in which they are read."""

import json
import pathlib
import sys

from panels import ROWS

TARGET = pathlib.Path(__file__).parent / "dashboards" / "central-inventory.json"
DATASOURCE = {"type": "prometheus", "uid": "${datasource}"}
HEIGHT = 8
WIDTH_TOTAL = 24


def main():
    text = json.dumps(dashboard(), indent=2, ensure_ascii=False) + "\n"
    if sys.argv[1:] != ["--check"]:
        TARGET.write_text(text)
    elif TARGET.read_text() != text:
        sys.exit(f"{TARGET} is not what dashboard.py writes: run it without --check")


def dashboard():
    return {
        "uid": "central-inventory",
        "title": "Central inventory",
        "description": "One page for central-inventory: is it well, how fast is it, and what is in the way. See docs/METRICS.md.",
        "tags": ["central-inventory"],
        "schemaVersion": 39,
        "editable": False,
        "graphTooltip": 1,
        "refresh": "15s",
        "timezone": "browser",
        "time": {"from": "now-1h", "to": "now"},
        "templating": {"list": [datasource_variable(), instance_variable()]},
        "panels": list(laid_out()),
    }


def datasource_variable():
    return {"name": "datasource", "label": "Data source", "type": "datasource", "query": "prometheus", "current": {}}


def instance_variable():
    return {
        "name": "instance",
        "label": "Instance",
        "type": "query",
        "datasource": DATASOURCE,
        "query": {"query": "label_values(inventory_build_info, instance)", "refId": "instance"},
        "refresh": 2,
        "sort": 1,
        "multi": True,
        "includeAll": True,
        "allValue": ".+",
        "current": {"selected": True, "text": ["All"], "value": ["$__all"]},
    }


def laid_out():
    """Rows with their panels: as many beside each other as the row says."""
    number, top = 1, 0
    for row in ROWS:
        yield {"id": number, "type": "row", "title": row.title, "collapsed": False, "panels": [], "gridPos": grid(0, top, WIDTH_TOTAL, 1)}
        number, top = number + 1, top + 1
        for line in row.lines:
            width = WIDTH_TOTAL // len(line)
            for place, panel in enumerate(line):
                yield panel_json(panel, number, grid(place * width, top, width, HEIGHT))
                number += 1
            top += HEIGHT


def grid(x, y, width, height):
    return {"x": x, "y": y, "w": width, "h": height}


def panel_json(panel, number, position):
    return {
        "id": number,
        "type": panel.kind,
        "title": panel.title,
        "description": panel.description,
        "datasource": DATASOURCE,
        "gridPos": position,
        "fieldConfig": {"defaults": defaults(panel), "overrides": []},
        "options": options(panel),
        "targets": [target(panel, index, query) for index, query in enumerate(panel.queries)],
    }


def target(panel, index, query):
    return {
        "refId": chr(ord("A") + index),
        "datasource": DATASOURCE,
        "expr": query.expr,
        "legendFormat": query.legend,
        "range": panel.kind != "stat",
        "instant": panel.kind == "stat",
        "format": "heatmap" if panel.kind == "heatmap" else "time_series",
    }


def defaults(panel):
    field = {"unit": panel.unit}
    if panel.kind == "heatmap":
        return field
    field["min"] = 0
    if panel.most is not None:
        field["max"] = panel.most
    if panel.kind == "stat":
        field["mappings"] = [{"type": "value", "options": {value: {"text": text, "color": color} for value, text, color in panel.states}}]
        return field
    field["thresholds"] = thresholds(panel)
    field["custom"] = {
        "drawStyle": "line",
        "lineWidth": 1,
        "fillOpacity": 25 if panel.stacked else 0,
        "showPoints": "never",
        "spanNulls": False,
        "stacking": {"mode": "normal" if panel.stacked else "none"},
        "thresholdsStyle": {"mode": "off" if panel.alert_above is None and panel.alert_below is None else "dashed"},
    }
    return field


def thresholds(panel):
    """Where an alert speaks of the panel's own numbers, its threshold is drawn."""
    if panel.alert_below is not None:
        return steps("red", panel.alert_below, "green")
    if panel.alert_above is not None:
        return steps("green", panel.alert_above, "red")
    return {"mode": "absolute", "steps": [{"color": "green", "value": None}]}


def steps(below, value, above):
    return {"mode": "absolute", "steps": [{"color": below, "value": None}, {"color": above, "value": value}]}


def options(panel):
    if panel.kind == "heatmap":
        return {"calculate": False, "yAxis": {"unit": panel.unit}, "color": {"mode": "scheme", "scheme": "Blues"}, "legend": {"show": True}}
    if panel.kind == "stat":
        return {"colorMode": "background", "graphMode": "none", "textMode": "value_and_name", "reduceOptions": {"calcs": ["lastNotNull"]}}
    return {
        "legend": {"displayMode": "table", "placement": "bottom", "calcs": ["mean", "max", "lastNotNull"]},
        "tooltip": {"mode": "multi", "sort": "desc"},
    }


if __name__ == "__main__":
    main()
