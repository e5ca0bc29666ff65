# SPDX-License-Identifier: Apache-2.0
"""Envoys and native programs at an agent with default deny: each has a token of its service alone."""

import re

import pytest

from agent import Agent
from envoy import register_native
from envoy_peers import CLIENTS, DENIED, NATIVE, client_of, say
from processes import wait_until
from programs import TLS13
from tls_agent import TlsAgent

AGENTS = {"HTTP": Agent, "TLS": TlsAgent}

pytestmark = [pytest.mark.consul, pytest.mark.usefixtures("envoys")]


@pytest.fixture(scope="module", params=AGENTS)
def agent(request, tmp_path_factory):
    """An agent with ACLs and default deny, reached by plain HTTP and gRPC or by TLS alone."""
    one = AGENTS[request.param](tmp_path_factory.mktemp("agent"), acl={"enabled": True, "default_policy": "deny"})
    try:
        one.wait_for_roots()
        one.bootstrap()
        one.put("/v1/agent/token/agent", {"Token": one.token})  # or it does not tell its own catalog of services
        yield one
    finally:
        one.stop()


def access(agent, service):
    """Return the settings of a native program."""
    more = agent.settings() if isinstance(agent, TlsAgent) else {}
    return {**more, "token": agent.token_of(service)}


@pytest.mark.parametrize("start", NATIVE.values(), ids=NATIVE.keys())
def test_envoy_is_served(programs, agent, service, sidecar, start):
    source = f"client-{service}"
    native = start(programs, agent, service, **access(agent, service))
    register_native(agent, service, native.port)
    client = sidecar(agent, source, upstreams=[service], options=["-token", agent.token_of(source)])
    client.wait_for_endpoint(service, native.port)

    def served():
        return re.search(native.answers, say(client.outbound[service]))

    assert not served()  # by default
    native.log.wait_for(f'/svc/{source}" may not connect to "{service}"', 0)
    for _ in range(2):
        agent.allow(source, service)
        assert served(), native.log.text()
        agent.deny(source, service)
        assert not served()


@pytest.mark.parametrize("fetch", CLIENTS.values(), ids=CLIENTS.keys())
def test_envoy_serves_us(programs, agent, service, backend, sidecar, fetch):
    source = f"client-{service}"
    file = programs.write("token", agent.token_of(service))
    server = sidecar(agent, service, port=backend, options=["-token-file", file])
    client = client_of(programs, agent, source, fetch, TLS13, **access(agent, source))
    assert not client.served(server)  # by default
    assert server.count(DENIED) == 1
    for _ in range(2):
        agent.allow(source, service)
        wait_until(lambda: client.served(server), "Envoy to serve")
        agent.deny(source, service)
        wait_until(lambda: not client.served(server), "Envoy to refuse")
    assert client.log.text() == ""


def test_who_has_less_has_nothing(programs, agent, service):
    """The control: each of these settings is needed."""
    settings = access(agent, service)
    uri = f"consul://leaf/{service}"
    assert programs.storeutl(uri, config=programs.config(agent, **settings)).code == 0
    for names in (("token",), ("client_cert", "client_key"), ("ca_file",)):
        less = {name: value for name, value in settings.items() if name not in names}
        if less != settings:
            assert programs.storeutl(uri, config=programs.config(agent, **less)).code != 0, names
    assert programs.storeutl("consul://leaf/another", config=programs.config(agent, **settings)).code != 0
