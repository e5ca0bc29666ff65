# SPDX-License-Identifier: Apache-2.0
"""Draw doc/operation/dashboard.svg: examples/grafana-dashboard.json over six minutes of a real nginx.

A real Prometheus reads `consul-tls metrics`, and answers the expressions of the panels. Grafana itself is not needed.
The places and the titles of the panels are those of the file. tools/dashboard runs this.
"""

import os
import shutil
import sys
import tempfile
import threading
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "tests" / "e2e"))
sys.dont_write_bytecode = True

import nginx  # noqa: E402
import stand_ins  # noqa: E402
from agent import Agent  # noqa: E402
from ca import Authority, TRADITIONAL, key_pem  # noqa: E402
from plots import COLOURS, line, nice_ceiling, number, text  # noqa: E402
from processes import Process, wait_until  # noqa: E402
from programs import PYTHON, Programs  # noqa: E402
from prometheus import Prometheus, expression, panels  # noqa: E402
from visitors import Visitor  # noqa: E402

PICTURE = ROOT / "doc" / "operation" / "dashboard.svg"
GET, SERVED = b"GET / HTTP/1.0\r\n\r\n", b" 200 "
COLUMN, ROW, GAP = 46, 22, 6  # pixels of a cell of the grid, and between panels
STEP = 2  # seconds between two points

# Seconds since the start. A visitor makes so many visits a second.
QUIET, BUSY = 4, 40
CLIENT = """\
import socket, ssl, time
context = ssl.create_default_context()
while True:
    try:
        with context.wrap_socket(socket.create_connection(("127.0.0.1", PORT)), server_hostname="web.service.consul") as one:
            one.sendall(b"GET / HTTP/1.0\\r\\n\\r\\n")
            one.recv(4096)
    except OSError:
        pass
    time.sleep(0.3)
"""
DENIED, ALLOWED, ROTATED, HUNG, BACK, END = 120, 180, 210, 255, 310, 360


class Scenario:
    """An agent, an nginx with the service web, three clients, and a Prometheus."""

    def __init__(self, programs, folder):
        self.agent = Agent(folder / "agent")
        self.agent.wait_for_roots()
        wait_until(lambda: self.agent.signs("api"), "a leaf")
        self.programs = programs
        files = stand_ins.make(programs, "consul:leaf/web")
        config = programs.config(self.agent, on_agent_loss="last-known", authorize_timeout="500ms")
        self.server = nginx.start(programs, *files, ["hello"], config)
        script = programs.write("client.py", CLIENT.replace("PORT", str(self.server.ports[0])))
        programs.start(Process, [PYTHON, script], programs.config(self.agent, service="shop"))
        self.prometheus = Prometheus(programs)
        self.visitors = self.identify()
        self.pace, self.ended = QUIET, False

    def identify(self):
        names = ("api", "batch", "report")
        return [Visitor(self.programs.folder, self.agent.leaf(name), name) for name in names]

    def visit(self, number):
        while not self.ended:
            self.visitors[number].visit(self.server.ports[0], GET, SERVED)
            time.sleep(1 / self.pace)

    def rotate(self):
        root = Authority(self.agent.trust_domain, "Next Root")
        self.agent.put("/v1/connect/ca/configuration", {"Provider": "consul", "Config": {
            "PrivateKey": key_pem(root.key, TRADITIONAL), "RootCert": root.pem, "LeafCertTTL": "72h",
            "RotationPeriod": "2160h"}})

    def hang(self):
        os.kill(self.agent.process.child.pid, 19)  # SIGSTOP

    def go_on(self):
        os.kill(self.agent.process.child.pid, 18)  # SIGCONT

    def set_pace(self, pace):
        self.pace = pace

    def run(self):
        """Return the time of the start, when all is over."""
        began = time.time()
        for number in range(len(self.visitors)):
            threading.Thread(target=self.visit, args=(number,), daemon=True).start()
        for moment, act in (
                (60, lambda: self.set_pace(BUSY)),
                (DENIED, lambda: self.agent.set_intention("deny", "batch", "web")),
                (ALLOWED, lambda: self.agent.set_intention("allow", "batch", "web")),
                (ROTATED, self.rotate),
                (ROTATED + 35, lambda: setattr(self, "visitors", self.identify())),
                (HUNG, self.hang),
                (BACK, self.go_on),
                (END, lambda: setattr(self, "ended", True))):
            time.sleep(max(0, began + moment - time.time()))
            act()
        return began


def short(seconds):
    """Return a length of time as Grafana shows it."""
    for unit, name in ((86400, "days"), (3600, "h"), (60, "min")):
        if abs(seconds) >= unit:
            return f"{seconds / unit:.3g} {name}"
    return f"{seconds:.3g} s"


def shown(value, unit):
    return short(value) if unit == "s" else number(value)


def name_of(target, metric):
    name = target["legendFormat"]
    for label, value in metric.items():
        name = name.replace("{{%s}}" % label, value)
    return name


