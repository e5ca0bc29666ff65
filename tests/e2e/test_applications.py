# SPDX-License-Identifier: Apache-2.0
"""Unmodified servers are Connect services by configuration alone, for clients of all kinds.

The client is a neutral one: s_client without the provider, which presents a test's own certificate.
"""

import os
import re
import socket
from contextlib import suppress

import pytest

import applications
import endpoints
from ca import Authority
from conftest import programs_in
from programs import VERSIONS

pytestmark = pytest.mark.applications


@pytest.fixture(scope="module", params=endpoints.parameters(applications.servers()))
def application(request):
    return request.param


@pytest.fixture(scope="module")
def shared(application, open_folders, module):
    """Programs for all tests of one application."""
    with programs_in(open_folders(applications.short_name(application)), module) as one:
        yield one


@pytest.fixture(scope="module", params=endpoints.IDENTITIES)
def server(request, application, shared, agent):
    """The application as a service; it runs through all that the tests do to it."""
    service = f"{applications.short_name(application)}-{request.param}".replace("_", "-")
    return endpoints.start(application, shared, agent, request.param, service)


@pytest.fixture(scope="module")
def plain(application, shared):
    """The same without the provider."""
    return endpoints.start_plain(application, shared)


@pytest.fixture(params=VERSIONS, ids=lambda option: option.lstrip("-"))
def version(request):
    return request.param


@pytest.fixture
def peer(server, agent, service):
    """A client with a name of its own, and the options by which s_client is it."""
    identity = agent.leaf(service)
    return service, identity.files(server.programs.folder, service)


def refused(server, pattern, *arguments):
    """Check that this client is not served, and that the log says why."""
    mark = server.log.size()
    answered = server.ask(*arguments)
    assert not answered.served, answered
    server.log.wait_for(pattern, mark)
    return answered


def denied(server, source, *arguments):
    pattern = f'client refused: "spiffe://[^"]*/svc/{source}" may not connect to "{server.service}": .*DENY'
    return refused(server, pattern, *arguments)


def test_who_is_allowed_is_served(server, agent, peer, version):
    """An allowed client gets the live leaf, and not the certificate of the configuration."""
    source, leaf = peer
    agent.allow(source, server.service)
    answered = server.ask(version, *leaf)
    assert answered.served and answered.certificate == agent.leaf(server.service).certificate, answered


def test_a_flip_counts_from_the_next_connection(server, agent, peer, version):
    source, leaf = peer
    for _ in range(2):
        agent.deny(source, server.service)
        denied(server, source, version, *leaf)
        agent.allow(source, server.service)
        answered = server.ask(version, *leaf)
        assert answered.served, answered


def test_nobody_comes_without_a_certificate(server, version):
    refused(server, "client refused", version)


def test_nobody_comes_from_another_authority(server, agent, service, version):
    """A client of the same trust domain is refused, under a root that Consul does not list."""
    foreign = Authority(agent.trust_domain).service(service)
    refused(server, "client refused", version, *foreign.files(server.programs.folder, service))


def test_no_session_is_resumed(server, agent, peer, version):
    """An allowed client does not resume one, and a denied client does not get in by one."""
    source, leaf = peer
    session = server.programs.path("session")
    agent.allow(source, server.service)
    assert server.ask(version, *leaf, "-sess_out", session).served
    resume = ["-sess_in", session] if session.exists() else []
    answered = server.ask(version, *leaf, *resume)
    assert answered.served and not answered.reused, answered
    agent.deny(source, server.service)
    assert not denied(server, source, version, *leaf, *resume).reused
    assert not refused(server, "client refused", version, *resume).reused


def test_a_session_from_elsewhere_is_no_way_in(server, plain, agent, peer, version):
    """A session from a host without the provider is refused, even with the same ticket key."""
    source, leaf = peer
    session = server.programs.path("session")
    assert plain.ask(version, "-sess_out", session).served
    assert session.exists() or not getattr(server.module, "RESUMES", True)
    resume = ["-sess_in", session] if session.exists() else []
    agent.deny(source, server.service)
    assert not denied(server, source, version, *leaf, *resume).reused
    assert not refused(server, "client refused", version, *resume).reused


def test_it_stays_so_when_it_reads_its_configuration_again(server, agent, peer, version):
    if not hasattr(server.module, "RELOAD"):
        pytest.skip("reads it at its start only")
    source, leaf = peer
    agent.deny(source, server.service)
    number, done = server.module.RELOAD
    mark = server.process.size()
    os.kill(server.process.child.pid, number)
    server.process.wait_for(done, mark)
    denied(server, source, version, *leaf)
    refused(server, "client refused", version)
    agent.allow(source, server.service)
    answered = server.ask(version, *leaf)
    assert answered.served, answered


def test_without_the_provider_anybody_is_served(plain, version):
    """The control: the server asks for nothing, and resumes."""
    session = plain.programs.path("session")
    assert plain.ask(version, "-sess_out", session).served
    resume = ["-sess_in", session] if session.exists() else []
    answered = plain.ask(version, *resume)
    assert answered.served and answered.reused == getattr(plain.module, "RESUMES", True), answered


def test_with_a_stand_in_it_does_not_start_without_the_provider(application, shared):
    """It would serve unknown clients otherwise."""
    if getattr(application, "SHUT", False):
        certificate, key = endpoints.stand_in_files(shared, "web")
        server = endpoints.Endpoint(application, shared, application.start(shared, None, certificate, key))
        answered = server.ask()
        assert not answered.served, answered
        with socket.create_connection(("127.0.0.1", server.process.port), 30) as plain:
            plain.sendall(application.REQUEST)
            with suppress(ConnectionResetError):
                assert not re.search(application.ANSWER, plain.makefile("rb").read().decode())
        return
    with pytest.raises(AssertionError, match="ended with"):
        application.start(shared, None, *endpoints.stand_in_files(shared, "web"))
