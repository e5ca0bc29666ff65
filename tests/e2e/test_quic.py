# SPDX-License-Identifier: Apache-2.0
"""Programs on OpenSSL's own QUIC: a small server, s_client and curl. OpenSSL has such servers from 3.5 on.

A program that hangs fails its test: Programs.run ends it.
"""

import os
from pathlib import Path

import pytest

import endpoints
import nginx
from applications.common import TEXT
from ca import Authority
from conftest import programs_in
from programs import Server, openssl_version

if openssl_version() < (3, 5):
    pytest.skip("this OpenSSL has no QUIC servers", allow_module_level=True)

pytestmark = [pytest.mark.core, pytest.mark.applications]

LINE = "hello from the client"
MISSING = "peer presented no certificate: client refused"


@pytest.fixture(scope="module")
def shared(open_folders, module):
    with programs_in(open_folders("quic"), module) as one:
        yield one


def start(programs, config, certificate, key):
    binary = Path(os.environ["CONSUL_PROVIDER_MODULE"]).parents[1] / "tests" / "quic_server"
    return programs.start(Server, [binary, certificate, key], config).ready()


class Service:
    """The small server as a service, with its log."""

    def __init__(self, programs, agent, kind):
        self.programs, self.name = programs, f"quic-{kind}"
        config, self.log, *files = endpoints.identity(programs, agent, kind, self.name)
        self.process = start(programs, config, *files)

    def ask(self, *arguments, config=None):
        return ask(self.programs, self.process, *arguments, config=config)

    def refuses(self, pattern, *arguments):
        """Check that this client is not served, and that the log says why."""
        mark, said = self.log.size(), self.process.size()
        assert "served" not in self.ask(*arguments).stdout
        self.log.wait_for(pattern, mark)
        self.process.wait_for("NOTHING", said)
        assert "GOT" not in self.process.output(said)


def ask(programs, process, *arguments, config=None):
    """Let an s_client say its line."""
    return programs.openssl(
        "s_client", "-quic", "-alpn", "line", "-connect", f"127.0.0.1:{process.port}", "-ign_eof", *arguments,
        config=config, stdin=LINE.encode() + b"\n")


@pytest.fixture(scope="module", params=endpoints.IDENTITIES)
def server(request, shared, agent):
    return Service(shared, agent, request.param)


def files(programs, identity, name):
    return identity.files(programs.folder, name)


def test_a_verdict_counts_from_the_next_connection(server, agent, service):
    leaf = files(server.programs, agent.leaf(service), service)
    for _ in range(2):
        agent.allow(service, server.name)
        mark = server.process.size()
        result = server.ask(*leaf)
        assert "served" in result.stdout, result
        server.process.wait_for(f"GOT {LINE}", mark)
        agent.deny(service, server.name)
        server.refuses(f'client refused: "spiffe://[^"]*/svc/{service}" may not connect to', *leaf)


def test_no_stranger_comes(server, agent, service):
    agent.allow(service, server.name)
    server.refuses(MISSING)
    foreign = Authority(agent.trust_domain).service(service)
    server.refuses(f'client refused: a certificate of "spiffe://[^"]*/svc/{service}"',
                   *files(server.programs, foreign, service))


def test_a_client(shared, agent, server, service):
    """A client of a configured service presents its leaf, to a service of the mesh only."""
    config = shared.config(agent, service=service)
    agent.allow(service, server.name)
    wanted = f"{server.name}.service.consul"
    result = server.ask("-servername", wanted, config=config)
    assert "served" in result.stdout, result
    result = server.ask("-servername", "other.service.consul", config=config)
    assert "served" not in result.stdout, result
    agent.deny(service, server.name)
    assert "served" not in server.ask("-servername", wanted, config=config).stdout


def test_a_client_of_an_impostor(shared, agent, service):
    """Another server than the wanted service gets no line."""
    config = shared.config(agent, service=service)
    foreign = Authority(agent.trust_domain).service("web")
    for identity in (foreign, None):
        pair = files(shared, identity, "impostor")[1:4:2] if identity else endpoints.dummy_files(shared)
        process = start(shared, None, *pair)
        result = ask(shared, process, "-servername", "web.service.consul", config=config)
        assert "served" not in result.stdout and "GOT" not in process.output(), result
    result = ask(shared, process, "-servername", "localhost", config=config)  # no service of the mesh
    assert "served" in result.stdout, result


def test_curl(shared, agent, service):
    """curl gets its page by HTTP/3 where it is allowed to, and an error where it is not."""
    config, _, *identity = endpoints.identity(shared, agent, "stand-in", f"{service}-web")
    process = nginx.start(shared, *identity, [TEXT], config, "http3 on;", listen="quic")
    port, = process.ports
    name = f"{service}-web.service.consul"

    def get(host, client):
        return shared.run(
            ["curl", "-sS", "-k", "--http3-only", "--max-time", "50", "--resolve", f"{host}:{port}:127.0.0.1",
             f"https://{host}:{port}/"], client)

    client = shared.config(agent, service=service)
    agent.allow(service, f"{service}-web")
    result = get(name, client)
    assert (result.code, result.stdout) == (0, TEXT), result
    result = get("localhost", client)  # a server of the mesh, by a name that means no service
    assert (result.code, result.stdout) == (0, TEXT), result
    assert get("other.service.consul", client).code not in (0, 28)  # 28: it took too long
    assert get(name, None).code not in (0, 28)
    agent.deny(service, f"{service}-web")
    result = get(name, client)
    assert result.code not in (0, 28) and not result.stdout, result
