# SPDX-License-Identifier: Apache-2.0
"""The questions about a peer: the verified certificate's URI and serial, for the own service."""

import pytest

from ca import build, common_name, ec_key, key_pem, pem, Identity, service_uri
from fake_agent import AUTHORIZE, INTENTIONS, LEAF, ROOTS, TRUST_DOMAIN
from programs import TLS13, VERSIONS

pytestmark = pytest.mark.faults


@pytest.fixture(params=VERSIONS, ids=lambda option: option.lstrip("-"))
def version(request):
    return request.param


def serial_of(identity):
    """Return a serial in Consul's form: the number's bytes, in lower-case hexadecimal with colons between."""
    number = identity.x509.serial_number
    return number.to_bytes((number.bit_length() + 7) // 8, "big").hex(":")


def asked(programs, fake, server, identity, version=TLS13):
    """Return the one question that a connection of this client makes the server ask."""
    fake.requests.clear()
    programs.talk(server, version, *identity.files(programs.folder, "client"))
    (request,) = fake.seen(AUTHORIZE)
    return request


def test_the_question(programs, fake, version):
    friend = fake.authority.service("friend")
    server = programs.connect_server("web", config=programs.config(fake))
    request = asked(programs, fake, server, friend, version)
    assert request.method == "POST"
    assert request.target == AUTHORIZE
    assert request.headers["content-type"] == "application/json"
    assert request.json == {
        "Target": "web",
        "ClientCertURI": service_uri(TRUST_DOMAIN, "friend"),
        "ClientCertSerial": serial_of(friend),
    }


@pytest.mark.parametrize("serial, spelling", [
    (8, "08"), (0x7F, "7f"), (0x80, "80"), (0xFF00, "ff:00"), (0xABCDEF, "ab:cd:ef"),
    (2**159 - 1, "7f" + 19 * ":ff"),
])
def test_serials_are_spelled_as_consul_does(programs, fake, serial, spelling):
    """The zero byte that DER puts before a high bit is left out."""
    server = programs.connect_server("web", config=programs.config(fake))
    friend = fake.authority.service("friend", serial=serial)
    assert asked(programs, fake, server, friend).json["ClientCertSerial"] == spelling


def test_every_connection_is_asked_about(programs, fake, version):
    """Each has one question, but for one ahead: a slow host may see its answer too late, and ask again.

    Other requests are only for a handshake's or the watch's own needs.
    """
    friend = fake.authority.service("friend").files(programs.folder, "friend")
    server = programs.connect_server("web", config=programs.config(fake))
    fake.requests.clear()
    for number in range(1, 3):
        assert programs.talk(server, version, *friend).talked
        assert len(fake.seen(AUTHORIZE)) == number
    assert programs.talk(server, version, *friend).talked
    questions, roots, leaves = (fake.seen(kind) for kind in (AUTHORIZE, ROOTS, LEAF))
    assert 3 <= len(questions) <= 3 + 1
    assert len(leaves) <= 3 + 1 and len(roots) <= 3 + 1
    others = len(fake.requests) - len(questions) - len(roots) - len(leaves)
    assert others == len(fake.seen(INTENTIONS)) <= 2


def test_nobody_is_asked_about_who_fails_before(programs, fake, version):
    """An unverified certificate does not reach the agent."""
    server = programs.connect_server("web", config=programs.config(fake))
    key = ec_key()
    forged = Identity(pem(build(
        common_name("friend"), fake.authority.name, key, ec_key(),
        uris=[service_uri(TRUST_DOMAIN, "friend")])), key_pem(key))
    agent = fake.authority.issue([f"spiffe://{TRUST_DOMAIN}/agent/server/dc/dc1"])
    for identity in (forged, agent):
        outcome = programs.talk(server, version, *identity.files(programs.folder, "client"))
        assert outcome.refused
    assert programs.talk(server, version).refused
    assert fake.seen(AUTHORIZE) == []


@pytest.mark.parametrize("path, service, scope", [
    ("/ns/default/dc/dc1/svc/web", "web", {}),
    ("/ns/team/dc/dc1/svc/web", "web", {"Namespace": "team"}),
    ("/ap/part/ns/default/dc/dc1/svc/web", "web", {"Partition": "part"}),
    ("/ap/part/ns/team/dc/dc9/svc/api-2.x_y", "api-2.x_y", {"Namespace": "team", "Partition": "part"}),
])
def test_the_target_is_the_own_leafs(programs, fake, path, service, scope):
    """Service, namespace and partition of the certificate that the server shows."""
    own = fake.authority.issue([f"spiffe://{TRUST_DOMAIN}{path}"]).files(programs.folder, "own")
    server = programs.server(*own, config=programs.config(fake))
    question = asked(programs, fake, server, fake.authority.service("friend")).json
    assert question["Target"] == service
    assert {name: question.get(name) for name in scope} == scope
    assert set(question) == {"Target", "ClientCertURI", "ClientCertSerial", *scope}


@pytest.mark.parametrize("uri", [
    f"spiffe://{TRUST_DOMAIN}/ap/part/ns/team/dc/dc2/svc/friend",
    f"spiffe://{TRUST_DOMAIN.upper()}/ns/default/dc/dc1/svc/friend",
    f"spiffe://{TRUST_DOMAIN}/ns/default/dc/dc1/svc/Friend_2.x",
])
def test_the_peers_uri_is_handed_on(programs, fake, uri):
    """It goes as it stands in the certificate: its meaning to Consul is the agent's matter."""
    server = programs.connect_server("web", config=programs.config(fake))
    question = asked(programs, fake, server, fake.authority.issue([uri])).json
    assert question["ClientCertURI"] == uri


def test_a_client_asks_nobody(programs, fake, version):
    """It has chosen its server; it looks at the roots alone."""
    server = programs.server(*fake.authority.service("web").files(programs.folder, "server"))
    leaf = fake.authority.service("client").files(programs.folder, "client")
    assert programs.talk(server, version, *leaf, config=programs.config(fake)).talked
    assert {request.path for request in fake.requests} == {ROOTS}
