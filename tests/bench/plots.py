# SPDX-License-Identifier: Apache-2.0
"""Charts as SVG, written by hand: grouped bars and lines, each value with its spread."""

import html
import math
from dataclasses import dataclass

WIDTH, HEIGHT = 760, 380
LEFT, RIGHT, TOP = 70, 16, 44
LEGEND_LINE = 20
COLOURS = ("#4e79a7", "#a0cbe8", "#bab0ac", "#59a14f", "#8cd17d", "#e15759", "#b07aa1", "#9c755f")
FONT = "font-family='sans-serif' font-size='12' fill='#333'"


@dataclass
class Value:
    middle: float
    least: float = None
    most: float = None


def colours(names):
    """Return a colour for each name. Ours have the same colours in every chart."""
    others = iter(COLOURS)
    ours = iter(("#f28e2b", "#b35f0a"))
    return ["#ffbe7d" if name.endswith("asking") else next(ours if name.startswith("ours") else others)
            for name in names]


def nice_ceiling(value):
    """Return the next of 1, 1.5, 2, 3, 4, 5, 6, 8, 10 times a power of ten."""
    power = 10 ** math.floor(math.log10(value)) if value > 0 else 1
    return next(step * power for step in (1, 1.5, 2, 3, 4, 5, 6, 8, 10) if step * power >= value * 0.9999)


def number(value):
    return f"{value:,.0f}" if value >= 100 or value == int(value) else f"{value:.3g}"


def text(x, y, what, anchor="middle", more=""):
    return f"<text x='{x:.1f}' y='{y:.1f}' text-anchor='{anchor}' {FONT} {more}>{html.escape(str(what))}</text>"


def line(x1, y1, x2, y2, colour="#333", width=1):
    return f"<line x1='{x1:.1f}' y1='{y1:.1f}' x2='{x2:.1f}' y2='{y2:.1f}' stroke='{colour}' stroke-width='{width}'/>"


class Chart:
    """A frame with a scale from 0, groups side by side (of one or two lines), and a legend below."""

    def __init__(self, title, unit, groups, names, most, below=""):
        self.groups, self.names, self.colours = groups, names, colours(names)
        self.most = nice_ceiling(most)
        self.bottom = HEIGHT - 40
        rows = self.legend_rows()
        self.height = HEIGHT + LEGEND_LINE * len(rows) + 6
        self.parts = [
            f"<svg xmlns='http://www.w3.org/2000/svg' viewBox='0 0 {WIDTH} {self.height}' "
            f"width='{WIDTH}' height='{self.height}'>",
            f"<rect width='{WIDTH}' height='{self.height}' fill='white'/>",
            text(WIDTH / 2, 18, title, more="font-weight='bold'"),
            text(LEFT - 8, TOP - 12, unit, "start"),
        ]
        self.draw_scale()
        self.draw_legend(rows)
        self.step = (WIDTH - LEFT - RIGHT) / len(groups)
        for i, group in enumerate(groups):
            for row, words in enumerate(str(group).split("\n")):
                self.parts.append(text(self.middle(i), self.bottom + 18 + 15 * row, words))
        self.parts.append(text((LEFT + WIDTH - RIGHT) / 2, self.bottom + 35, below))

    def y(self, value):
        return self.bottom - (self.bottom - TOP) * value / self.most

    def middle(self, i):
        return LEFT + self.step * (i + 0.5)

    def draw_scale(self):
        for i in range(6):
            value = self.most * i / 5
            self.parts.append(line(LEFT, self.y(value), WIDTH - RIGHT, self.y(value), "#333" if i == 0 else "#ddd"))
            self.parts.append(text(LEFT - 6, self.y(value) + 4, number(value), "end"))

    def legend_rows(self):
        rows, used = [[]], WIDTH
        for i, name in enumerate(self.names):
            length = 30 + 7 * len(name)
            if used + length > WIDTH - LEFT - RIGHT and rows[-1]:
                rows.append([])
                used = 0
            used = length if not rows[-1] else used + length
            rows[-1].append((i, name, used - length))
        return rows

    def draw_legend(self, rows):
        for row, entries in enumerate(rows):
            y = HEIGHT + 10 + row * LEGEND_LINE
            for i, name, x in entries:
                box = f"<rect x='{LEFT + x}' y='{y - 10}' width='12' height='12' fill='{self.colours[i]}'/>"
                self.parts += [box, text(LEFT + x + 17, y, name, "start")]

    def spread(self, x, value):
        if value.least is not None and value.most > value.least:
            self.parts += [line(x, self.y(value.least), x, self.y(value.most)),
                           line(x - 3, self.y(value.least), x + 3, self.y(value.least)),
                           line(x - 3, self.y(value.most), x + 3, self.y(value.most))]

    def done(self):
        return "\n".join([*self.parts, "</svg>\n"])


def largest(series):
    return max(value.middle if value.most is None else value.most for values in series.values() for value in values)


def bars(title, unit, groups, series, below=""):
    """Draw bars; `series` is {name: [a Value for each group]}."""
    chart = Chart(title, unit, groups, list(series), largest(series), below)
    width = chart.step * 0.8 / len(series)
    for s, values in enumerate(series.values()):
        for i, value in enumerate(values):
            x = chart.middle(i) + (s - len(series) / 2) * width
            y = chart.y(value.middle)
            chart.parts.append(f"<rect x='{x + 1:.1f}' y='{y:.1f}' width='{width - 2:.1f}' "
                               f"height='{chart.bottom - y:.1f}' fill='{chart.colours[s]}'/>")
            chart.spread(x + width / 2, value)
            top = y if value.most is None else chart.y(value.most)
            chart.parts.append(text(x + width / 2, top - 4, number(value.middle), more="style='font-size:9px'"))
    return chart.done()


def lines(title, unit, groups, series, below=""):
    chart = Chart(title, unit, groups, list(series), largest(series), below)
    for s, values in enumerate(series.values()):
        shift = (s - (len(series) - 1) / 2) * 4  # spreads must not hide each other
        points = [(chart.middle(i) + shift, chart.y(value.middle)) for i, value in enumerate(values)]
        path = " ".join(f"{x:.1f},{y:.1f}" for x, y in points)
        chart.parts.append(f"<polyline points='{path}' fill='none' stroke='{chart.colours[s]}' stroke-width='2'/>")
        for (x, y), value in zip(points, values):
            chart.spread(x, value)
            chart.parts.append(f"<circle cx='{x:.1f}' cy='{y:.1f}' r='3.5' fill='{chart.colours[s]}'/>")
    return chart.done()
