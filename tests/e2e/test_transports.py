# SPDX-License-Identifier: Apache-2.0
"""Ways to the agent: HTTPS with its certificates and names, and unix sockets."""

import pytest

from ca import Authority, service_uri
from fake_agent import LATEST, LEAF, FakeAgent
from programs import SHORT_TIMEOUTS, TLS13, VERSIONS

pytestmark = [pytest.mark.faults, pytest.mark.consul]

SERVER_NAME = "server.dc1.consul"


@pytest.fixture(scope="module")
def authority():
    """The CA of the agent's HTTPS, which has nothing to do with Connect's."""
    return Authority("https.example", "HTTPS Root")


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("https")


@pytest.fixture(scope="module")
def secure(make_agent, authority, folder):
    """An agent that speaks HTTPS to clients with a certificate of its CA, under its name only."""
    (folder / "root.pem").write_text(authority.pem)
    _, certificate, _, key = authority.issue([], dns=[SERVER_NAME]).files(folder, "agent")
    agent = make_agent(
        ca_file=str(folder / "root.pem"), cert_file=certificate, key_file=key,
        verify_incoming_https=True)
    agent.wait_for_roots()
    agent.adopt_authority()
    return agent


@pytest.fixture(scope="module")
def settings(secure, authority, folder):
    """Everything that this agent demands."""
    _, certificate, _, key = authority.issue([], subject="client").files(folder, "client")
    return {
        "address": secure.https_address, "ca_file": folder / "root.pem", "client_cert": certificate,
        "client_key": key, "tls_server_name": SERVER_NAME, **SHORT_TIMEOUTS, "request_timeout": "5s",
    }


VARIABLES = {
    "address": "CONSUL_HTTP_ADDR", "ca_file": "CONSUL_CACERT", "ca_path": "CONSUL_CAPATH",
    "client_cert": "CONSUL_CLIENT_CERT", "client_key": "CONSUL_CLIENT_KEY",
    "tls_server_name": "CONSUL_TLS_SERVER_NAME",
}


def roots(programs, env=None, **settings):
    return programs.storeutl("consul:roots", "-noout", config=programs.config(**settings), env=env)


def works(result):
    assert result.code == 0, result
    assert "Total found: 2" in result.stdout


def fails(result, address):
    """Check for one error, which names the agent and blames the connection."""
    assert result.code != 0, result
    assert len(result.reasons) == 1, result.stderr
    assert "unreachable" in result.reasons[0]
    assert address.partition("//")[2] in result.reasons[0]


def test_https_by_configuration(programs, settings):
    works(roots(programs, **settings))


def test_https_by_environment(programs, settings):
    env = {VARIABLES[name]: str(value) for name, value in settings.items() if name in VARIABLES}
    works(roots(programs, env, request_timeout="5s"))


def test_https_by_switch(programs, settings):
    """`tls`, or CONSUL_HTTP_SSL, for an address without a scheme."""
    bare = {**settings, "address": settings["address"].removeprefix("https://")}
    works(roots(programs, **bare, tls="yes"))
    works(roots(programs, {"CONSUL_HTTP_SSL": "true"}, **bare))
    works(roots(programs, {"CONSUL_HTTP_SSL": "false"}, **bare, tls="yes"))


def test_a_directory_of_cas(programs, authority, settings):
    folder = programs.folder / "cas"
    folder.mkdir()
    (folder / "root.pem").write_text(authority.pem)
    assert programs.openssl("rehash", folder).code == 0
    by_path = {name: value for name, value in settings.items() if name != "ca_file"}
    works(roots(programs, **by_path, ca_path=folder))
    works(roots(programs, {"CONSUL_CAPATH": str(folder)}, **by_path))


def without(settings, *names):
    return {name: value for name, value in settings.items() if name not in names}


def test_another_ca_is_refused(programs, settings):
    other = programs.write("other.pem", Authority("https.example", "HTTPS Root").pem)
    fails(roots(programs, **{**settings, "ca_file": other}), settings["address"])


def test_an_unknown_ca_is_refused(programs, settings):
    """The system's CAs, where none is set."""
    fails(roots(programs, **without(settings, "ca_file")), settings["address"])


