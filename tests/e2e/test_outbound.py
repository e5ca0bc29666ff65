# SPDX-License-Identifier: Apache-2.0
"""Clients of a configured service: for which servers Connect is required, and for which service."""

import hashlib
import os
import sys
from pathlib import Path

import pytest

import nginx
import stand_ins
from ca import Authority, self_signed
from programs import Result

pytestmark = pytest.mark.core

CONNECT, PUBLIC = "from-connect", "from-public"
TABLE = """\
[hosts]
db.internal = {service}
far.internal = {service}?dc=elsewhere
other.internal = other
*.any.internal = {service}
*.some.internal = other
yes.some.internal = {service}
"""
HIGHEST = ["TLSv1_2", "TLSv1_3"]


@pytest.fixture
def service(service):
    """Short enough for a label of a host name."""
    return "s" + hashlib.sha256(service.encode()).hexdigest()[:16]


@pytest.fixture
def connect(programs, agent, service):
    """A Connect service, by configuration alone."""
    _, certificate, _, key, *_ = self_signed().files(programs.folder, "dummy")
    return nginx.start(programs, certificate, key, [CONNECT], programs.config(agent, service=service))


@pytest.fixture
def public(programs):
    """An ordinary server; `ca` is the certificate to trust for it."""
    identity = self_signed(dns=["localhost"])
    _, certificate, _, key, *_ = identity.files(programs.folder, "public")
    server = nginx.start(
        programs, certificate, key, [PUBLIC], options="ssl_session_cache shared:one:1m;")
    server.ca = certificate
    return server


def fetch(programs, server, config, host="", checks="check", highest="TLSv1_3", ca="", count=1) -> Result:
    script = Path(__file__).with_name("tls_client.py")
    return programs.run(
        [sys.executable, script, server.ports[0], host, checks, highest, ca, count], config,
        programs.leaks_allowed())


@pytest.fixture
def config(programs, agent, service):
    def make(**settings):
        table = TABLE.format(service=service)
        return programs.config(
            agent, more=table, service=f"client-of-{service}", upstreams="hosts", **settings)

    return make


@pytest.mark.parametrize("checks", ["check", "trust"])
@pytest.mark.parametrize("name", [
    "{}.service.consul", "{}.service.dc1.consul", "{}.connect.consul", "{}.virtual.consul",
    "{}.service.default.ns.default.ap.dc1.dc.consul", "tag.{}.service.consul", "{}.SERVICE.Consul",
    "{}.service.consul.", "db.internal", "DB.internal", "db.internal.",
    "a.any.internal", "B-1.ANY.internal.", "yes.some.internal",
    "{}.service.default.dc1.consul",  # Enterprise's other notation
])
def test_the_host_name_names_the_service(programs, connect, service, config, name, checks):
    """The SPIFFE ID stands in for the name check: leaves have no DNS name."""
    result = fetch(programs, connect, config(), name.format(service), checks)
    assert f"ANSWER {CONNECT}" in result.stdout, result


@pytest.mark.parametrize("checks", ["check", "trust"])
@pytest.mark.parametrize("name", [
    "other.service.consul", "{}.service.elsewhere.consul", "service.consul", "x.{}.other.service.consul",
    "{}.service.team.ns.consul", "other.SERVICE.consul.", "other.internal", "Other.internal.", "far.internal",
    "no.some.internal", "No.Some.internal.",
    # peers and sameness groups, whose services are of another mesh
    "{}.virtual.dc1.consul", "{}.service.dc1.peer.consul", "{}.service.default.sg.consul",
])
def test_another_service_is_not_it(programs, connect, service, config, name, checks):
    """The checks of the application do not matter."""
    result = fetch(programs, connect, config(), name.format(service), checks)
    assert "ANSWER" not in result.stdout and result.code != 0
    assert "ostname mismatch" in result.stderr, result


def test_a_name_of_no_service_is_checked_as_ever(programs, connect, config):
    for name in ("example.com", "any.internal", "a.b.any.internal"):  # a wildcard is one label
        assert "ANSWER" not in fetch(programs, connect, config(), name).stdout
        assert f"ANSWER {CONNECT}" in fetch(programs, connect, config(), name, "trust").stdout


