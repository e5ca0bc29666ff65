"""Envoys, configured by a real agent, as peers: of our servers and of our clients.

Envoy hears of an intention later than the agent decides by it, so its own refusals are waited for. Ours are not.
Consul has Envoy speak TLS 1.2 as a client, unless it is told the versions, as it is here.
"""

import hashlib
import http.server
import os
import re
import socket
import sys
import threading
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from cryptography.x509 import load_pem_x509_certificate

import envoy
import nginx
import stand_ins
from agent import consul_binary
from endpoints import Log
from processes import PATIENCE, wait_until
from programs import TLS12, TLS13
from test_live import rotate

VERSIONS = {TLS12: "TLSv1_2", TLS13: "TLSv1_3"}
RENEWAL = 90  # seconds: the agent itself takes up to 30 after a new root
REQUEST = b"GET / HTTP/1.0\r\n\r\n"
FROM_NGINX, FROM_BACKEND = "from-nginx", "from-the-backend"
DENIED = r".*connect_authz\.rbac\.denied"  # by Envoy
RESUMED = r".*ssl\.session_reused"
WRONG_NAME = r"cluster\..*ssl\.fail_verify_san"


@pytest.fixture(scope="module", autouse=True)
def possible():
    reason = envoy.missing(consul_binary())
    if reason:
        pytest.skip(reason)


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
    """One whose Envoys speak this version of TLS only."""
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


@pytest.fixture
def sidecar(programs):
    """Makes sidecars."""
    started = []

    def make(agent, service, **options):
        one = envoy.Sidecar(agent, programs.path("envoy"), service, **options)
        started.append(one)
        return one

    yield make
    for one in started:
        one.stop()


# -- programs without TLS --


def say(port):
    """What a client of an upstream gets, or an empty text."""
    with socket.create_connection(("127.0.0.1", port), PATIENCE) as plain:
        try:
            plain.sendall(REQUEST)
            return b"".join(iter(lambda: plain.recv(65536), b"")).decode()
        except ConnectionResetError:
            return ""


class Answer(http.server.BaseHTTPRequestHandler):
    """Says who it is."""

    def do_GET(self):  # noqa: N802
        self.send_response(200)
        self.end_headers()
        self.wfile.write(FROM_BACKEND.encode())

    def log_message(self, *_):
        pass


@pytest.fixture
def backend():
    """The port of an HTTP server that knows nothing of TLS."""
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Answer)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield server.server_port
    server.shutdown()
    thread.join()
    server.server_close()


# -- our servers, and Envoy as their client --


@dataclass
class Native:
    """A server by the provider; `answers` is what who is served hears, which names the version of TLS."""

    port: int
    answers: str
    process: Any
    log: Log


def start_s_server(programs, agent, service):
    log = Log(programs.path("connect.log"))
    server = programs.connect_server(service, "-www", config=programs.config(agent, log=log.path))
    return Native(server.port, r"Protocol *: TLSv(1\.\d)", server, log)


def start_nginx(programs, agent, service):
    log = Log(programs.path("connect.log"))
    files = stand_ins.make(programs, f"consul:leaf/{service}")
    server = nginx.start(
        programs, *files, [f"{FROM_NGINX} $ssl_protocol $ssl_client_serial"], programs.config(agent, log=log.path),
        "ssl_session_cache shared:sessions:1m;")
    return Native(server.ports[0], rf"{FROM_NGINX} TLSv(1\.\d)", server, log)


NATIVE = {"s_server": start_s_server, "nginx": start_nginx}


@pytest.fixture(params=NATIVE)
def native(request, programs, agent, service):
    return NATIVE[request.param](programs, agent, service)


def served(native, sidecar, version, upstream):
    """Whether a client of the sidecar is, and by the version of TLS that is to be."""
    match = re.search(native.answers, say(sidecar.outbound[upstream]))
    assert not match or match[1] == version.removeprefix("-tls").replace("_", "."), match
    return bool(match)


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
    """One that is another service, at the address of this one."""
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


def fetch_by_s_client(programs, config, port, host, version):
    return programs.openssl(
        "s_client", "-connect", f"127.0.0.1:{port}", "-servername", host, "-ign_eof", version,
        config=config, stdin=REQUEST)


def fetch_by_curl(programs, config, port, host, _):
    return programs.run(
        ["curl", "--silent", "--show-error", "--insecure", "--connect-to", f"::127.0.0.1:{port}", f"https://{host}/"],
        config)


def fetch_by_python(programs, config, port, host, version):
    script = Path(__file__).with_name("tls_client.py")
    return programs.run(
        [sys.executable, script, port, host, "check", VERSIONS[version], "", 1], config, programs.leaks_allowed())


CLIENTS = {"s_client": fetch_by_s_client, "curl": fetch_by_curl, "python": fetch_by_python}
if os.environ.get("CONSUL_PROVIDER_PRELOAD"):
    del CLIENTS["curl"]  # it does not start there


@dataclass
class Client:
    """A client by the provider, of the service of that name."""

    programs: Any
    fetch: Any
    config: Path
    log: Log
    version: str

    def get(self, sidecar, name=None):
        host = f"{name or sidecar.service}.service.consul"
        return self.fetch(self.programs, self.config, sidecar.inbound, host, self.version)

    def served(self, sidecar, name=None):
        return FROM_BACKEND in self.get(sidecar, name).stdout


def client_of(programs, agent, source, fetch, version):
    log = Log(programs.path("client.log"))
    return Client(programs, fetch, programs.config(agent, service=source, log=log.path), log, version)


@pytest.fixture(params=CLIENTS)
def client(request, programs, agent, service, version):
    return client_of(programs, agent, f"client-{service}", CLIENTS[request.param], version)


def test_envoy_serves_us_as_the_agent_decides(agent, service, backend, sidecar, client):
    """Its own decision, after a handshake that both sides finish: the client has refused nobody."""
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
        """By Envoy, to our server and to our client; both connections have been served."""
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
    """What this provider is instead of."""
    server = sidecar(agent, service, port=backend)
    client = sidecar(agent, f"client-{service}", upstreams=[service])
    client.wait_for_endpoint(service, server.inbound)
    assert FROM_BACKEND in say(client.outbound[service])
