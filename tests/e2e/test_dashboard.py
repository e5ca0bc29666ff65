# SPDX-License-Identifier: Apache-2.0
"""examples/grafana-dashboard.json: a real Prometheus has data for each of its panels, from `consul-tls metrics`."""

import pytest

import nginx
import stand_ins
from processes import wait_until
from prometheus import Prometheus, expression, panels
from visitors import Visitor

pytestmark = pytest.mark.applications

GET = b"GET / HTTP/1.0\r\n\r\n"
SERVED = b" 200 "


def test_each_panel_has_data(programs, own_agent, service):
    certificate, key = stand_ins.make(programs, f"consul:leaf/{service}")
    server = nginx.start(programs, certificate, key, ["hello"], programs.config(own_agent))
    wait_until(lambda: own_agent.signs("friend"), "a leaf")
    friend, foe = [Visitor(programs.folder, own_agent.leaf(name), name) for name in ("friend", "foe")]
    own_agent.deny("foe", service)
    one = Prometheus(programs)
    titles = {panel["title"]: [expression(target, "30s", "nginx") for target in panel["targets"]] for panel in panels()}
    assert len(titles) >= 10

    def without_data():
        assert friend.visit(server.ports[0], GET, SERVED).served
        assert not foe.visit(server.ports[0], GET, SERVED).served
        return [text for texts in titles.values() for text in texts if not one.query(text)]

    wait_until(lambda: not without_data(), "data for each panel")
    pid = str(server.child.pid)
    admitted, = [series for series in one.query('sum by (pid) (consul_provider_peers_admitted_total{peer="client"})')
                 if series["metric"] == {"pid": pid}]
    assert float(admitted["value"][1]) > 0
    refused = one.query(f'consul_provider_handshakes_refused_total{{pid="{pid}",reason="peer denied by Consul"}} > 0')
    assert len(refused) == 1
