# SPDX-License-Identifier: Apache-2.0
"""OpenVPN has the TLS of its control channel in memory and in records of its own. It verifies peers by a callback."""

from pathlib import Path

import pytest

import endpoints
from applications import openvpn, openvpn_client
from ca import Authority
from conftest import programs_in
from processes import wait_until

pytestmark = pytest.mark.applications

CONNECTED = "Peer Connection Initiated"  # the client has the server's half of the keys
HEARD = f"peer info: {openvpn_client.WORD}"  # the server has the client's

# Each connection takes OpenVPN two seconds.
with_stand_in = pytest.mark.parametrize("server", ["stand-in"], indirect=True, scope="module")

PASSWORD = "user\npassword\n"


@pytest.fixture(scope="module")
def shared(open_folders, module):
    with programs_in(open_folders("openvpn"), module) as one:
        yield one


@pytest.fixture(scope="module")
def roots(shared, agent):
    if not agent.leaf("web").x509.subject.rdns:
        pytest.skip("OpenVPN takes no certificate without a subject, and this Consul gives none")
    return shared.write("roots.pem", "".join(agent.root_pems))


def files_of(programs, identity, name="peer"):
    _, certificate, _, key, *_ = identity.files(programs.folder, name)
    return Path(certificate), Path(key)


def credentials(certificate, key):
    return f"cert {certificate}\nkey {key}\n"


def a_password(programs):
    """Return the lines of a client without a certificate."""
    return f"pull\nauth-user-pass {programs.write('password', PASSWORD)}\n"


def meet(programs, server, config, lines, ca):
    """Connect once to a server that listens or will do so again. Return whether data went through."""
    seen = server.__dict__.setdefault("seen", 0)
    server.wait_for(openvpn.LISTENS, seen)
    server.seen = mark = server.size()
    client = openvpn_client.fetch(programs, config, server, lines, ca)
    wait_until(lambda: CONNECTED in client.output() or client.ended(), "a connection, or the client's end")
    connected = CONNECTED in client.output()
    assert "TCP connection established" in client.output(), client.output()
    client.kill()
    wait_until(lambda: server.ended() or "process restarting" in server.output(mark), "the end of the connection")
    heard = HEARD in server.output(mark)
    assert connected == heard, (client.output(), server.output(mark))
    return connected


# ---- a server ----


@pytest.fixture(scope="module", params=endpoints.IDENTITIES)
def server(request, shared, agent):
    service = f"openvpn-{request.param}"
    config, log, *files = endpoints.identity(shared, agent, request.param, service)
    return endpoints.Endpoint(None, shared, openvpn.start(shared, config, *files), service, log)


def refused(server, pattern, lines, roots):
    mark = server.log.size()
    assert not meet(server.programs, server.process, None, lines, roots)
    server.log.wait_for(pattern, mark)


def test_a_server_admits_who_is_allowed(server, agent, service, roots):
    lines = credentials(*files_of(server.programs, agent.leaf(service)))
    agent.allow(service, server.service)
    assert meet(server.programs, server.process, None, lines, roots)
    agent.deny(service, server.service)
    refused(server, f'svc/{service}" may not connect to "{server.service}": .*DENY', lines, roots)


@with_stand_in
def test_a_server_refuses_the_others(server, agent, service, roots):
    agent.allow(service, server.service)
    refused(server, "client refused", a_password(server.programs), roots)
    foreign = Authority(agent.trust_domain).service(service, subject=service)
    refused(server, "client refused", credentials(*files_of(server.programs, foreign)), roots)


@with_stand_in
def test_it_refuses_a_leaf_without_a_subject(server, agent, service, roots):
    """Newer Consuls give such leaves. OpenVPN itself refuses them, and its verdict counts, too."""
    agent.allow(service, server.service)
    lines = credentials(*files_of(server.programs, agent.authority.service(service)))
    refused(server, "refused by the application", lines, roots)


# ---- a client ----


@pytest.fixture(scope="module", params=endpoints.IDENTITIES)
def client(request, shared, agent):
    """Return the client's service, its openssl.cnf, its log, and the lines for its certificate."""
    service = f"openvpn-client-{request.param}"
    config, log, *files = endpoints.identity(shared, agent, request.param, service)
    if request.param == "service":
        config = shared.config(agent, service=service, outbound="require", log=log.path)
    return service, config, log, credentials(*files)


@with_stand_in
def test_a_client_is_served_where_it_is_allowed(server, client, agent, roots):
    """The CA of its configuration is of no mesh."""
    service, config, _, lines = client
    agent.allow(service, server.service)
    nothing = endpoints.dummy_files(server.programs)[0]
    assert meet(server.programs, server.process, config, lines, nothing)
    agent.deny(service, server.service)
    mark = server.log.size()
    assert not meet(server.programs, server.process, config, lines, nothing)
    server.log.wait_for(f'svc/{service}" may not connect', mark)


@pytest.mark.parametrize("client", ["stand-in"], indirect=True, scope="module")
def test_a_client_refuses_other_servers(shared, client, agent, roots):
    """Check an impostor, under a root that Consul does not list, and a server outside of the mesh."""
    _, config, log, lines = client
    foreign = Authority(agent.trust_domain)
    outside = endpoints.dummy_files(shared)
    own = credentials(*files_of(shared, agent.leaf("web"), "own"))
    for files, ca in ((files_of(shared, foreign.service("web", subject="web")), shared.write("ca.pem", foreign.pem)),
                      (outside, outside[0])):
        other = openvpn.start(shared, None, *files, ca=roots)
        assert meet(shared, other, None, own, ca)  # the control
        mark = log.size()
        assert not meet(shared, other, config, lines, ca)
        log.wait_for("server refused", mark)
