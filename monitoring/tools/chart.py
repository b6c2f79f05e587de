"""One panel as a piece of HTML: title, unit, plot and legend. render.py puts them on a page."""

import html
import math
import time

PLOT_HEIGHT = 150
MARGIN_LEFT, MARGIN_RIGHT, MARGIN_TOP, MARGIN_BOTTOM = 52, 6, 8, 16
COLORS = ["#1f77b4", "#ff7f0e", "#2ca02c", "#d62728", "#9467bd", "#8c564b", "#e377c2", "#17becf", "#bcbd22", "#7f7f7f", "#003f5c", "#ffa600"]
UNITS = {
    "reqps": "requests/s",
    "ops": "a second",
    "s": "time",
    "percentunit": "share",
    "short": "number",
    "Bps": "bytes/s",
    "bytes": "bytes",
    "none": "state",
}


def panel(panel, lines, width, begin, end):
    unit = panel["fieldConfig"]["defaults"]["unit"]
    lines = sorted(((name, points) for name, points in lines if points), key=lambda line: -max(value for _, value in line[1]))
    if panel["type"] == "stat":
        content = states(panel, lines)
    elif panel["type"] == "heatmap":
        content = heatmap(lines, Frame(width, begin, end))
    else:
        content = curves(panel, lines, unit, Frame(width, begin, end))
    head = f"<div class=title><span class=unit>{html.escape(UNITS[unit])}</span>{html.escape(panel['title'])}</div>"
    return f'<div class=panel style="width:{width}px">{head}{content}</div>'


class Frame:
    """Where the plot lies within its SVG, and which time it shows."""

    def __init__(self, width, begin, end):
        self.width, self.begin, self.end = width - 18, begin, end
        self.right, self.bottom = self.width - MARGIN_RIGHT, PLOT_HEIGHT - MARGIN_BOTTOM

    def x(self, at):
        return MARGIN_LEFT + (at - self.begin) / (self.end - self.begin) * (self.right - MARGIN_LEFT)

    def y(self, share):
        return self.bottom - share * (self.bottom - MARGIN_TOP)

    def svg(self, content):
        return f'<svg width="{self.width}" height="{PLOT_HEIGHT}">{content}</svg>'

    def times(self):
        parts = 4 if self.width > 420 else 2
        for number in range(parts + 1):
            at = self.begin + (self.end - self.begin) * number / parts
            anchor = {0: "start", parts: "end"}.get(number, "middle")
            text = time.strftime("%H:%M:%S", time.gmtime(at))
            yield f'<text x="{self.x(at):.0f}" y="{PLOT_HEIGHT - 3}" text-anchor="{anchor}">{text}</text>'

    def level(self, share, text, style='stroke="#e6e8eb"'):
        y = self.y(share)
        line = f'<line x1="{MARGIN_LEFT}" x2="{self.right}" y1="{y:.1f}" y2="{y:.1f}" {style}/>'
        return line + f'<text x="{MARGIN_LEFT - 5}" y="{y + 3:.1f}" text-anchor="end">{html.escape(text)}</text>'


def curves(panel, lines, unit, frame):
    defaults = panel["fieldConfig"]["defaults"]
    stacked = defaults["custom"]["stacking"]["mode"] == "normal"
    shapes = stack(lines) if stacked else [(name, points, None) for name, points in lines]
    finite = [value for _, points, _ in shapes for _, value in points if math.isfinite(value)]
    top = defaults.get("max") or round_up(max(finite, default=0) * 1.05 or 1, unit)
    parts = [frame.level(number / 4, readable(top * number / 4, unit)) for number in range(5)]
    parts += frame.times()
    for index, (_, points, below) in enumerate(shapes):
        parts.append(shape(points, below, COLORS[index % len(COLORS)], top, frame))
    limit = defaults["thresholds"]["steps"][-1]["value"]
    if limit is not None and limit <= top:
        parts.append(frame.level(limit / top, "", 'stroke="#d62728" stroke-dasharray="5 4"'))
    return frame.svg("".join(parts)) + legend(lines, unit)


def stack(lines):
    """Each line on top of those before it, with the heights that it stands on."""
    below, shapes = {}, []
    for name, points in lines:
        base = [(at, below.get(at, 0.0)) for at, _ in points]
        raised = [(at, value + below.get(at, 0.0)) for at, value in points]
        below |= dict(raised)
        shapes.append((name, raised, base))
    return shapes


