# SPDX-License-Identifier: Apache-2.0
"""Applications that verify their peers by themselves, in the place of OpenSSL.

They replace the callback of SSL_CTX_set_cert_verify_callback. The provider verifies each peer after them, and both
verdicts count. LuaSec has all forms of it, by its `verifyext`.
"""

import re
import socket
from pathlib import Path
from types import SimpleNamespace

import pytest

import endpoints
from applications import luasec, luasec_client, nginx, nodejs, prosody, squid
from applications.common import kept, launch
from ca import Authority
from conftest import programs_in
from processes import PATIENCE
from programs import VERSIONS, Result

pytestmark = pytest.mark.applications

BOTH = 'verifyext = { "lsec_continue", "lsec_ignore_purpose" },'
WAYS = {
    "continue": 'verifyext = { "lsec_continue" },',
    "both": BOTH,
    "both and its own demand": BOTH + ' verify = { "peer", "fail_if_no_peer_cert", "client_once" },',
    # Nothing is accepted that its CAs have not issued.
    "its own CAs": 'verifyext = { "lsec_ignore_purpose" }, verify = "peer", cafile = "{cas}",',
}


@pytest.fixture(scope="module")
def shared(open_folders, module):
    with programs_in(open_folders("verifying"), module) as one:
        yield one


@pytest.fixture(params=VERSIONS, ids=lambda option: option.lstrip("-"))
def version(request):
    return request.param


def with_roots(programs, agent, lines):
    """Return these lines with the roots of our mesh as the application's CAs."""
    return lines.replace("{cas}", str(programs.write("cas.pem", "".join(agent.root_pems))))


# ---- a server ----


# It looks at the result after the handshake, and has no CA of the mesh.
NODE = {"Node.js that takes any": "    requestCert: true, rejectUnauthorized: false,\n"}
if not nodejs.goes_by_its_cas():
    NODE["Node.js"] = "    requestCert: true,\n"
NODES = [pytest.param(way, marks=pytest.mark.core) for way in NODE if nodejs.is_there()]


@pytest.fixture(scope="module", params=[*WAYS, "Prosody for other servers", *NODES])
def way(request):
    return request.param


@pytest.fixture(scope="module", params=endpoints.IDENTITIES)
def server(request, way, shared, agent):
    service = f"verifying-{request.param}-{len(shared.started)}"
    config, log, *files = endpoints.identity(shared, agent, request.param, service)
    if way in WAYS:
        process = luasec.start(shared, config, *files, with_roots(shared, agent, WAYS[way]))
        return endpoints.Endpoint(luasec, shared, process, service, log)
    if way in NODE:
        process = nodejs.start(shared, config, *files, NODE[way])
        return endpoints.Endpoint(nodejs, shared, process, service, log)
    process = prosody.start(shared, config, *files, kind="s2s")
    asked = SimpleNamespace(
        S_CLIENT=prosody.SERVER_CLIENT, REQUEST=prosody.SERVER_REQUEST, ANSWER=prosody.SERVER_ANSWER)
    return endpoints.Endpoint(asked, shared, process, service, log)


def refused(server, pattern, *arguments):
    mark = server.log.size()
    answered = server.ask(*arguments)
    assert not answered.served, answered
    server.log.wait_for(pattern, mark)


def test_a_server_admits_who_is_allowed(server, agent, service, version):
    """An intention counts from the next connection on."""
    leaf = agent.leaf(service).files(server.programs.folder, "client")
    for _ in range(2):
        agent.allow(service, server.service)
        answered = server.ask(version, *leaf)
        assert answered.served and answered.certificate == agent.leaf(server.service).certificate, answered
        agent.deny(service, server.service)
        refused(server, f'svc/{service}" may not connect to "{server.service}": .*DENY', version, *leaf)


def test_a_server_refuses_the_others(server, agent, service, version):
    agent.allow(service, server.service)
    refused(server, "client refused", version)
    foreign = Authority(agent.trust_domain).service(service)
    refused(server, "client refused", version, *foreign.files(server.programs.folder, "foreign"))


