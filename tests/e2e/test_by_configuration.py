# SPDX-License-Identifier: Apache-2.0
"""Programs that know nothing of Connect are Connect endpoints by `service = ...` alone."""

import os
import sys
from pathlib import Path

import pytest

import nginx
from ca import Authority, self_signed
from programs import VERSIONS

pytestmark = pytest.mark.core

TEXT = "from-nginx"


@pytest.fixture
def dummy(programs):
    """The certificate and key that an application's own configuration demands. No peer trusts it."""
    _, certificate, _, key, *_ = self_signed().files(programs.folder, "dummy")
    return certificate, key


@pytest.fixture
def web(programs, agent, service, dummy):
    return nginx.start(programs, *dummy, [TEXT], programs.config(agent, service=service))


def curl(programs, server, highest, config=None, *options):
    url = f"https://127.0.0.1:{server.ports[0]}/"
    versions = ["--tlsv1.2", "--tls-max", highest.removeprefix("TLSv").replace("_", ".")]
    return programs.run(
        ["curl", "--silent", "--show-error", "--insecure", *versions, *options, url], config,
        programs.leaks_allowed())


def python(programs, server, highest, config=None):
    script = Path(__file__).with_name("tls_client.py")
    return programs.run(
        [sys.executable, script, server.ports[0], "", "trust", highest, "", 1], config,
        programs.leaks_allowed())


# curl does not start where the address sanitizer is preloaded, with or without us.
CLIENTS = [python] if os.environ.get("CONSUL_PROVIDER_PRELOAD") else [python, curl]


@pytest.mark.parametrize("highest", ["TLSv1_2", "TLSv1_3"])
@pytest.mark.parametrize("fetch", CLIENTS)
def test_nginx_serves_whom_the_agent_allows(programs, agent, service, web, fetch, highest):
    """Unmodified clients of an unmodified nginx, allowed, denied and allowed again as it runs."""
    source = f"friend-{service}"
    config = programs.config(agent, service=source)
    for _ in range(2):
        agent.allow(source, service)
        assert TEXT in fetch(programs, web, highest, config).stdout
        agent.deny(source, service)
        mark = web.size()
        result = fetch(programs, web, highest, config)
        assert TEXT not in result.stdout and result.code != 0, result
        web.wait_for(f'client refused: "[^"]*/svc/{source}" may not connect to "{service}": .*DENY', mark)


def test_nginx_refuses_strangers(programs, agent, service, web):
    assert TEXT not in curl(programs, web, "TLSv1_3").output
    foreign = Authority(agent.trust_domain).service("friend")
    _, certificate, _, key, *_ = foreign.files(programs.folder, "foreign")
    assert TEXT not in curl(programs, web, "TLSv1_3", None, "--cert", certificate, "--key", key).output
    own = agent.leaf(f"friend-{service}")  # the control: the same way with a leaf of this mesh
    _, certificate, _, key, *_ = own.files(programs.folder, "own")
    assert TEXT in curl(programs, web, "TLSv1_3", None, "--cert", certificate, "--key", key).output


def test_nginx_refuses_everybody_when_the_agent_is_gone(programs, make_agent, service, dummy):
    own = make_agent()
    own.wait_for_roots()
    server = nginx.start(programs, *dummy, [TEXT], programs.config(own, service=service))
    config = programs.config(own, service="friend")
    assert TEXT in python(programs, server, "TLSv1_3", config).stdout
    _, certificate, _, key, *_ = own.leaf("friend").files(programs.folder, "friend")
    own.stop()
    assert TEXT not in curl(programs, server, "TLSv1_3", None, "--cert", certificate, "--key", key).output