def shape(points, below, color, top, frame):
    def path(points):
        return " ".join(f"{frame.x(at):.1f},{frame.y(min(value / top, 1)):.1f}" for at, value in points)

    area = f'<polygon points="{path(points)} {path(reversed(below))}" fill="{color}" fill-opacity="0.35"/>' if below else ""
    return area + f'<polyline points="{path(points)}" fill="none" stroke="{color}" stroke-width="1.4"/>'


def legend(lines, unit):
    entries = (
        f'<span><i style="background:{COLORS[index % len(COLORS)]}"></i>{html.escape(name)}'
        f"<b>{readable(points[-1][1], unit)}</b>, most {readable(max(value for _, value in points), unit)}</span>"
        for index, (name, points) in enumerate(lines)
    )
    return f"<div class=legend>{''.join(entries)}</div>"


def heatmap(lines, frame):
    """Rows are the buckets, named by their upper bounds, as dark as many observations they got."""
    bounds = sorted((float(name), dict(points)) for name, points in lines)
    cells, before = [], {}
    for bound, counts in bounds:
        cells.append((bound, {at: max(0.0, count - before.get(at, 0.0)) for at, count in counts.items()}))
        before = counts
    used = [index for index, (_, counts) in enumerate(cells) if any(count > 0.001 for count in counts.values())]
    cells = cells[used[0] : used[-1] + 1] if used else []
    most = max((count for _, counts in cells for count in counts.values()), default=1) or 1
    parts = list(frame.times())
    for row, (bound, counts) in enumerate(cells):
        name = "more" if math.isinf(bound) else readable(bound, "s")
        if row % (1 + len(cells) // 10):
            name = ""
        parts.append(f'<text x="{MARGIN_LEFT - 5}" y="{frame.y((row + 0.5) / len(cells)) + 3:.1f}" text-anchor="end">{name}</text>')
        width = (frame.right - MARGIN_LEFT) / max(1, len(counts)) + 0.5
        for at, count in counts.items():
            if count > 0:
                top = frame.y((row + 1) / len(cells))
                height = frame.y(row / len(cells)) - top
                shade = 0.06 + 0.94 * math.sqrt(count / most)
                place = f'x="{frame.x(at):.1f}" y="{top:.1f}" width="{width:.1f}" height="{height:.1f}"'
                parts.append(f'<rect {place} fill="#08519c" fill-opacity="{shade:.2f}"/>')
    return frame.svg("".join(parts)) + f"<div class=legend><span>darkest: <b>{readable(most, 'ops')}</b> updates a second took that long</span></div>"


def states(panel, lines):
    names = panel["fieldConfig"]["defaults"]["mappings"][0]["options"]
    boxes = []
    for name, points in lines:
        state = names[str(int(points[-1][1]))]
        boxes.append(
            f'<div style="background:{state["color"]};color:#fff;text-align:center;padding:52px 0;margin-top:8px;font-size:44px;border-radius:3px">'
            f'{html.escape(state["text"])}<div style="font-size:13px">{html.escape(name)}</div></div>'
        )
    return "".join(boxes)


def round_up(value, unit):
    """The next number that divides well by four."""
    if unit == "percentunit" and 0.5 < value <= 1.05:
        return 1.0
    if unit in ("bytes", "Bps"):
        unit_bytes = 1024 ** int(math.log(max(value, 1), 1024))
        return round_up(value / unit_bytes, "short") * unit_bytes
    power = 10 ** math.floor(math.log10(value))
    return next(step * power for step in (1, 1.2, 1.6, 2, 2.4, 3.2, 4, 6, 8, 10) if step * power >= value)


def readable(value, unit):
    if math.isinf(value):
        return "∞"
    if unit == "percentunit":
        return f"{value * 100:.3g} %"
    if unit == "s":
        for factor, name in [(1, "s"), (1e3, "ms"), (1e6, "µs")]:
            if value * factor >= 1 or name == "µs":
                return f"{value * factor:.3g} {name}" if value else "0"
    steps = [(1 << 30, "Gi"), (1 << 20, "Mi"), (1 << 10, "Ki")] if unit in ("bytes", "Bps") else [(1e9, "G"), (1e6, "M"), (1e4, "k")]
    for size, name in steps:
        if value >= size:
            return f"{value / (1e3 if name == 'k' else size):.3g}{'' if unit == 'short' else ' '}{name}" + ("B" if unit in ("bytes", "Bps") else "")
    return f"{value:.3g}" if value < 1000 else f"{value:.0f}"
