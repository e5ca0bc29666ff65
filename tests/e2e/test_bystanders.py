# SPDX-License-Identifier: Apache-2.0
"""TLS that is not Connect's is left alone by a provider in the same process."""

import pytest

from ca import Authority, Identity, rsa_key, self_signed, service_uri
from programs import TLS12, TLS13, VERSIONS


@pytest.fixture(params=VERSIONS, ids=lambda option: option.lstrip("-"))
def version(request):
    return request.param


@pytest.fixture
def public(programs):
    """A certificate like those on the public Internet: RSA, a DNS name, no URI."""
    return Authority("public.example").issue([], dns=["public.example"], key=rsa_key()).files(
        programs.folder, "public")


def test_a_public_server_serves_anyone(programs, fake, public, version):
    """The agent is not asked."""
    server = programs.server(*public, config=programs.config(fake))
    outcome = programs.talk(server, version)
    assert outcome.talked, outcome
    assert fake.requests == []


def test_a_public_server_asks_no_certificate(programs, fake, public, version):
    server = programs.server(*public, config=programs.config(fake))
    outcome = programs.talk(server, version, *fake.authority.service("web").files(programs.folder, "web"))
    assert outcome.talked
    assert "Client certificate" not in outcome.server


def test_a_public_server_resumes(programs, fake, public, version):
    session = programs.path("session")
    server = programs.server(*public, config=programs.config(fake))
    assert programs.talk(server, version, "-sess_out", session).talked
    outcome = programs.talk(server, version, "-sess_in", session)
    assert outcome.talked and outcome.reused, outcome


def test_a_public_server_keeps_its_own_rules(programs, fake, public, version):
    """-Verify with the application's own authority decides, as it did before."""
    own = Authority("own.example", "Own Root")
    root = programs.write("own.pem", own.pem)
    server = programs.server(
        *public, "-Verify", "3", "-verify_return_error", "-CAfile", root, config=programs.config(fake))
    friend = own.issue([], subject="friend").files(programs.folder, "friend")
    assert programs.talk(server, version, *friend).talked
    stranger = self_signed().files(programs.folder, "stranger")
    assert programs.talk(server, version, *stranger).refused
    assert fake.requests == []


def test_a_public_server_keeps_its_pre_shared_keys(programs, fake, public):
    psk = ["-psk", "0123456789abcdef"]
    server = programs.server(*public, *psk, config=programs.config(fake))
    assert programs.talk(server, TLS13, *psk).talked
    assert programs.talk(server, TLS12, "-cipher", "PSK", *psk).talked


def test_a_public_server_keeps_early_data(programs, fake, public):
    early, session = programs.write("early", "early words\n"), programs.path("session")
    server = programs.server(
        *public, TLS13, "-early_data", "-no_anti_replay", config=programs.config(fake))
    assert programs.talk(server, TLS13, "-sess_out", session).talked
    outcome = programs.talk(server, TLS13, "-sess_in", session, "-early_data", early)
    assert "early words" in outcome.server


def test_a_client_without_a_leaf_talks_to_anyone(programs, fake, public, version):
    server = programs.server(*public)
    outcome = programs.talk(server, version, config=programs.config(fake))
    assert outcome.talked, outcome
    assert fake.requests == []


def test_a_client_without_a_leaf_may_talk_to_a_service(programs, fake, version):
    """Its own rules count, even if the server's certificate is from Connect."""
    server = programs.server(*fake.authority.service("web").files(programs.folder, "web"))
    assert programs.talk(server, version, config=programs.config(fake)).talked


def test_a_client_without_a_leaf_resumes(programs, fake, public, version):
    server, config = programs.server(*public), programs.config(fake)
    session = programs.path("session")
    assert programs.talk(server, version, "-sess_out", session, config=config).talked
    assert programs.talk(server, version, "-sess_in", session, config=config).reused


def test_a_client_without_a_leaf_verifies_by_its_own_rules(programs, fake, version):
    own = Authority("own.example", "Own Root")
    root = programs.write("own.pem", own.pem)
    server = programs.server(*own.issue([], dns=["own.example"]).files(programs.folder, "own"))
    config = programs.config(fake)
    strict = ["-verify_return_error", "-verify_hostname", "own.example"]
    assert programs.talk(server, version, *strict, "-CAfile", root, config=config).talked
    assert programs.talk(server, version, *strict, config=config).silent


def test_an_application_may_trust_the_roots_by_itself(programs, agent, service, version):
    """-CAstore consul:roots, for a client that is no Connect endpoint."""
    config = programs.config(agent)
    strict = ["-CAstore", "consul:roots", "-verify_return_error"]
    server = programs.server(*agent.leaf(service).files(programs.folder, "leaf"))
    assert programs.talk(server, version, *strict, config=config).talked
    impostor = Authority(agent.trust_domain).service(service).files(programs.folder, "impostor")
    assert programs.talk(programs.server(*impostor), version, *strict, config=config).silent


@pytest.mark.parametrize("uri", [
    "https://public.example/", "spiffe://public.example/ns/default/dc/dc1", "spiffe://public.example/",
])
def test_other_uris_make_no_connect_endpoint(programs, fake, version, uri):
    identity: Identity = self_signed([uri]).files(programs.folder, "other")
    server = programs.server(*identity, config=programs.config(fake))
    assert programs.talk(server, version).talked
    assert fake.requests == []


def test_any_service_leaf_makes_a_connect_endpoint(programs, fake, version):
    """The control: with a service's URI the same certificate is governed."""
    identity = self_signed([service_uri("public.example", "web")]).files(programs.folder, "web")
    server = programs.server(*identity, config=programs.config(fake))
    assert programs.talk(server, version).refused


def test_programs_start_while_the_agent_is_away(programs, fake):
    """Loading the provider asks the agent nothing, and needs none."""
    config = programs.config(fake)
    fake.stop()
    result = programs.openssl("rand", "-hex", "8", config=config)
    assert result.code == 0 and result.stderr == ""
    result = programs.openssl("list", "-providers", config=config)
    assert result.code == 0 and "consul" in result.stdout