def test_it_would_let_anybody_in(shared, version):
    """The control: LuaSec itself is content with each peer."""
    server = luasec.start(shared, None, *endpoints.dummy_files(shared), BOTH)
    foreign = Authority("elsewhere").service("web").files(shared.folder, "elsewhere")
    for client in ([], foreign):
        assert endpoints.Endpoint(luasec, shared, server).ask(version, *client).served


# ---- a client ----


SQUID = """\
http_port 127.0.0.1:{port}
http_access allow all
hosts_file {hosts}
tls_outgoing_options flags=DONT_VERIFY_PEER
"""


def fetch_by_squid(programs, config, server, host):
    """Have Squid fetch an https address for its own client. Its callback refuses, and is not to count."""

    def start():
        hosts = programs.write("hosts", f"127.0.0.1 {host}\n")
        return launch(programs, config, lambda folder, port: squid.command(
            folder, SQUID.format(port=port, hosts=hosts)), squid.READY)

    proxy = kept(programs, ("squid", config, host), start)
    request = f"GET https://{host}:{server.port}/ HTTP/1.0\r\n\r\n"
    with socket.create_connection(("127.0.0.1", proxy.port), PATIENCE) as connection:
        connection.sendall(request.encode())
        text = connection.makefile("rb").read().decode("utf-8", "replace")
    return Result(0, text, "", 0)


class Client:
    """LuaSec or Squid as a client of a server that is a service."""

    def __init__(self, programs, agent, fetch, *more):
        self.programs, self.fetch_by, self.more = programs, fetch, more
        self.service = f"verifying-client-{len(programs.started)}"
        self.log = endpoints.Log(programs.path("client.log"))
        self.config = programs.config(agent, service=self.service, log=self.log.path)
        self.server = endpoints.start(nginx, programs, agent, "service", f"server-of-{self.service}")

    def fetch(self, host, server=None, config=None):
        server = server or self.server.process
        result = self.fetch_by(self.programs, config or self.config, server, host, *self.more)
        return bool(re.search(nginx.ANSWER, result.stdout)), result

    def served(self, host, **options):
        served, result = self.fetch(host, **options)
        assert served, result

    def refused(self, log, pattern, host, **options):
        mark = log.size()
        served, result = self.fetch(host, **options)
        assert not served, result
        log.wait_for(pattern, mark)


@pytest.fixture(scope="module", params=[*WAYS, "Squid"])
def client(request, shared, agent):
    way = request.param
    if way in WAYS:
        return Client(shared, agent, luasec_client.fetch, with_roots(shared, agent, WAYS[way]))
    return Client(shared, agent, fetch_by_squid)


@pytest.fixture(scope="module", params=["by its name", "by its certificate"])
def host(request, client):
    """The name that the client asks for: the service's, or one of no service. Its server is known by its leaf then."""
    return f"{client.server.service}.service.consul" if request.param == "by its name" else "localhost"


def serve(programs, identity):
    """Start a server without the provider."""
    _, certificate, _, key, *_ = identity.files(programs.folder, "server")
    return nginx.start(programs, None, Path(certificate), Path(key))


def test_a_client_is_served_where_it_is_allowed(client, agent, host):
    for _ in range(2):
        agent.allow(client.service, client.server.service)
        client.served(host)
        agent.deny(client.service, client.server.service)
        client.refused(client.server.log, f'svc/{client.service}" may not connect', host)


def test_a_client_refuses_impostors(client, agent, host):
    """The impostor is of the same trust domain, under a root that Consul does not list."""
    impostor = serve(client.programs, Authority(agent.trust_domain).service(client.server.service))
    client.refused(client.log, "server refused", host, server=impostor)


def test_a_client_refuses_another_service(client, agent):
    agent.allow(client.service, client.server.service)
    client.refused(client.log, 'is not the service "other"', "other.service.consul")
    client.served("localhost")


def test_a_client_takes_no_server_of_the_mesh_for_a_web_site(client, agent):
    """The server is known by its leaf, and has Consul sign a host's name beside."""
    site = "www.example.com"
    pretender = serve(client.programs, agent.authority.service("pretender", dns=[site]))
    client.refused(client.log, "server refused", site, server=pretender)
