"""Horizontal bars up to the median, with whiskers from minimum to maximum. Plain SVG."""
from dataclasses import dataclass
from xml.sax.saxutils import escape

from .spread import Spread

WIDTH = 900
LABEL_WIDTH = 210
FIGURE_WIDTH = 130
BAR_HEIGHT = 22
ROW_HEIGHT = 32
PANEL_HEAD = 52
MARGIN = 24
OURS, PEER, YARDSTICK = "#1f6f8b", "#8a9ba8", "#d9dee2"


@dataclass(frozen=True)
class Bar:
    label: str
    colour: str
    spread: Spread


@dataclass(frozen=True)
class Panel:
    title: str
    note: str
    bars: list


def svg(panels, caption):
    height = MARGIN + sum(PANEL_HEAD + ROW_HEIGHT * len(panel.bars) for panel in panels) + MARGIN
    parts = [f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}" width="{WIDTH}" height="{height}" '
             'font-family="system-ui, sans-serif" font-size="14">', f'<rect width="{WIDTH}" height="{height}" fill="#ffffff"/>']
    top = MARGIN / 2
    for panel in panels:
        parts += panel_svg(panel, top)
        top += PANEL_HEAD + ROW_HEIGHT * len(panel.bars)
    parts.append(text(MARGIN, height - MARGIN / 2, caption, size=12, fill="#5c6b75"))
    return "\n".join([*parts, "</svg>"]) + "\n"


def panel_svg(panel, top):
    left, room = MARGIN + LABEL_WIDTH, WIDTH - 2 * MARGIN - LABEL_WIDTH - FIGURE_WIDTH
    scale = room / (max(bar.spread.high for bar in panel.bars) or 1)
    parts = [text(MARGIN, top + 24, panel.title, size=16, weight="bold"), text(MARGIN, top + 41, panel.note, size=12, fill="#5c6b75")]
    for number, bar in enumerate(panel.bars):
        y = top + PANEL_HEAD + ROW_HEIGHT * number
        middle = y + BAR_HEIGHT / 2
        low, at, high = (left + value * scale for value in (bar.spread.low, bar.spread.middle, bar.spread.high))
        parts += [
            text(left - 10, middle + 5, bar.label, anchor="end", weight="bold" if bar.colour == OURS else "normal"),
            f'<rect x="{left}" y="{y:.1f}" width="{at - left:.1f}" height="{BAR_HEIGHT}" fill="{bar.colour}"/>',
            f'<path d="M{low:.1f} {middle:.1f}H{high:.1f}M{low:.1f} {middle - 5:.1f}v10M{high:.1f} {middle - 5:.1f}v10" '
            'stroke="#1c262c" stroke-width="1.5" fill="none"/>',
            text(max(at, high) + 10, middle + 5, figure_text(bar.spread.middle))]
    return parts


def figure_text(value):
    return f"{value:,.0f}" if value >= 100 else f"{value:.1f}"


def text(x, y, content, size=14, anchor="start", weight="normal", fill="#1c262c"):
    return (f'<text x="{x:.1f}" y="{y:.1f}" font-size="{size}" text-anchor="{anchor}" font-weight="{weight}" fill="{fill}">'
            f"{escape(content)}</text>")
