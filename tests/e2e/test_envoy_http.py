# SPDX-License-Identifier: Apache-2.0
"""Intentions about requests (layer 7): an Envoy judges each request by them. We see connections, and refuse."""

import pytest

from envoy_peers import CLIENTS, FROM_BACKEND, FROM_NGINX, client_of, start_nginx
from processes import wait_until
from programs import TLS13
from test_current_consul import Entry

PUBLIC, PRIVATE = "/public/page", "/private"
FORBIDDEN = "access denied"  # the text of Envoy's 403
PERMISSIONS = [
    {"Action": "allow", "HTTP": {"PathPrefix": "/public"}},
    {"Action": "deny", "HTTP": {"PathPrefix": "/"}},
]

pytestmark = [pytest.mark.consul, pytest.mark.usefixtures("envoys")]


@pytest.mark.parametrize("fetch", CLIENTS.values(), ids=CLIENTS.keys())
def test_an_intention_about_paths(programs, ours, service, backend, sidecar, fetch):
    source = f"client-{service}"
    entry = Entry(ours, service)
    ours.put("/v1/config", {"Kind": "service-defaults", "Name": service, "Protocol": "http"})
    entry.write([{"Name": source, "Permissions": PERMISSIONS}])
    server = sidecar(ours, service, port=backend)
    native = start_nginx(programs, ours, service)
    client = client_of(programs, ours, source, fetch, TLS13)

    def said(path, port=server.inbound):
        return client.ask(port, service, path).stdout

    wait_until(lambda: FORBIDDEN in said(PRIVATE), "Envoy to know of it")
    assert FROM_BACKEND in said(PUBLIC) and FROM_BACKEND not in said(PRIVATE)
    assert FROM_NGINX not in said(PUBLIC, native.port)
    native.log.wait_for(f'/svc/{source}" may not connect to "{service}": .*L7', 0)

    entry.write([{"Name": source, "Action": "allow"}])
    wait_until(lambda: ours.allows(source, service), "the intention")
    assert FROM_NGINX in said(PRIVATE, native.port)
    wait_until(lambda: FROM_BACKEND in said(PRIVATE), "Envoy to serve")
    assert "server refused" not in client.log.text()
