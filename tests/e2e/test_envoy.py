# SPDX-License-Identifier: Apache-2.0
"""Envoys, configured by a real agent, as peers: of our servers and of our clients.

Envoy hears of an intention later than the agent decides by it, so its own refusals are waited for. Ours are not.
Consul has Envoy speak TLS 1.2 as a client, unless it is told the versions, as it is here.
"""

import hashlib
import re

import pytest
from cryptography.x509 import load_pem_x509_certificate

import envoy
import nginx
from envoy_peers import (
    CLIENTS, DENIED, FROM_BACKEND, FROM_NGINX, NATIVE, REQUEST, VERSIONS, client_of, fetch_by_s_client, say, served,
    start_nginx)
from processes import wait_until
from test_live import rotate

RENEWAL = 90  # seconds: the agent itself takes up to 30 after a new root
RESUMED = r".*ssl\.session_reused"
WRONG_NAME = r"cluster\..*ssl\.fail_verify_san"

pytestmark = [pytest.mark.consul, pytest.mark.usefixtures("envoys")]


@pytest.fixture(scope="module", params=VERSIONS, ids=lambda option: option.lstrip("-"))
def version(request):
    return request.param


def mesh_agent(make_agent, version):
    agent = make_agent()
    agent.wait_for_roots()
    only = {"TLSMinVersion": VERSIONS[version], "TLSMaxVersion": VERSIONS[version]}
    agent.put("/v1/config", {"Kind": "mesh", "TLS": {"Incoming": only, "Outgoing": only}})
    return agent


@pytest.fixture(scope="module")
def agent(make_agent, version):
    """An agent whose Envoys speak this version of TLS only."""
    one = mesh_agent(make_agent, version)
    yield one
    one.stop()


@pytest.fixture
def own_agent(make_agent, version):
    """The same, and its CA is this test's."""
    one = mesh_agent(make_agent, version)
    yield one
    one.stop()


@pytest.fixture
def service(service):
    """Short enough for a label of a host name."""
    return "s" + hashlib.sha256(service.encode()).hexdigest()[:16]


# -- our servers, and Envoy as their client --


@pytest.fixture(params=NATIVE)
def native(request, programs, agent, service):
    return NATIVE[request.param](programs, agent, service)


def test_envoy_is_served_as_the_agent_decides(programs, agent, service, version, native, sidecar):
    """The decision counts for the very next connection, as no session is resumed."""
    source = f"client-{service}"
    envoy.register_native(agent, service, native.port)
    client = sidecar(agent, source, upstreams=[service])
    client.wait_for_endpoint(service, native.port)
    for _ in range(2):
        for _ in range(3):
            assert served(native, client, version, service), native.process.output()
        agent.deny(source, service)
        mark = native.log.size()
        assert not served(native, client, version, service)
        native.log.wait_for(rf'client refused: ".*/svc/{source}" may not connect to "{service}": .*DENY', mark)
        agent.allow(source, service)
    assert served(native, client, version, service)
    assert client.count(RESUMED) == 0 and client.count(WRONG_NAME) == 0


def test_envoy_would_resume_sessions(programs, agent, service, sidecar):
    """The control: of a server that has the same leaf, and not the provider."""
    _, certificate, _, key, *_ = agent.leaf(service).files(programs.folder, "leaf")
    server = nginx.start(programs, certificate, key, [FROM_NGINX], options="ssl_session_cache shared:sessions:1m;")
    envoy.register_native(agent, service, server.ports[0])
    client = sidecar(agent, f"client-{service}", upstreams=[service])
    client.wait_for_endpoint(service, server.ports[0])
    for _ in range(3):
        assert FROM_NGINX in say(client.outbound[service])
    assert client.count(RESUMED) > 0


@pytest.mark.parametrize("start", NATIVE.values(), ids=NATIVE.keys())
def test_envoy_holds_our_server_to_its_name(programs, agent, service, version, start, sidecar):
    """The server at the address of this service is another service."""
    native = start(programs, agent, f"not-{service}")
    envoy.register_native(agent, service, native.port)
    envoy.register_native(agent, f"not-{service}", native.port)
    client = sidecar(agent, f"client-{service}", upstreams=[service, f"not-{service}"])
    for name in client.upstreams:
        client.wait_for_endpoint(name, native.port)
    assert not served(native, client, version, service)
    assert client.count(WRONG_NAME) == 1
    assert served(native, client, version, f"not-{service}")
    assert client.count(WRONG_NAME) == 1