def test_the_domain_is_a_setting(programs, connect, service, config):
    """Names of another domain are then names like others: the provider does not check them."""
    ours = config(domain="mesh.example")
    assert f"ANSWER {CONNECT}" in fetch(programs, connect, ours, f"{service}.service.mesh.example").stdout
    other = fetch(programs, connect, ours, "other.service.mesh.example", "trust")
    assert "ANSWER" not in other.stdout and "ostname mismatch" in other.stderr, other
    assert "ANSWER" not in fetch(programs, connect, ours, f"{service}.service.consul").stdout
    both = config(domain="consul, mesh.example")
    for name in ("consul", "mesh.example"):
        assert f"ANSWER {CONNECT}" in fetch(programs, connect, both, f"{service}.service.{name}").stdout
        assert "ANSWER" not in fetch(programs, connect, both, f"other.service.{name}", "trust").stdout
    assert f"ANSWER {CONNECT}" in fetch(programs, connect, ours, "other.service.consul", "trust").stdout


def test_capitals_of_a_service(programs, agent, service, config):
    """DNS has no case, and a SPIFFE ID has one. The name counts as it is written, or in lower case."""
    _, certificate, _, key, *_ = self_signed().files(programs.folder, "dummy")
    server = nginx.start(programs, certificate, key, [CONNECT], programs.config(agent, service=f"{service}API"))
    for name, is_it in ((f"{service}API", True), (f"{service}api", False), (f"{service}API".upper(), False)):
        outcome = fetch(programs, server, config(), f"{name}.service.consul")
        assert (f"ANSWER {CONNECT}" in outcome.stdout) is is_it, outcome


@pytest.mark.parametrize("checks", ["check", "trust"])
def test_a_name_of_a_service_is_never_an_ordinary_server(programs, public, service, config, checks):
    """The name alone demands Connect, before any certificate is seen."""
    for name in (f"{service}.service.consul", "db.internal"):
        result = fetch(programs, public, config(), name, checks, ca=public.ca)
        assert "ANSWER" not in result.stdout, result


@pytest.mark.parametrize("highest", HIGHEST)
def test_ordinary_servers_are_the_applications_business(programs, public, config, highest):
    """Verified by its rules, refused by its rules, and its sessions are resumed."""
    auto = config()
    assert f"ANSWER {PUBLIC}" in fetch(programs, public, auto, "localhost", ca=public.ca).stdout
    assert "ANSWER" not in fetch(programs, public, auto, "localhost").stdout
    assert "ANSWER" not in fetch(programs, public, auto, "example.com", ca=public.ca).stdout
    lines = fetch(
        programs, public, auto, "localhost", highest=highest, ca=public.ca, count=3).stdout.splitlines()
    assert [line.split()[-1] for line in lines] == ["new", "reused", "reused"]


def curl_both(programs, config, public, public_host, ca, connect, host):
    return programs.run(
        ["curl", "--silent", "--cacert", ca, "--connect-to", f"::127.0.0.1:{public.ports[0]}",
         f"https://{public_host}/", "--next", "--silent", "--insecure", "--connect-to",
         f"::127.0.0.1:{connect.ports[0]}", f"https://{host}/"], config).stdout


BOTH = """\
import socket, ssl, sys
def fetch(port, host, context):
    plain = socket.create_connection(("127.0.0.1", int(port)), 10)
    try:
        with context.wrap_socket(plain, server_hostname=host) as connection:
            connection.sendall(b"GET / HTTP/1.0\\r\\n\\r\\n")
            sys.stdout.write(connection.makefile("r").read().partition("\\n\\n")[2])
    except OSError as error:
        print(error, file=sys.stderr)
verifying = ssl.create_default_context(cafile=sys.argv[3])
trusting = ssl.create_default_context()
trusting.check_hostname, trusting.verify_mode = False, ssl.CERT_NONE
fetch(*sys.argv[1:3], verifying)
fetch(*sys.argv[4:6], trusting)
"""


def python_both(programs, config, public, public_host, ca, connect, host):
    return programs.run(
        [sys.executable, "-c", BOTH, public.ports[0], public_host, ca, connect.ports[0], host], config,
        programs.leaks_allowed()).stdout


# curl does not start where the address sanitizer is preloaded, with or without us.
FETCHING_BOTH = [python_both] if os.environ.get("CONSUL_PROVIDER_PRELOAD") else [python_both, curl_both]


