# SPDX-License-Identifier: Apache-2.0
"""Figures that tests measure: a table each, in the build directory and on the test's output."""

import os
import time
from pathlib import Path


def percentile(values, share):
    """Return the value that this share of all are not above; the median is share 0.5."""
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(share * len(ordered)))]


def milliseconds(seconds):
    return f"{seconds * 1000:.1f} ms"


def lag(values):
    """Median and 99th percentile of some seconds, as they stand in a table."""
    return f"{milliseconds(percentile(values, 0.5))} / {milliseconds(percentile(values, 0.99))} (n = {len(values)})"


def line(cells):
    return "|" + "".join(f" {cell} |" if cell != "" else " |" for cell in cells)


def shown(document, title):
    """Return the rows of the table of that title, as a document shows it."""
    _, _, rest = document.read_text().partition(f"### {title}\n")
    lines = [text for text in rest.partition("\n#")[0].splitlines() if text.startswith("|")]
    return [tuple(cell.strip() for cell in text.strip("|").split("|")) for text in lines[2:]]


def publish(name, title, rows, heading=("", "")):
    """Write and print a table: of (what, figure) pairs, or as the heading has it. Text/Markdown."""
    lines = [f"### {title}", "", f"Measured {time.strftime('%Y-%m-%d')}, {os.cpu_count()} cores.", "",
             line(heading), "|" + len(heading) * "---|"]
    lines += [line(row) for row in rows]
    text = "\n".join(lines) + "\n"
    folder = os.environ.get("CONSUL_PROVIDER_FIGURES")
    if folder:
        Path(folder).mkdir(parents=True, exist_ok=True)
        (Path(folder) / f"{name}.md").write_text(text)
    print(text)
