#!/usr/bin/env python3
"""Draws the dashboard without Grafana: `render.py PROMETHEUS_URL BEGIN TARGET.png` asks Prometheus what each panel asks, from BEGIN (seconds
since 1970) until now, and lets headless Chromium make a picture of a page with the answers as SVG. chart.py draws a single panel."""

import html
import json
import pathlib
import re
import shutil
import subprocess
import sys
import tempfile
import time
import urllib.parse
import urllib.request

import chart
import promql

WIDTH = 1480
CONTENT_WIDTH = WIDTH - 40
# Four scrapes of 5 s, as Grafana's `$__rate_interval`.
RATE_INTERVAL = "20s"
POINTS = 150
TELL_HEIGHT = "<script>document.title = Math.ceil(document.body.getBoundingClientRect().height)</script>"
BROWSERS = ["chromium", "chromium-browser", "google-chrome"]

STYLE = """
body { margin: 0; padding: 16px 20px; width: 1440px; background: #f4f5f5; color: #24292e; font: 12px system-ui, "DejaVu Sans", sans-serif }
h1 { margin: 0 0 2px; font-size: 21px } p { margin: 0 0 4px; color: #57606a }
h2 { margin: 12px 0 5px; font-size: 15px }
.line { display: flex; gap: 8px; margin-bottom: 8px }
.panel { background: #fff; border: 1px solid #dfe2e5; border-radius: 3px; padding: 5px 8px 4px; box-sizing: border-box; overflow: hidden }
.title { font-weight: 600; font-size: 13px } .unit { float: right; font-weight: 400; color: #6e7781; font-size: 11px }
.legend { font-size: 10px; color: #424a53; line-height: 13px } .legend span { display: inline-block; margin-right: 10px }
.legend i { display: inline-block; width: 9px; height: 3px; margin-right: 4px; vertical-align: middle }
.legend b { font-weight: 600; margin-left: 4px }
svg text { font: 10px system-ui, "DejaVu Sans", sans-serif; fill: #6e7781 }
"""


def main():
    url, begin, target = sys.argv[1], float(sys.argv[2]), pathlib.Path(sys.argv[3])
    browser = next(filter(None, map(shutil.which, BROWSERS)), None) or sys.exit(f"none of {BROWSERS} is installed")
    page = draw(promql.dashboard(), Span(url, begin, time.time()))
    with tempfile.TemporaryDirectory() as directory:
        source = pathlib.Path(directory) / "page.html"
        source.write_text(page)
        options = ["--headless", "--no-sandbox", "--disable-gpu", "--disable-lcd-text", "--hide-scrollbars", f"--user-data-dir={directory}/profile"]

        def browse(height, *more):
            command = [browser, *options, f"--window-size={WIDTH},{height}", *more, source.as_uri()]
            return subprocess.run(command, check=True, capture_output=True, timeout=120, text=True).stdout

        # A picture is as large as the window: the page says first how high it is.
        height = re.search(r"<title>(\d+)", browse(100, "--dump-dom"))[1]
        browse(height, f"--screenshot={target.resolve()}")
    # A palette makes it a third as large.
    if shutil.which("pngquant"):
        subprocess.run(["pngquant", "--force", "--output", target, "256", target], check=True)
    print(f"{target}: {target.stat().st_size} bytes")


class Span:
    """What is asked of Prometheus: all series of a query over one span of time."""

    def __init__(self, url, begin, end):
        self.url, self.begin, self.end = url, begin, end
        self.step = max(1.0, (end - begin) / POINTS)

    def series(self, expr):
        parameters = {"query": promql.with_values(expr, RATE_INTERVAL), "start": self.begin, "end": self.end, "step": self.step}
        with urllib.request.urlopen(f"{self.url}/api/v1/query_range?{urllib.parse.urlencode(parameters)}", timeout=30) as answer:
            for series in json.load(answer)["data"]["result"]:
                points = [(float(at), float(value)) for at, value in series["values"]]
                yield series["metric"], [(at, value) for at, value in points if value == value]


def draw(document, span):
    parts, last_row, last_line = [], None, None
    for row, panel in promql.panels(document):
        if row != last_row:
            parts.append(f"{'</div>' if last_row else ''}<h2>{html.escape(row)}</h2>")
        line = panel["gridPos"]["y"]
        if line != last_line:
            parts.append(f"{'</div>' if row == last_row else ''}<div class=line>")
        parts.append(drawn_panel(panel, span))
        last_row, last_line = row, line
    shown = f"{time.strftime('%Y-%m-%d %H:%M:%S', time.gmtime(span.begin))} to {time.strftime('%H:%M:%S', time.gmtime(span.end))} UTC"
    how = "The dashboard's own queries, answered by Prometheus and drawn by monitoring/tools/render.py."
    title = f"<h1>{html.escape(document['title'])}</h1><p>{shown}. {how}</p>"
    return f"<!doctype html><meta charset=utf-8><style>{STYLE}</style><body>{title}{''.join(parts)}</div>{TELL_HEIGHT}"


def drawn_panel(panel, span):
    lines = [
        (legend(target["legendFormat"], labels), points)
        for target in panel["targets"]
        for labels, points in span.series(target["expr"])
    ]
    width = panel["gridPos"]["w"] * CONTENT_WIDTH // 24 - 8
    return chart.panel(panel, lines, width, span.begin, span.end)


def legend(template, labels):
    """As Grafana fills it in. One instance is shown here, so it is not repeated in every legend."""
    text = template.replace("{{instance}}", "").strip()
    return re.sub(r"{{(\w+)}}", lambda found: labels.get(found[1], ""), text) or "this server"


if __name__ == "__main__":
    main()
