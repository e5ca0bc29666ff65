# SPDX-License-Identifier: Apache-2.0
"""Real agents that say no: ACLs, and Connect disabled. The agent's own words are shown, secrets are not."""

import pytest

from programs import SLACK, TLS13, VERSIONS

pytestmark = pytest.mark.consul

WRONG_TOKEN = "deadbeef-0000-4000-8000-00000badc0de"


@pytest.fixture
def token(guarded, service):
    """A token for this test's service, and for nothing else."""
    return guarded.make_token(service, f'service "{service}" {{ policy = "write" }}')


def refused(result, *words):
    assert result.code != 0, result
    assert len(result.reasons) == 1, result.stderr
    for word in words:
        assert word in result.reasons[0], result.stderr
    assert result.elapsed < SLACK


def test_the_right_token(programs, guarded, service, token):
    config = programs.config(guarded, token=token)
    assert programs.storeutl(f"consul:leaf/{service}", "-noout", config=config).code == 0


def test_a_wrong_token(programs, guarded, service):
    """The error has 403 and the agent's words, and not the token."""
    result = programs.storeutl(f"consul:leaf/{service}", config=programs.config(guarded, token=WRONG_TOKEN))
    refused(result, f"consul:leaf/{service}", guarded.address, "403", "ACL not found")
    assert WRONG_TOKEN not in result.output


def test_a_token_for_another_service(programs, guarded, service, token):
    result = programs.storeutl(f"consul:leaf/not-{service}", config=programs.config(guarded, token=token))
    refused(result, "403", "Permission denied")
    assert token not in result.output


def test_no_token(programs, guarded, service):
    result = programs.storeutl(f"consul:leaf/{service}", config=programs.config(guarded))
    refused(result, "403", "Permission denied")


def test_roots_need_no_token(programs, guarded):
    assert programs.storeutl("consul:roots", "-noout", config=programs.config(guarded)).code == 0


@pytest.mark.parametrize("version", VERSIONS, ids=lambda option: option.lstrip("-"))
def test_default_deny(programs, guarded, service, token, version):
    """A client without an intention stays out until one allows it."""
    server = programs.connect_server(service, config=programs.config(guarded, token=token))
    source = f"client-{service}"
    client = guarded.leaf(source).files(programs.folder, "client")
    outcome = programs.talk(server, version, *client)
    assert outcome.refused and outcome.alert == 42, outcome
    guarded.allow(source, service)
    assert programs.talk(server, version, *client).talked


def test_a_revoked_token_lets_nobody_in(programs, guarded, service, token):
    """The server started with a good token; the next authorize is refused by the agent."""
    file = programs.write("token", token)
    server = programs.connect_server(service, config=programs.config(guarded, token_file=file))
    source = f"client-{service}"
    guarded.allow(source, service)
    client = guarded.leaf(source).files(programs.folder, "client")
    assert programs.talk(server, TLS13, *client).talked
    file.write_text(WRONG_TOKEN)
    outcome = programs.talk(server, TLS13, *client)
    assert outcome.refused and outcome.alert == 80, outcome
    assert "403" in outcome.server and "ACL not found" in outcome.server
    assert WRONG_TOKEN not in outcome.server
    file.write_text(token)
    assert programs.talk(server, TLS13, *client).talked


@pytest.mark.parametrize("uri", ["consul:leaf/web", "consul:roots"])
def test_connect_disabled(programs, make_agent, uri):
    agent = make_agent(connect={"enabled": False})
    result = programs.storeutl(uri, config=programs.config(agent))
    refused(result, uri, agent.address, "500", "Connect must be enabled in order to use this endpoint")


def test_secrets_stay_secret(programs, fake, token):
    """The errors of a store and of a handshake do not show them. s_server's own debugging does not, either."""
    fake_settings = {"token": token, "http_auth": f"user:word-{WRONG_TOKEN}"}
    config = programs.config(fake, **fake_settings)
    key_words = ["PRIVATE KEY", fake.leaf()["PrivateKeyPEM"].splitlines()[1], token, WRONG_TOKEN]
    server = programs.connect_server("web", "-state", "-msg", config=config)
    friend = fake.authority.service("friend").files(programs.folder, "friend")
    fake.stop()
    output = programs.storeutl("consul:leaf/web", config=config).output
    output += programs.talk(server, TLS13, *friend).server
    output += programs.openssl("list", "-providers", "-verbose", config=config).output
    for secret in key_words:
        assert secret not in output