@pytest.mark.parametrize("fetch_both", FETCHING_BOTH)
def test_one_process_fetches_from_both(programs, agent, connect, public, service, config, fetch_both):
    """It fetches from a service, and from a server that it verifies as ever. Each fails alone, by its own rules."""
    ours, other = f"{service}.service.consul", "other.service.consul"
    wrong = self_signed(dns=["localhost"]).files(programs.folder, "wrong")[1]
    agent.allow(f"client-of-{service}", service)
    for public_host, ca, host, expected in (
            ("localhost", public.ca, ours, PUBLIC + CONNECT),
            ("localhost", wrong, ours, CONNECT),
            ("example.com", public.ca, ours, CONNECT),
            ("localhost", public.ca, other, PUBLIC),
            ("localhost", wrong, other, "")):
        assert fetch_both(programs, config(), public, public_host, ca, connect, host) == expected
    agent.deny(f"client-of-{service}", service)
    assert fetch_both(programs, config(), public, "localhost", public.ca, connect, ours) == PUBLIC


@pytest.mark.parametrize("highest", HIGHEST)
def test_connect_sessions_are_never_resumed(programs, connect, config, highest):
    lines = fetch(
        programs, connect, config(), "", "trust", highest=highest, count=3).stdout.splitlines()
    assert [line.split()[-1] for line in lines] == ["new", "new", "new"]


def test_an_impostor_is_held_to_what_it_claims(programs, agent, service, config):
    """A certificate with an ID of our trust domain and another root, for a client that trusts all."""
    uri = f"spiffe://{agent.trust_domain}/ns/default/dc/dc1/svc/{service}"
    for claim in (uri, f"spiffe://{agent.trust_domain}/agent/server/dc/dc1"):
        _, certificate, _, key, *_ = self_signed([claim]).files(programs.folder, "impostor")
        server = nginx.start(programs, certificate, key, [PUBLIC])
        assert "ANSWER" not in fetch(programs, server, config(), "", "trust").stdout


def test_another_trust_domain_is_an_ordinary_server(programs, agent, service, config):
    identity = self_signed(["spiffe://other.example/ns/default/dc/dc1/svc/web"], dns=["localhost"])
    _, certificate, _, key, *_ = identity.files(programs.folder, "other")
    server = nginx.start(programs, certificate, key, [PUBLIC])
    for highest in HIGHEST:  # also where its sessions are offered again
        result = fetch(programs, server, config(), "localhost", highest=highest, ca=certificate, count=2)
        assert result.stdout.count(f"ANSWER {PUBLIC}") == 2, result


def test_a_host_check_for_another_name_is_not_answered(programs, connect, service, config):
    """SNI names the service, but the program has OpenSSL check another host."""
    target = ["s_client", "-connect", f"127.0.0.1:{connect.ports[0]}", "-ign_eof"]
    name = f"{service}.service.consul"
    request = b"GET / HTTP/1.0\r\n\r\n"
    right = programs.openssl(
        *target, "-servername", name, "-verify_hostname", name, config=config(), stdin=request)
    assert CONNECT in right.stdout
    wrong = programs.openssl(
        *target, "-servername", name, "-verify_hostname", "bank.example", config=config(), stdin=request)
    assert CONNECT not in wrong.stdout and "host name" in wrong.stderr, wrong


@pytest.fixture
def pretender(programs, agent, service):
    """A server of the mesh, of this service, that has names of other hosts from Consul, too."""
    identity = agent.authority.service(service, dns=["www.example.com", "*.example.org", "127.0.0.1"])
    _, certificate, _, key, *_ = identity.files(programs.folder, "pretender")
    server = nginx.start(programs, certificate, key, [PUBLIC])
    server.ca = programs.write("roots.pem", "".join(agent.root_pems))
    return server


@pytest.mark.parametrize("outbound", ["auto", "require"])
@pytest.mark.parametrize("name", ["www.example.com", "any.example.org", "127.0.0.1"])
def test_names_in_a_leaf_are_nobodys(programs, pretender, config, name, outbound):
    """OpenSSL finds the names, and so would an application that looks by itself. They do not count."""
    assert f"ANSWER {PUBLIC}" in fetch(programs, pretender, None, name, ca=pretender.ca).stdout
    for checks in ("check", "trust"):
        result = fetch(programs, pretender, config(outbound=outbound), name, checks, ca=pretender.ca)
        assert "ANSWER" not in result.stdout and "ostname mismatch" in result.stderr, result