def frame(panel):
    """Return the place of a panel, and the parts of its frame."""
    grid = panel["gridPos"]
    x, y, w, h = grid["x"] * COLUMN, 30 + grid["y"] * ROW, grid["w"] * COLUMN - GAP, grid["h"] * ROW - GAP
    box = f"<rect x='{x}' y='{y}' width='{w}' height='{h}' fill='white' stroke='#ccc'/>"
    return (x, y, w, h), [box, text(x + 8, y + 16, panel["title"], "start", "font-weight='bold'")]


def draw_number(panel, prometheus, when):
    (x, y, w, h), parts = frame(panel)
    result = prometheus.get("query", query=expression(panel["targets"][0], "10s", ".*"), time=when)
    value = shown(float(result[0]["value"][1]), panel["fieldConfig"]["defaults"]["unit"]) if result else "no data"
    middle = f"<text x='{x + w / 2}' y='{y + h / 2 + 20}' text-anchor='middle' font-family='sans-serif' font-size='28'>"
    return [*parts, f"{middle}{value}</text>"]


def series_of(panel, prometheus, start, end):
    """Return the name and the points (seconds since the start, value) of each line."""
    found = []
    for target in panel["targets"]:
        for one in prometheus.query_range(expression(target, "10s", ".*"), start, end, STEP):
            found.append((name_of(target, one["metric"]), [(when - start, float(value)) for when, value in one["values"]]))
    return found


def draw_lines(panel, prometheus, start, end):
    (x, y, w, h), parts = frame(panel)
    series = series_of(panel, prometheus, start, end)
    unit = panel["fieldConfig"]["defaults"]["unit"]
    rows = legend_rows(series, w - 16)
    left, right, top, bottom = x + 64, x + w - 24, y + 28, y + h - 24 - 15 * len(rows)
    most = nice_ceiling(max([value for _, points in series for _, value in points], default=0) or 1)
    for i in range(5):
        level = bottom - (bottom - top) * i / 4
        parts += [line(left, level, right, level, "#ddd"), text(left - 6, level + 4, shown(most * i / 4, unit), "end")]
    for minute in range(int((end - start) // 60) + 1):
        at = left + (right - left) * minute * 60 / (end - start)
        parts.append(text(at, bottom + 15, f"{minute} min"))
    for colour, (_, points) in zip(colours(), series):
        path = " ".join(f"{left + (right - left) * when / (end - start):.1f},{bottom - (bottom - top) * value / most:.1f}"
                        for when, value in points)
        parts.append(f"<polyline points='{path}' fill='none' stroke='{colour}' stroke-width='1.5'/>")
    for row, entries in enumerate(rows):
        for offset, name, colour in entries:
            level = bottom + 34 + 15 * row
            parts += [line(x + 8 + offset, level - 4, x + 22 + offset, level - 4, colour, 3),
                      text(x + 26 + offset, level, name, "start")]
    return parts


def colours():
    return list(COLOURS[:1] + COLOURS[3:4] + COLOURS[5:]) * 4


def legend_rows(series, width):
    rows, used = [[]], 0
    for colour, (name, _) in zip(colours(), series):
        length = 34 + 6.4 * len(name)
        if used + length > width and rows[-1]:
            rows.append([])
            used = 0
        rows[-1].append((used, name, colour))
        used += length
    return rows


def draw(prometheus, start, end):
    height = 30 + max(panel["gridPos"]["y"] + panel["gridPos"]["h"] for panel in panels()) * ROW
    width = 24 * COLUMN
    parts = [f"<svg xmlns='http://www.w3.org/2000/svg' viewBox='0 0 {width} {height}' width='{width}' height='{height}'>",
             f"<rect width='{width}' height='{height}' fill='#f4f5f5'/>",
             text(8, 20, f"An nginx, three clients of it and a Python client; at {DENIED} s a client is denied, at {ALLOWED} s allowed; "
                  f"at {ROTATED} s the CA rotates; from {HUNG} to {BACK} s the agent hangs.", "start")]
    for panel in panels():
        if panel["type"] == "stat":
            parts += draw_number(panel, prometheus, end)
        else:
            parts += draw_lines(panel, prometheus, start, end)
    return "\n".join([*parts, "</svg>\n"])


def main(module):
    folder = Path(tempfile.mkdtemp(prefix="consul-provider-dashboard-"))
    folder.chmod(0o755)
    programs = Programs(folder, Path(module).resolve(), None, folder)
    scenario = None
    try:
        scenario = Scenario(programs, folder)
        start = scenario.run()
        PICTURE.parent.mkdir(exist_ok=True)
        PICTURE.write_text(draw(scenario.prometheus, start, start + END))
        print(PICTURE)
    finally:
        programs.close()
        if scenario:
            scenario.agent.stop()
        shutil.rmtree(folder)


if __name__ == "__main__":
    main(*sys.argv[1:])