@pytest.mark.parametrize("options", [
    "ssl_session_cache shared:one:1m;",
    "ssl_session_cache builtin;",
    "ssl_session_tickets on;",
    "ssl_early_data on;",
    "ssl_verify_client off;",
    "ssl_verify_client optional_no_ca;",
], ids=lambda text: text.strip(";"))
@pytest.mark.parametrize("version", VERSIONS)
def test_what_nginx_sets_changes_nothing(programs, agent, service, dummy, version, options):
    """Sessions and verification of its own: no resumption, and no way around the agent."""
    server = nginx.start(
        programs, *dummy, [TEXT], programs.config(agent, service=service), options)
    source = f"friend-{service}"
    leaf = agent.leaf(source).files(programs.folder, "friend")
    session = programs.folder / "session"
    request = b"GET / HTTP/1.0\r\n\r\n"
    connect = ["s_client", "-connect", f"127.0.0.1:{server.ports[0]}", version, "-ign_eof", *leaf]
    first = programs.openssl(*connect, "-sess_out", session, stdin=request)
    assert TEXT in first.stdout
    again = ["-sess_in", session] if session.exists() else []  # none was offered in TLS 1.3
    second = programs.openssl(*connect, *again, stdin=request)
    assert TEXT in second.stdout and "Reused" not in second.stdout
    agent.deny(source, service)
    assert TEXT not in programs.openssl(*connect, *again, stdin=request).stdout
    assert TEXT not in programs.openssl(*connect[:-len(leaf)], *again, stdin=request).stdout


def test_early_data_from_elsewhere_is_not_read(programs, agent, service, dummy):
    """A denied client resumes a session from a host without the provider, with the same ticket key."""
    ticket_key = programs.path("ticket.key")
    ticket_key.write_bytes(bytes(range(80)))
    options = f"ssl_early_data on; ssl_session_ticket_key {ticket_key};"
    source, session, request = f"foe-{service}", programs.path("session"), programs.path("request")
    leaf = agent.leaf(source).files(programs.folder, "foe")
    request.write_text("GET / HTTP/1.0\r\n\r\n")
    agent.deny(source, service)
    for config in (None, programs.config(agent, service=service)):  # the former is the control
        plain = nginx.start(programs, *dummy, [TEXT], None, options)
        server = nginx.start(programs, *dummy, [TEXT], config, options)
        connect = ["s_client", "-tls1_3", "-ign_eof", *leaf, "-connect"]
        first = programs.openssl(
            *connect, f"127.0.0.1:{plain.ports[0]}", "-sess_out", session, stdin=request.read_bytes())
        assert TEXT in first.stdout and session.exists()
        second = programs.openssl(
            *connect, f"127.0.0.1:{server.ports[0]}", "-sess_in", session, "-early_data", request)
        assert ("Early data was accepted" in second.stdout) == (config is None), second
        assert (TEXT in second.stdout) == (config is None), second


def test_inbound_off_leaves_servers_alone(programs, agent, service, dummy):
    server = nginx.start(
        programs, *dummy, [TEXT], programs.config(agent, service=service, inbound="off"))
    assert curl(programs, server, "TLSv1_3").stdout == TEXT


def test_a_certificate_of_its_own_says_who_a_server_is(programs, agent, service):
    """`service` names the process; a context that was given another leaf is that service."""
    agent.deny("friend", f"own-{service}")
    server = programs.connect_server(f"own-{service}", config=programs.config(agent, service=service))
    outcome = programs.talk(server, *agent.leaf("friend").files(programs.folder, "friend"))
    assert outcome.refused and f'connect to "own-{service}"' in outcome.server


def test_a_name_that_selects_a_leaf_selects_its_service(programs, agent, service, dummy):
    """SNI switches from the configured service to a context with a leaf of its own, and back."""
    agent.deny("friend", f"own-{service}")
    uri = f"consul:leaf/own-{service}"
    server = programs.server(
        "-cert", dummy[0], "-key", dummy[1], "-servername", "own.example", "-cert2", uri, "-key2", uri,
        config=programs.config(agent, service=service))
    friend = agent.leaf("friend").files(programs.folder, "friend")
    for version in VERSIONS:
        assert programs.talk(server, version, "-servername", "web.example", *friend).talked
        outcome = programs.talk(server, version, "-servername", "own.example", *friend)
        assert outcome.refused and f'connect to "own-{service}"' in outcome.server, outcome
