# SPDX-License-Identifier: Apache-2.0
"""s_client with a Connect leaf and no verify option, on a real agent, and the servers that it talks to."""

import hashlib
import re

import pytest
from cryptography.hazmat.primitives import serialization

from ca import Authority, build, common_name, ec_key, key_pem, pem, self_signed, service_uri, Identity
from programs import SHORT, SHORT_TIMEOUTS, SLACK, TLS12, TLS13, VERSIONS

pytestmark = pytest.mark.core

BAD_CERTIFICATE, CERTIFICATE_EXPIRED, UNKNOWN_CA, INTERNAL_ERROR = 42, 45, 48, 80


@pytest.fixture(params=VERSIONS, ids=lambda option: option.lstrip("-"))
def version(request):
    return request.param


@pytest.fixture
def client(programs, agent, service):
    """The arguments and configuration of a client that is a Connect endpoint."""
    uri = f"consul:leaf/{service}"
    return ["-cert", uri, "-key", uri], programs.config(agent)


def meets(programs, client, identity, version, *options):
    """Return the outcome where the client connects to a plain server with this identity."""
    arguments, config = client
    server = programs.server(*identity.files(programs.folder, "server"))
    return programs.talk(server, version, *arguments, *options, config=config)


def foreign(agent):
    return Authority(agent.trust_domain, "Adopted Root")


IMPOSTORS = {
    "self-signed": lambda agent: self_signed(),
    "self-signed service": lambda agent: self_signed([service_uri(agent.trust_domain, "web")]),
    "foreign CA": lambda agent: foreign(agent).service("web"),
    "foreign intermediate": lambda agent: foreign(agent).intermediate().service("web"),
    "not a service": lambda agent: agent.authority.issue(
        [f"spiffe://{agent.trust_domain}/agent/server/dc/dc1"]),
    "other trust domain": lambda agent: agent.authority.issue([service_uri("other.consul", "web")]),
    "no SAN": lambda agent: agent.authority.issue([]),
    "DNS only": lambda agent: agent.authority.issue([], dns=["localhost", "127.0.0.1"]),
    "two URIs": lambda agent: agent.authority.issue(
        [service_uri(agent.trust_domain, name) for name in ("web", "api")]),
    "expired": lambda agent: agent.authority.service("web", begins=-5, ends=-1),
    "not yet valid": lambda agent: agent.authority.service("web", begins=1, ends=5),
    "CA": lambda agent: agent.authority.service("web", ca=True),
    "other signature": lambda agent: other_signature(agent),
}


def other_signature(agent):
    """Issue a certificate that names the listed root as its issuer, and is signed by another key."""
    key = ec_key()
    uris = [service_uri(agent.trust_domain, "web")]
    certificate = build(common_name("web"), agent.authority.name, key, ec_key(), uris=uris)
    return Identity(pem(certificate), key_pem(key))


def test_a_service_is_talked_to(programs, agent, client, version):
    outcome = meets(programs, client, agent.leaf("web"), version)
    assert outcome.talked, outcome


def test_the_client_shows_its_leaf(programs, agent, service, client, version):
    arguments, config = client
    leaf = agent.leaf("web").files(programs.folder, "server")
    outcome = programs.talk(programs.server(*leaf, "-Verify", "3"), version, *arguments, config=config)
    assert outcome.talked, outcome
    shown = outcome.server.partition("Client certificate\n")[2]
    assert agent.leaf(service).certificate.strip() in shown


@pytest.mark.parametrize("kind", IMPOSTORS)
def test_an_impostor_is_not_talked_to(programs, agent, client, version, kind):
    """Not a byte of application data is sent, although s_client itself verifies no server."""
    outcome = meets(programs, client, IMPOSTORS[kind](agent), version)
    assert outcome.silent, outcome


@pytest.mark.parametrize("options", [
    ["-verify", "1"], ["-verify", "5", "-verify_quiet"], ["-no_check_time"], ["-partial_chain"],
    ["-msg"], ["-trace"], ["-security_debug"], ["-security_debug_verbose", "-msg"], ["-noservername"],
    ["-servername", "web.service.consul"], ["-cipher", "ALL:@SECLEVEL=0"], ["-legacy_renegotiation"],
], ids=" ".join)
def test_options_do_not_make_an_impostor_trusted(programs, agent, client, version, options):
    outcome = meets(programs, client, foreign(agent).service("web"), version, *options)
    assert outcome.silent, outcome