def test_envoy_speaks_http_to_our_server(programs, agent, service, version, sidecar):
    """Where Consul knows the protocol Envoy offers it in ALPN, and keeps connections, here for requests of curl."""
    agent.put("/v1/config", {"Kind": "service-defaults", "Name": service, "Protocol": "http"})
    native = start_nginx(programs, agent, service)
    envoy.register_native(agent, service, native.port)
    client = sidecar(agent, f"client-{service}", upstreams=[service])
    client.wait_for_endpoint(service, native.port)
    url = f"http://127.0.0.1:{client.outbound[service]}/"
    fetched = programs.run(["curl", "--silent", "--show-error", *3 * [url]])
    assert len(re.findall(native.answers, fetched.stdout)) == 3, fetched
    assert client.count(r"cluster\..*ssl\.handshake") == 1


# -- our clients, and Envoy as their server --


@pytest.fixture(params=CLIENTS)
def client(request, programs, agent, service, version):
    return client_of(programs, agent, f"client-{service}", CLIENTS[request.param], version)


def test_envoy_serves_us_as_the_agent_decides(agent, service, backend, sidecar, client):
    """The decision is Envoy's, after a handshake that both sides finish: the client has refused no server."""
    server = sidecar(agent, service, port=backend)
    for _ in range(2):
        assert client.served(server), server.process.output()
        agent.deny(f"client-{service}", service)
        wait_until(lambda: not client.served(server), "Envoy to refuse")
        denied = server.count(DENIED)
        assert denied > 0 and not client.served(server)
        assert server.count(DENIED) == denied + 1
        agent.allow(f"client-{service}", service)
        wait_until(lambda: client.served(server), "Envoy to serve again")
    assert client.log.text() == ""


def test_we_hold_envoy_to_its_name(agent, service, backend, sidecar, client):
    server = sidecar(agent, service, port=backend)
    assert not client.served(server, f"other-{service}")
    client.log.wait_for(f'server refused.*is not the service "other-{service}"', 0)
    assert client.served(server)
    assert server.count(DENIED) == 0


def test_envoy_serves_nobody_without_a_leaf(programs, agent, service, backend, sidecar, version):
    """The control: it is the provider that makes the client one of the mesh."""
    server = sidecar(agent, service, port=backend)
    assert FROM_BACKEND not in fetch_by_s_client(programs, None, server.inbound, "localhost", version).stdout
    leaf = agent.leaf(f"client-{service}").files(programs.folder, "leaf")
    fetched = programs.openssl(
        "s_client", "-connect", f"127.0.0.1:{server.inbound}", "-ign_eof", version, *leaf, stdin=REQUEST)
    assert FROM_BACKEND in fetched.stdout, fetched


# -- both --


def test_a_rotation(programs, own_agent, version, backend, sidecar):
    """Each connection is served while the CA and the leaves of both sides change."""
    native = start_nginx(programs, own_agent, "native")
    envoy.register_native(own_agent, "native", native.port)
    beside = sidecar(own_agent, "beside", port=backend, upstreams=["native"])
    beside.wait_for_endpoint("native", native.port)
    client = client_of(programs, own_agent, "client", fetch_by_s_client, version)

    def issued():
        return [own_agent.leaf(service).x509.serial_number for service in ("beside", "native", "client")]

    def presented():
        """Return the leaves that Envoy presents to our server and to our client. Both connections are served."""
        answer = re.search(native.answers + " (.*)", say(beside.outbound["native"]))
        assert answer, native.log.text()
        fetched = client.get(beside)
        assert FROM_BACKEND in fetched.stdout, (fetched, client.log.text())
        shown = re.search("-----BEGIN CERTIFICATE-----.*?-----END CERTIFICATE-----\n", fetched.stdout, re.DOTALL)
        return [int(answer[2], 16), load_pem_x509_certificate(shown[0].encode()).serial_number]

    old = issued()
    assert presented() == 2 * [old[0]]
    rotate(own_agent)
    wait_until(lambda: presented() and not set(issued()) & set(old), "new leaves of all", RENEWAL)
    wait_until(lambda: presented() == 2 * [issued()[0]], "the new leaf at both sides of Envoy")
    assert beside.count(RESUMED) == 0


def test_two_envoys(agent, service, backend, sidecar):
    """This provider takes their place."""
    server = sidecar(agent, service, port=backend)
    client = sidecar(agent, f"client-{service}", upstreams=[service])
    client.wait_for_endpoint(service, server.inbound)
    assert FROM_BACKEND in say(client.outbound[service])