def test_names_in_a_leaf_do_no_harm_where_a_service_is_asked_for(programs, pretender, service, config):
    for name in (f"{service}.service.consul", "db.internal"):
        for checks in ("check", "trust"):
            assert f"ANSWER {PUBLIC}" in fetch(programs, pretender, config(), name, checks).stdout
    result = fetch(programs, pretender, config(), "other.service.consul", "trust")
    assert "ANSWER" not in result.stdout, result


@pytest.mark.parametrize("own", ["URI", "stand-in"])
def test_names_in_a_leaf_are_nobodys_for_who_has_an_identity(programs, agent, pretender, service, own):
    """The client has the leaf's URI, or a stand-in for it, and no setting."""
    uri = f"consul://leaf/client-of-{service}"
    certificate, key = stand_ins.make(programs, uri) if own == "stand-in" else (uri, uri)
    base = ["s_client", "-connect", f"127.0.0.1:{pretender.ports[0]}", "-ign_eof", "-cert", certificate, "-key", key]
    request = b"GET / HTTP/1.0\r\n\r\n"
    for more in (["-noservername"], ["-servername", "www.example.com"], ["-verify_hostname", "any.example.org"],
                 ["-verify_ip", "127.0.0.1"], ["-servername", f"{service}.service.consul", "-verify_ip", "127.0.0.1"]):
        result = programs.openssl(*base, *more, config=programs.config(agent), stdin=request)
        assert PUBLIC not in result.stdout and "upstreams" in result.stderr, result
    asked = programs.openssl(
        *base, "-servername", f"{service}.service.consul", config=programs.config(agent), stdin=request)
    assert PUBLIC in asked.stdout, asked


@pytest.mark.parametrize("uri", [
    "spiffe://x@{}/ns/default/dc/dc1/svc/web", "spiffe:/agent/client/dc/dc1/id/1",
    "spiffe://other.example/agent/client/dc/dc1/id/1?x",
])
def test_who_is_issued_by_our_mesh_is_held_to_it(programs, agent, config, uri):
    """The roots are even among the CAs of the client. A server of another mesh is left alone."""
    roots = programs.write("roots.pem", "".join(agent.root_pems))
    other = Authority("other.example")
    others = programs.write("others.pem", other.pem)
    for issuer, ca in ((agent.authority, roots), (other, others)):
        leaf = issuer.issue([uri.format(issuer.trust_domain)], dns=["www.example.com"])
        _, certificate, _, key, *_ = leaf.files(programs.folder, "server")
        server = nginx.start(programs, certificate, key, [PUBLIC])
        for settings in (None, config()):
            result = fetch(programs, server, settings, "www.example.com", ca=ca)
            assert ("ANSWER" in result.stdout) != (settings is not None and issuer is agent.authority), result


def test_only_connect_servers_see_our_leaf(programs, agent, service, config):
    """An ordinary server that asks for a certificate is given none."""
    identity = self_signed(dns=["localhost"])
    _, certificate, _, key, *_ = identity.files(programs.folder, "asking")
    server = programs.server("-cert", certificate, "-key", key, "-verify", "1", "-www")
    server.ports = [server.port]
    result = fetch(programs, server, config(), "localhost", ca=certificate)
    assert "no client certificate available" in result.stdout, (result, server.output())


def test_outbound_require_refuses_ordinary_servers(programs, connect, public, config):
    require = config(outbound="require")
    assert f"ANSWER {CONNECT}" in fetch(programs, connect, require, "", "trust").stdout
    for checks in ("check", "trust"):
        result = fetch(programs, public, require, "localhost", checks, ca=public.ca)
        assert "ANSWER" not in result.stdout


def test_outbound_off_leaves_clients_alone(programs, connect, public, config, service):
    off = config(outbound="off")
    assert f"ANSWER {PUBLIC}" in fetch(programs, public, off, "localhost", ca=public.ca).stdout
    assert "ANSWER" not in fetch(programs, connect, off, f"{service}.service.consul", "trust").stdout


@pytest.mark.parametrize("table", [
    "[hosts]\nDB.internal = db\n", "[hosts]\ndb.internal. = db\n", "[hosts]\ndb.internal = \n",
    "[hosts]\ndb.internal = db?x=1\n", "",
])
def test_a_wrong_table_stops_the_program(programs, agent, table):
    config = programs.config(agent, more=table, service="web-client", upstreams="hosts")
    result = programs.storeutl("consul://roots", config=config)
    assert result.code != 0
    assert "hosts" in result.stderr, result