def test_another_name_is_refused(programs, settings):
    fails(roots(programs, **{**settings, "tls_server_name": "client.dc1.consul"}), settings["address"])
    fails(roots(programs, **without(settings, "tls_server_name")), settings["address"])


def test_without_a_certificate_the_agent_refuses(programs, settings):
    fails(roots(programs, **without(settings, "client_cert", "client_key")), settings["address"])


def test_with_a_foreign_certificate_the_agent_refuses(programs, settings):
    foreign = Authority("https.example").issue([]).files(programs.folder, "foreign")
    other = {"client_cert": foreign[1], "client_key": foreign[3]}
    fails(roots(programs, **{**settings, **other}), settings["address"])


def test_verification_can_be_turned_off(programs, settings):
    loose = without(settings, "ca_file", "tls_server_name")
    works(roots(programs, **loose, tls_verify="no"))
    works(roots(programs, {"CONSUL_HTTP_SSL_VERIFY": "false"}, **loose))
    fails(roots(programs, {"CONSUL_HTTP_SSL_VERIFY": "false"}, **loose, tls_verify="yes"), settings["address"])


@pytest.mark.parametrize("missing", ["ca_file", "client_cert", "client_key"])
def test_missing_files_are_an_error(programs, settings, missing):
    path = programs.folder / "missing.pem"
    result = roots(programs, **{**settings, missing: path})
    assert result.code != 0
    assert len(result.reasons) == 1 and str(path) in result.reasons[0], result.stderr


def test_https_to_an_http_port_is_an_error(programs, secure, settings):
    address = f"https://{secure.address}"
    fails(roots(programs, **{**settings, "address": address}), address)


@pytest.mark.parametrize("version", VERSIONS, ids=lambda option: option.lstrip("-"))
def test_handshakes_over_https(programs, secure, settings, service, version):
    """The provider's own TLS to the agent happens within a handshake that it governs."""
    server = programs.connect_server(service, config=programs.config(**settings))
    secure.deny(f"foe-{service}", service)
    for name, talks in ((f"friend-{service}", True), (f"foe-{service}", False)):
        client = secure.leaf(name).files(programs.folder, name)
        outcome = programs.talk(server, version, *client)
        assert outcome.talked if talks else outcome.refused, outcome
    assert programs.talk(server, version).refused


def test_a_leaf_as_client_certificate_does_not_govern_the_agents_tls(programs, authority, settings, service):
    """TLS to the agent is ordinary, even with a certificate that looks like Connect."""
    own = authority.issue([service_uri("https.example", "web")]).files(programs.folder, "own")
    leafy = {**settings, "client_cert": own[1], "client_key": own[3]}
    works(roots(programs, **leafy))
    server = programs.connect_server(service, config=programs.config(**leafy))
    assert programs.talk(server, TLS13).refused


def test_a_unix_socket(programs, secure, service):
    """unix://path, by configuration and by environment, for URIs and for handshakes."""
    address = f"unix://{secure.socket}"
    works(roots(programs, address=address))
    works(roots(programs, {"CONSUL_HTTP_ADDR": address}))
    server = programs.connect_server(service, config=programs.config(address))
    friend = secure.leaf(f"friend-{service}").files(programs.folder, "friend")
    assert programs.talk(server, TLS13, *friend).talked
    assert programs.talk(server, TLS13).refused


def test_a_missing_unix_socket_is_an_error(programs):
    path = programs.folder / "missing.sock"
    result = roots(programs, address=f"unix://{path}")
    assert result.code != 0
    assert len(result.reasons) == 1 and str(path) in result.reasons[0], result.stderr


def test_a_unix_socket_gets_the_same_requests(programs):
    fake = FakeAgent(unix=programs.folder / "fake.sock")
    try:
        result = programs.storeutl("consul:leaf/web?dc=dc1", "-noout", config=programs.config(fake, token="t"))
        assert result.code == 0, result
        assert fake.requests[0].target == f"{LEAF}web?dc=dc1&{LATEST}"
        assert fake.requests[0].headers["x-consul-token"] == "t"
    finally:
        fake.stop()
