#!/usr/bin/env python3
"""Draws `results/growth.json`: small pictures side by side, both axes logarithmic.

Writes `results/growth.svg` (more at a time) and `results/length.svg` (more in a row).
"""
import json
import math
from html import escape

import growth
import peers

# name: (colour, dashes)
LINES = {
    "raw": ("#777777", "2 3"),
    "stackio": ("#c8102e", ""),
    "stackio-protocol": ("#c8102e", "6 3"),
    "stackio-streams": ("#c8102e", "2 2"),
    "tokio": ("#1f5fbf", ""),
    "may": ("#2e8b57", ""),
    "go": ("#00a0b0", ""),
    "uvloop": ("#d9880f", ""),
    "asyncio": ("#8a5fbf", ""),
}

# name: (title, what the x axis counts)
TITLES = {
    "spawn": ("spawn and join", "tasks at a time"),
    "yield": ("yield", "tasks"),
    "cancel": ("timeout, armed and dropped", "tasks, each with one"),
    "timers": ("sleep (CPU)", "timers at a time"),
    "parked": ("parked: spawned and woken", "tasks at a time"),
    "connections": ("echo of 64 bytes (server's CPU)", "connections"),
}

WIDTH, HEIGHT = 330, 240
LEFT, RIGHT, TOP, BOTTOM = 56, 14, 34, 44
LEGEND = 34
STYLE = """
text { font: 11px sans-serif; fill: #222 }
.title { font-size: 13px; font-weight: bold }
.grid { stroke: #e3e3e3 } .frame { fill: none; stroke: #999 }
.line { fill: none; stroke-width: 1.8; stroke-linejoin: round }
"""


class Scale:
    """From a logarithmic range to pixels."""

    def __init__(self, least, most, begin, end):
        self.low, self.high = math.log10(least), math.log10(most)
        self.begin, self.end = begin, end

    def __call__(self, value):
        share = (math.log10(value) - self.low) / ((self.high - self.low) or 1)
        return self.begin + share * (self.end - self.begin)


def text(x, y, words, anchor="middle", kind=""):
    return f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}" class="{kind}">{escape(words)}</text>'


def segment(x1, y1, x2, y2, kind="grid", more=""):
    return f'<line x1="{x1:.1f}" y1="{y1:.1f}" x2="{x2:.1f}" y2="{y2:.1f}" class="{kind}" {more}/>'


def short(value):
    for unit, name in ((10**6, "M"), (10**3, "k")):
        if value >= unit:
            return f"{value / unit:g}{name}"
    return f"{value:g}"


def nanoseconds(value):
    for unit, name in ((10**6, "ms"), (10**3, "µs")):
        if value >= unit:
            return f"{value / unit:g} {name}"
    return f"{value:g} ns"


def decades(least, most):
    return [10**power for power in range(math.floor(math.log10(least)), math.ceil(math.log10(most)) + 1)]


def points(row):
    """What can be drawn: a cost that was lost in the noise has no logarithm."""
    return sorted((int(size), cost) for size, cost in row.items() if cost > 0)


def axes(x, y, sizes, costs, what):
    parts = []
    for size in sizes:
        parts += [segment(x(size), y.begin, x(size), y.end),
                  text(x(size), y.begin + 15, short(size))]
    for cost in costs:
        parts += [segment(x.begin, y(cost), x.end, y(cost)),
                  text(x.begin - 6, y(cost) + 4, nanoseconds(cost), "end")]
    parts.append(text((x.begin + x.end) / 2, y.begin + 32, what))
    return parts


def curve(x, y, name, row):
    colour, dashes = LINES[name]
    at = [(x(size), y(cost)) for size, cost in points(row)]
    path = " ".join(f"{a:.1f},{b:.1f}" for a, b in at)
    dots = [f'<circle cx="{a:.1f}" cy="{b:.1f}" r="2.2" fill="{colour}"/>' for a, b in at]
    style = f'stroke="{colour}" stroke-dasharray="{dashes}"'
    return [f'<polyline points="{path}" class="line" {style}/>', *dots]


def panel(left, top, title, what, rows):
    rows = {name: row for name, row in rows.items() if name in LINES and points(row)}
    everything = [point for row in rows.values() for point in points(row)]
    sizes = decades(min(size for size, _ in everything), max(size for size, _ in everything))
    costs = decades(min(cost for _, cost in everything), max(cost for _, cost in everything))
    x = Scale(sizes[0], sizes[-1], left + LEFT, left + WIDTH - RIGHT)
    y = Scale(costs[0], costs[-1], top + HEIGHT - BOTTOM, top + TOP)
    frame = (f'<rect x="{x.begin}" y="{y.end}" width="{x.end - x.begin}" '
             f'height="{y.begin - y.end}" class="frame"/>')
    lines = [part for name in LINES if name in rows for part in curve(x, y, name, rows[name])]
    heading = text(left + LEFT, top + TOP - 10, title, "start", "title")
    return [heading, *axes(x, y, sizes, costs, what), frame, *lines]


def legend(names):
    parts, left = [], LEFT
    for name in names:
        colour, dashes = LINES[name]
        style = f'stroke="{colour}" stroke-dasharray="{dashes}"'
        parts += [segment(left, 20, left + 24, 20, "line", style), text(left + 29, 24, name, "start")]
        left += 44 + 6.5 * len(name)
    return parts


def picture(panels, columns=3):
    """`panels`: title, what the x axis counts, and the rows."""
    names = [name for name in LINES if any(name in rows for _, _, rows in panels)]
    parts = legend(names)
    for index, one in enumerate(panels):
        parts += panel(index % columns * WIDTH, LEGEND + index // columns * HEIGHT, *one)
    width, height = columns * WIDTH, LEGEND + math.ceil(len(panels) / columns) * HEIGHT
    head = (f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" '
            f'width="{width}" height="{height}">')
    paper = f'<rect width="{width}" height="{height}" fill="white"/>'
    return "\n".join([head, f"<style>{STYLE}</style>", paper, *parts, "</svg>", ""])


def main():
    figures = json.loads((peers.RESULTS / "growth.json").read_text())
    many = [(*TITLES[name], figures[name]) for name in TITLES if name in figures]
    long = [(name.removesuffix("_n"), "operations in all", figures[name])
            for name in growth.IN_A_ROW if name in figures]
    for file, panels in (("growth", many), ("length", long)):
        if panels:
            (peers.RESULTS / f"{file}.svg").write_text(picture(panels))


if __name__ == "__main__":
    main()
