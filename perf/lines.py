"""Lines over one axis as a picture, in plain SVG: what `soak` and `scaling` draw. Pure."""
import math
from dataclasses import dataclass, field
from xml.sax.saxutils import escape

WIDTH, PANEL_HEIGHT = 900, 260
LEFT, RIGHT, HEAD, FOOT = 90, 170, 48, 40
COLOURS = ["#1f6f8b", "#c1573b", "#5b8a3a", "#7a5ea8", "#8a9ba8", "#b08a2e"]
TICKS = 5
GREY, INK = "#5c6b75", "#1c262c"


@dataclass(frozen=True)
class Line:
    label: str
    # (x, y), by x.
    points: list
    dashed: bool = False


@dataclass(frozen=True)
class Panel:
    title: str
    x_label: str
    y_label: str
    lines: list
    # Horizontal marks: (y, label).
    marks: list = field(default_factory=list)


def svg(panels, caption):
    height = PANEL_HEIGHT * len(panels) + 30
    parts = [f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}" width="{WIDTH}" height="{height}" '
             'font-family="system-ui, sans-serif" font-size="12">', f'<rect width="{WIDTH}" height="{height}" fill="#ffffff"/>']
    for number, panel in enumerate(panels):
        parts += panel_svg(panel, PANEL_HEIGHT * number)
    parts.append(text(LEFT, height - 10, caption, fill=GREY))
    return "\n".join([*parts, "</svg>"]) + "\n"


def panel_svg(panel, top):
    points = [point for line in panel.lines for point in line.points]
    if not points:
        return [text(LEFT, top + 24, f"{panel.title}: no figures", size=15, weight="bold")]
    x_low, x_high = min(x for x, _ in points), max(x for x, _ in points)
    y_ticks = ticks(max([y for _, y in points] + [y for y, _ in panel.marks]))
    width, height = WIDTH - LEFT - RIGHT, PANEL_HEIGHT - HEAD - FOOT
    bottom = top + HEAD + height

    def at_x(x):
        return LEFT + (x - x_low) / ((x_high - x_low) or 1) * width

    def at_y(y):
        return bottom - y / y_ticks[-1] * height

    parts = [text(LEFT, top + 22, panel.title, size=15, weight="bold"), text(LEFT, top + 39, panel.y_label, fill=GREY)]
    for tick in y_ticks:
        parts.append(f'<path d="M{LEFT} {at_y(tick):.1f}h{width}" stroke="#e3e7ea"/>')
        parts.append(text(LEFT - 8, at_y(tick) + 4, number_text(tick), anchor="end", fill=GREY))
    for step in range(TICKS + 1):
        x = x_low + (x_high - x_low) * step / TICKS
        parts.append(text(at_x(x), bottom + 16, number_text(x), anchor="middle", fill=GREY))
    parts.append(text(LEFT + width / 2, bottom + 32, panel.x_label, anchor="middle", fill=GREY))
    for y, label in panel.marks:
        parts.append(f'<path d="M{LEFT} {at_y(y):.1f}h{width}" stroke="{INK}" stroke-dasharray="2 4"/>')
        parts.append(text(LEFT + width + 8, at_y(y) + 4, label))
    for number, line in enumerate(panel.lines):
        colour = COLOURS[number % len(COLOURS)]
        path = " ".join(f"{'L' if index else 'M'}{at_x(x):.1f} {at_y(y):.1f}" for index, (x, y) in enumerate(line.points))
        dash = ' stroke-dasharray="6 4"' if line.dashed else ""
        parts.append(f'<path d="{path}" fill="none" stroke="{colour}" stroke-width="1.8"{dash}/>')
        parts.append(text(LEFT + width + 8, top + HEAD + 14 + 16 * number, line.label, fill=colour, weight="bold"))
    return parts


def ticks(highest):
    """From 0 to a round number that is at least `highest`, in even steps."""
    if highest <= 0:
        return [0, 1]
    rough = highest / TICKS
    power = 10 ** math.floor(math.log10(rough))
    step = next(power * factor for factor in (1, 2, 2.5, 5, 10) if power * factor >= rough * 0.999999)
    return [step * number for number in range(math.ceil(highest / step - 1e-9) + 1)]


def number_text(value):
    if value >= 1e6:
        return f"{value / 1e6:g} M" if value % 1e5 == 0 else f"{value / 1e6:.2f} M"
    if value >= 1000:
        return f"{value:,.0f}"
    return f"{value:.3g}"


def text(x, y, content, size=12, anchor="start", weight="normal", fill=INK):
    return (f'<text x="{x:.1f}" y="{y:.1f}" font-size="{size}" text-anchor="{anchor}" font-weight="{weight}" fill="{fill}">'
            f"{escape(str(content))}</text>")
