# SPDX-License-Identifier: Apache-2.0
"""Stand-in certificates: one process with several services, and programs that take only files."""

import sys

import pytest

import nginx
import stand_ins
from agent import free_ports
from ca import self_signed
from programs import VERSIONS

pytestmark = pytest.mark.faults

GET = b"GET / HTTP/1.0\r\n\r\n"
TEXTS = ["from-one", "from-two", "from-public"]


def files(programs, identity, name):
    _, certificate, _, key, *_ = identity.files(programs.folder, name)
    return certificate, key


def fetch(programs, port, *options):
    """Return the answer to s_client; `options` may hold its certificate."""
    return programs.openssl(
        "s_client", "-connect", f"127.0.0.1:{port}", "-ign_eof", *options, stdin=GET)


@pytest.fixture(params=VERSIONS, ids=lambda option: option.lstrip("-"))
def version(request):
    return request.param


def test_two_services_and_public_tls_in_one_nginx(programs, agent, service, version):
    """Three ports: each stand-in governs its own listener, and the third is left alone."""
    one, two = f"one-{service}", f"two-{service}"
    public = files(programs, self_signed(dns=["localhost"]), "public")
    identities = [stand_ins.make(programs, f"consul:leaf/{name}") for name in (one, two)] + [public]
    server = nginx.start_each(programs, identities, TEXTS, programs.config(agent))
    agent.allow("only-one", one)
    agent.deny("only-one", two)
    leaf = agent.leaf("only-one").files(programs.folder, "only-one")
    for port, text in zip(server.ports, (TEXTS[0], None, TEXTS[2])):
        result = fetch(programs, port, version, *leaf)
        assert [word for word in TEXTS if word in result.stdout] == ([text] if text else [])
        anybody = fetch(programs, port, version)
        assert [word for word in TEXTS if word in anybody.stdout] == ([text] if text == TEXTS[2] else [])
    server.wait_for(f'/svc/only-one" may not connect to "{two}"')
    agent.allow("only-one", two)
    assert TEXTS[1] in fetch(programs, server.ports[1], version, *leaf).stdout
    shown = fetch(programs, server.ports[2], version, "-CAfile", public[0], "-verify_return_error")
    assert "Verify return code: 0" in shown.stdout


@pytest.mark.parametrize("uri", ["consul:leaf/{}", "consul://leaf/{}", "consul:leaf/{}?dc=dc1"])
def test_the_leaf_takes_its_place(programs, agent, service, uri, version):
    certificate, key = stand_ins.make(programs, uri.format(service))
    server = programs.server("-cert", certificate, "-key", key, config=programs.config(agent))
    outcome = programs.talk(server, version, *agent.leaf("friend").files(programs.folder, "friend"))
    assert outcome.talked
    presented = programs.folder / "presented.pem"
    text = outcome.client
    begin, end = "-----BEGIN CERTIFICATE-----", "-----END CERTIFICATE-----"
    presented.write_text(text[text.index(begin):text.index(end) + len(end)])
    shown = programs.openssl("x509", "-in", presented, "-noout", "-ext", "subjectAltName").stdout
    assert shown.strip().endswith(f"/svc/{service}") and "consul:leaf" not in shown


def test_it_wins_over_the_configured_service(programs, agent, service):
    config = programs.config(agent, service=f"other-{service}")
    certificate, key = stand_ins.make(programs, f"consul:leaf/{service}")
    server = programs.server("-cert", certificate, "-key", key, config=config)
    agent.deny("friend", service)
    agent.allow("friend", f"other-{service}")
    outcome = programs.talk(server, *agent.leaf("friend").files(programs.folder, "friend"))
    assert outcome.refused and f'may not connect to "{service}"' in outcome.server


def test_without_a_name_it_is_the_configured_service(programs, agent, service):
    certificate, key = stand_ins.make(programs, "consul:leaf")
    friend = agent.leaf("friend").files(programs.folder, "friend")
    server = programs.server(
        "-cert", certificate, "-key", key, config=programs.config(agent, service=service, inbound="off"))
    assert programs.talk(server, *friend).talked
    assert programs.talk(server).refused
    nobody = programs.server("-cert", certificate, "-key", key, config=programs.config(agent))
    outcome = programs.talk(nobody, *friend)
    assert outcome.refused and "setting service is not set" in outcome.server


@pytest.mark.parametrize("uri", ["consul:roots", "consul:leef/web", "consul:leaf/a/b"])
def test_one_that_names_no_leaf_is_refused(programs, agent, uri):
    """Such a certificate was meant for us: it is not served as it is."""
    identity = self_signed([uri])
    server = programs.server(
        *identity.files(programs.folder, "wrong"), config=programs.config(agent, service="web"))
    outcome = programs.talk(server, *agent.leaf("friend").files(programs.folder, "friend"))
    assert outcome.refused and "the stand-in certificate does not say of what" in outcome.server