ALERTS = {
    "self-signed": UNKNOWN_CA, "foreign CA": UNKNOWN_CA, "expired": CERTIFICATE_EXPIRED,
    "not a service": BAD_CERTIFICATE, "no SAN": BAD_CERTIFICATE,
}


def heard(outcome):
    """Return the number of the alert that the server received."""
    return int(re.search(r"SSL alert number (\d+)", outcome.server)[1])


@pytest.mark.parametrize("kind", ALERTS)
def test_an_impostor_hears_why(programs, agent, client, version, kind):
    """It sees the alert that fits, and no more."""
    outcome = meets(programs, client, IMPOSTORS[kind](agent), version)
    assert heard(outcome) == ALERTS[kind]


def test_another_service_hears_why(programs, agent, client, version):
    """The host name names another service than the server's leaf."""
    outcome = meets(programs, client, agent.leaf("web"), version, "-servername", "api.service.consul")
    assert outcome.silent and heard(outcome) == BAD_CERTIFICATE
    assert 'is not the service "api"' in outcome.client


def test_the_applications_own_authority_does_not_count(programs, agent, client, version):
    """An impostor's root in the application's trust store is not a Connect root."""
    other = foreign(agent)
    root = programs.write("root.pem", other.pem)
    for options in (["-CAfile", root], ["-CAfile", root, "-verify_return_error"]):
        outcome = meets(programs, client, other.service("web"), version, *options)
        assert outcome.silent, outcome


def test_dane_does_not_make_an_impostor_trusted(programs, agent, client, version):
    """DANE-EE ends OpenSSL's verification early, but not ours."""
    impostor = self_signed()
    public = impostor.x509.public_key().public_bytes(
        serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo)
    record = "3 1 1 " + hashlib.sha256(public).hexdigest()
    dane = ["-dane_tlsa_domain", "web.example", "-dane_tlsa_rrdata", record]
    outcome = meets(programs, client, impostor, version, *dane)
    assert outcome.silent, outcome


def test_a_pre_shared_key_is_no_identity(programs, agent, client, version):
    """A server without a certificate has no identity."""
    arguments, config = client
    psk = ["-psk", "0123456789abcdef"] + (["-cipher", "PSK"] if version == TLS12 else [])
    server = programs.server("-nocert", "-psk", "0123456789abcdef", "-cipher", "ALL:PSK")
    outcome = programs.talk(server, version, *arguments, *psk, config=config)
    assert outcome.silent, outcome


def test_an_anonymous_server_is_nobody(programs, agent, client):
    arguments, config = client
    anonymous = ["-cipher", "aNULL:@SECLEVEL=0"]
    server = programs.server("-nocert", *anonymous)
    outcome = programs.talk(server, TLS12, *anonymous, *arguments, config=config)
    assert outcome.silent, outcome


def test_with_the_agent_stopped_nobody_is_trusted(programs, make_agent, tmp_path, version):
    """Own certificate from files, so that the client starts; then the roots are missing."""
    own = make_agent()
    own.wait_for_roots()
    server = programs.server(*own.leaf("web").files(tmp_path, "server"))
    leaf = own.leaf("client").files(tmp_path, "client")
    config = programs.config(own, **SHORT_TIMEOUTS)
    assert programs.talk(server, version, *leaf, config=config).talked
    own.stop()
    outcome = programs.talk(server, version, *leaf, config=config)
    assert outcome.silent, outcome
    assert own.address in outcome.client
    assert heard(outcome) == INTERNAL_ERROR
    assert outcome.elapsed < SHORT + SLACK


def test_early_data_is_not_sent_on_an_old_session(programs, agent, service):
    """A session from before would skip the verification of the server."""
    uri = f"consul:leaf/{service}"
    arguments, config = ["-cert", uri, "-key", uri], programs.config(agent)
    leaf = agent.leaf("web").files(programs.folder, "server")
    session, early = programs.path("session"), programs.write("early", "early words\n")
    server = programs.server(*leaf, TLS13, "-early_data", "-no_anti_replay")
    assert programs.talk(server, TLS13, "-sess_out", session).talked  # a plain client
    outcome = programs.talk(
        server, TLS13, *arguments, "-sess_in", session, "-early_data", early, config=config)
    assert not outcome.reused, outcome
    assert "early words" not in outcome.server
