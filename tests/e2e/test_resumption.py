# SPDX-License-Identifier: Apache-2.0
"""A connection that Connect decided about is never resumed: each gets a decision of its own."""

import re

import pytest

from programs import TLS12, VERSIONS

pytestmark = pytest.mark.faults

SERVER_OPTIONS = [
    [], ["-no_ticket"], ["-no_cache"], ["-ext_cache"], ["-num_tickets", "4"], ["-id_prefix", "prefix"],
    ["-msg"], ["-security_debug"], ["-msg", "-security_debug"], ["-verify", "1"],
]


@pytest.fixture(params=VERSIONS, ids=lambda option: option.lstrip("-"))
def version(request):
    return request.param


@pytest.mark.parametrize("options", SERVER_OPTIONS, ids=" ".join)
def test_an_old_session_is_no_way_in(programs, agent, service, version, options):
    """While allowed, a quiet full handshake; denied in between, refused."""
    source = f"fickle-{service}"
    agent.allow(source, service)
    leaf = agent.leaf(source).files(programs.folder, "client")
    session = programs.path("session")
    server = programs.connect_server(service, *options, config=programs.config(agent))
    assert programs.talk(server, version, *leaf, "-sess_out", session).talked
    resume = ["-sess_in", session] if session.exists() else []
    outcome = programs.talk(server, version, *leaf, *resume)
    assert outcome.talked and not outcome.reused, outcome
    agent.deny(source, service)
    outcome = programs.talk(server, version, *leaf, *resume)
    assert outcome.refused, outcome
    outcome = programs.talk(server, version, *resume)  # without its certificate
    assert outcome.refused, outcome


@pytest.mark.parametrize("options", SERVER_OPTIONS, ids=" ".join)
def test_reconnecting_is_a_full_handshake(programs, agent, service, options):
    """s_client -reconnect tries its session five times."""
    leaf = agent.leaf(f"friend-{service}").files(programs.folder, "client")
    server = programs.connect_server(service, *options, config=programs.config(agent))
    result = programs.openssl(
        "s_client", "-connect", f"127.0.0.1:{server.port}", TLS12, "-reconnect", *leaf, stdin=b"Q\n")
    assert re.findall(r"^(New|Reused), (TLSv1\.2)", result.output, re.M) == 6 * [("New", "TLSv1.2")]


def test_reconnecting_resumes_without_the_provider(programs, agent, service):
    """The control for the test above."""
    leaf = agent.leaf(service).files(programs.folder, "server")
    server = programs.server(*leaf)
    result = programs.openssl(
        "s_client", "-connect", f"127.0.0.1:{server.port}", TLS12, "-reconnect", stdin=b"Q\n")
    assert re.findall(r"^(New|Reused), TLSv1\.2", result.output, re.M) == ["New"] + 5 * ["Reused"]


def test_a_client_does_not_resume(programs, agent, service, version):
    """A session that a plain client got from the server is not used by a governed one."""
    leaf = agent.leaf("web").files(programs.folder, "server")
    server = programs.server(*leaf)
    session = programs.path("session")
    assert programs.talk(server, version, "-sess_out", session).talked
    assert programs.talk(server, version, "-sess_in", session).reused  # the control
    uri, config = f"consul:leaf/{service}", programs.config(agent)
    outcome = programs.talk(
        server, version, "-cert", uri, "-key", uri, "-sess_in", session, config=config)
    assert outcome.talked and not outcome.reused, outcome


def test_a_clients_own_session_is_not_resumed(programs, agent, service, version):
    leaf = agent.leaf("web").files(programs.folder, "server")
    server = programs.server(*leaf)
    session = programs.path("session")
    uri, config = f"consul:leaf/{service}", programs.config(agent)
    client = ["-cert", uri, "-key", uri]
    assert programs.talk(server, version, *client, "-sess_out", session, config=config).talked
    resume = ["-sess_in", session] if session.exists() else []
    outcome = programs.talk(server, version, *client, *resume, config=config)
    assert outcome.talked and not outcome.reused, outcome


def test_a_reconnecting_client_does_full_handshakes(programs, agent, service):
    leaf = agent.leaf("web").files(programs.folder, "server")
    server = programs.server(*leaf)
    uri = f"consul:leaf/{service}"
    result = programs.openssl(
        "s_client", "-connect", f"127.0.0.1:{server.port}", TLS12, "-reconnect",
        "-cert", uri, "-key", uri, config=programs.config(agent), stdin=b"Q\n")
    assert re.findall(r"^(New|Reused), (TLSv1\.2)", result.output, re.M) == 6 * [("New", "TLSv1.2")]