def test_one_that_names_nothing_is_refused(programs, agent):
    """Without the name it is a certificate with a key that every attacker knows."""
    config, key = programs.config(agent), stand_ins.key_file(programs)
    made = programs.openssl(
        "req", "-x509", "-new", "-key", key, "-subj", "/CN=web", "-out", "nameless.pem", config=config)
    assert made.code == 0, made
    server = programs.server("-cert", "nameless.pem", "-key", key, config=config)
    outcome = programs.talk(server)
    assert outcome.refused and "the stand-in certificate does not say of what" in outcome.server


def test_one_with_an_ordinary_key(programs, agent, service, version):
    """A stand-in may also have a key of its own, even of another type than the leaf's."""
    made = programs.openssl(
        "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-subj", "/CN=stand-in", "-keyout", "own.key",
        "-addext", f"subjectAltName=URI:consul:leaf/{service}", "-out", "own.pem")
    assert made.code == 0
    server = programs.server("-cert", "own.pem", "-key", "own.key", config=programs.config(agent))
    assert programs.talk(server, version).refused
    friend = agent.leaf("friend").files(programs.folder, "friend")
    assert programs.talk(server, version, *friend).talked
    rsa = programs.talk(server, version, *friend, "-sigalgs", "rsa_pss_rsae_sha256")
    assert rsa.refused  # the RSA stand-in is not there to be chosen


def test_clients_have_them_too(programs, agent, service, version):
    """A client with a stand-in has the identity of its service, and demands Connect of its server."""
    certificate, key = stand_ins.make(programs, f"consul:leaf/{service}")
    own = ["-cert", certificate, "-key", key]
    server = programs.connect_server(f"server-{service}", config=programs.config(agent))
    config = programs.config(agent)
    assert programs.talk(server, version, *own, config=config).talked
    agent.deny(service, f"server-{service}")
    assert programs.talk(server, version, *own, config=config).refused
    ordinary = programs.server(*self_signed().files(programs.folder, "ordinary"))
    assert programs.talk(ordinary, version, *own, config=config).silent


def test_without_the_provider_nobody_can_read_its_key(programs, service):
    """A program that would serve the stand-in itself does not start."""
    certificate, key = stand_ins.make(programs, f"consul:leaf/{service}")
    result = programs.openssl("pkey", "-in", key, "-noout")
    assert result.code != 0
    folder = programs.path("nginx")
    folder.mkdir()
    file = nginx.write(folder, free_ports(1), [(certificate, key)], ["text"])
    test = [nginx.binary(), "-t", "-e", "stderr", "-c", file]
    result = programs.run(test)
    assert result.code != 0 and "cannot load certificate key" in result.stderr, result
    assert programs.run(test, programs.config("127.0.0.1:1"), programs.leaks_allowed()).code == 0


def test_a_whole_pem_file_in_either_order(programs, agent, service):
    """HAProxy's way: certificate and key in one file."""
    certificate, key = stand_ins.make(programs, f"consul:leaf/{service}")
    config = programs.config(agent)
    for parts in ((certificate, key), (key, certificate)):
        both = programs.write("both.pem", "".join(part.read_text() for part in parts))
        assert programs.openssl("pkey", "-in", both, "-noout", config=config).code == 0
        script = "import ssl, sys; ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER).load_cert_chain(sys.argv[1])"
        result = programs.run([sys.executable, "-c", script, both], config, programs.leaks_allowed())
        assert result.code == 0, result


@pytest.mark.core
def test_a_key_that_is_said_to_be_pem(programs, agent, service):
    """OSSL_STORE asks for other decoders then."""
    _, key = stand_ins.make(programs, f"consul:leaf/{service}")
    for more in ((), ("-inform", "PEM")):
        result = programs.openssl("pkey", "-in", key, *more, "-text", "-noout", config=programs.config(agent))
        assert result.code == 0 and "prime256v1" in result.stdout, result


@pytest.mark.parametrize("part, other", [("YWY=", "YWc="), ("Y29uc3VsOmxlYWY=", ""), ("aYHQ", "aYHR"), ("MCcC", "MCgC")])
def test_a_damaged_key_is_no_key(programs, part, other):
    assert part in stand_ins.KEY
    key = programs.write("stand-in.key", stand_ins.KEY.replace(part, other))
    result = programs.openssl("pkey", "-in", key, "-noout", config=programs.config("127.0.0.1:1"))
    assert result.code != 0 and "Could not" in result.stderr, result
