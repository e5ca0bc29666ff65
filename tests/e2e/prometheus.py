# SPDX-License-Identifier: Apache-2.0
"""A real Prometheus that reads `consul-tls metrics`, and the dashboard in examples/."""

import json
import re
import shutil
import urllib.parse
from pathlib import Path

from agent import LOCAL, free_ports
from processes import Process, wait_until

DASHBOARD = Path(__file__).resolve().parents[2] / "examples" / "grafana-dashboard.json"
CONFIG = """\
global:
  scrape_interval: {interval}
scrape_configs:
  - job_name: consul-provider
    static_configs: [{{targets: ["127.0.0.1:{port}"]}}]
"""


def panels():
    return json.loads(DASHBOARD.read_text())["panels"]


def expression(target, interval, program):
    """Return the expression of a panel with the variables of Grafana filled in."""
    values = {"$__rate_interval": interval, "$program": program, "$instance": ".*"}
    text = target["expr"]
    for variable, value in values.items():
        text = text.replace(variable, value)
    assert not re.search(r"\$[^1]", text), text  # $1 is a group of label_replace
    return text


class Prometheus:
    """It reads the command's own server, started here, which shows the processes of this user."""

    def __init__(self, programs, interval="1s"):
        binary = shutil.which("prometheus")
        assert binary, "prometheus is not installed: run tools/setup --tests"
        metrics, port = free_ports(2)
        command = programs.module.parents[1] / "cli" / "consul-tls"
        self.exporter = programs.start(Process, [command, "metrics", "--listen", f"127.0.0.1:{metrics}"])
        file = programs.write("prometheus.yml", CONFIG.format(interval=interval, port=metrics))
        folder = programs.path("prometheus")
        self.url = f"http://127.0.0.1:{port}"
        self.process = programs.start(Process, [
            binary, f"--config.file={file}", f"--storage.tsdb.path={folder}", f"--web.listen-address=127.0.0.1:{port}"])
        wait_until(self.is_ready, "Prometheus")

    def is_ready(self):
        assert not self.process.ended(), self.process.output()
        try:
            return LOCAL.open(f"{self.url}/-/ready", timeout=20).status == 200
        except OSError:
            return False

    def get(self, path, **arguments):
        with LOCAL.open(f"{self.url}/api/v1/{path}?{urllib.parse.urlencode(arguments)}", timeout=20) as response:
            return json.loads(response.read())["data"]["result"]

    def query(self, text):
        return self.get("query", query=text)

    def query_range(self, text, start, end, step):
        return self.get("query_range", query=text, start=start, end=end, step=step)
