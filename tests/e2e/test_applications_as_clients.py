# SPDX-License-Identifier: Apache-2.0
"""Unmodified clients are Connect clients by configuration alone. So are their servers.

The clients' own verification is turned off, as the documentation allows.
"""

import inspect
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

import applications
import endpoints
from ca import Authority
from conftest import programs_in
from programs import Programs, Result

pytestmark = pytest.mark.applications


SITE = "www.example.com"


@dataclass
class Fetched:
    """The outcome of a client."""

    result: Result
    served: bool


@dataclass
class Client:
    """A program that is a client, and the server that it is to talk to."""

    module: Any
    programs: Programs
    server: endpoints.Endpoint
    service: str
    config: Path
    log: endpoints.Log

    @property
    def hosts(self):
        """Under which names it may ask for the server: one of no service, and the service's."""
        return ["localhost"] + ([f"{self.server.service}.service.consul"] if takes_host(self.module) else [])

    def fetch(self, host="localhost", server=None, provider=True, fetch=None, config=None, **options):
        config = (config or self.config) if provider else None
        arguments = [self.programs, config, server or self.server.process]
        arguments += [host] if takes_host(self.module) else []
        result = (fetch or self.module.fetch)(*arguments, **options)
        return Fetched(result, bool(re.search(self.module.SERVED, result.stdout)))

    def refused_by_server(self, pattern, **options):
        mark = self.server.log.size()
        fetched = self.fetch(**options)
        assert not fetched.served, fetched
        self.server.log.wait_for("client refused" + pattern, mark)

    def refuses(self, pattern, **options):
        mark = self.log.size()
        fetched = self.fetch(**options)
        assert not fetched.served, fetched
        self.log.wait_for("server refused" + pattern, mark)


def takes_host(module):
    return "host" in inspect.signature(module.fetch).parameters


def checks_names(module):
    return "ca" in inspect.signature(module.fetch).parameters


@pytest.fixture(scope="module", params=endpoints.parameters(applications.clients()))
def client(request, open_folders, module, agent):
    application = request.param
    name = applications.short_name(application)
    service = f"{name}-client".replace("_", "-")
    with programs_in(open_folders(name), module) as programs:
        log = endpoints.Log(programs.path("client.log"))
        config = programs.config(agent, service=service, log=log.path)
        server = endpoints.start(application.SERVER, programs, agent, "service", f"server-of-{service}")
        yield Client(application, programs, server, service, config, log)


@pytest.fixture(scope="module")
def impostor(client, agent):
    """A server without the provider that says to be the service, by a CA that Consul does not list."""
    identity = Authority(agent.trust_domain).service(client.server.service)
    _, certificate, _, key, *_ = identity.files(client.programs.folder, "impostor")
    return client.module.SERVER.start(client.programs, None, Path(certificate), Path(key))


@pytest.fixture(scope="module")
def ordinary(client):
    """A server outside of the mesh, without the provider, with a certificate that no client trusts."""
    return client.module.SERVER.start(client.programs, None, *endpoints.dummy_files(client.programs))


@pytest.fixture(scope="module")
def pretender(client, agent):
    """A server of the mesh with names of a web site in its leaf, too. Consul signs any names."""
    identity = agent.authority.service(
        client.server.service, subject=SITE, dns=[SITE, "localhost", "127.0.0.1"])
    _, certificate, _, key, *_ = identity.files(client.programs.folder, "pretender")
    return client.module.SERVER.start(client.programs, None, Path(certificate), Path(key))


def test_who_is_allowed_is_served(client, agent):
    agent.allow(client.service, client.server.service)
    for host in client.hosts:
        fetched = client.fetch(host)
        assert fetched.served, fetched


def test_a_flip_counts_from_the_next_request(client, agent):
    who = f': "spiffe://[^"]*/svc/{client.service}" may not connect to "{client.server.service}": .*DENY'
    for _ in range(2):
        agent.deny(client.service, client.server.service)
        client.refused_by_server(who)
        agent.allow(client.service, client.server.service)
        fetched = client.fetch()
        assert fetched.served, fetched


def test_nobody_is_served_without_the_provider(client):
    client.refused_by_server("", provider=False)


def test_an_impostor_is_refused(client, impostor):
    """The client would trust any server, as the control shows."""
    fetched = client.fetch(server=impostor, provider=False)
    assert fetched.served, fetched
    for host in client.hosts:
        client.refuses("", host=host, server=impostor)


def test_an_ordinary_server_is_no_service(client, agent, ordinary):
    """It fails by a service's name, and by any name where Connect is required. Otherwise the client decides."""
    for fetched in (client.fetch(server=ordinary, provider=False), client.fetch(server=ordinary)):
        assert fetched.served, fetched
    for host in client.hosts[1:]:
        client.refuses("", host=host, server=ordinary)
    required = client.programs.config(
        agent, service=client.service, outbound="require", log=client.log.path)
    client.refuses("", server=ordinary, config=required)
    agent.allow(client.service, client.server.service)
    fetched = client.fetch(config=required)
    assert fetched.served, fetched


def test_another_service_is_not_the_one_asked_for(client, agent):
    if not takes_host(client.module):
        pytest.skip("asks for no name")
    agent.allow(client.service, client.server.service)
    client.refuses('.*is not the service "other"', host="other.service.consul")


@pytest.mark.parametrize("outbound", ["auto", "require"])
def test_no_server_of_the_mesh_is_a_web_site(client, agent, pretender, outbound):
    """Whether or not the client checks the name by itself, when the handshake is over."""
    config = client.programs.config(
        agent, service=client.service, outbound=outbound, log=client.log.path)
    authorities = client.programs.write("roots.pem", "".join(agent.root_pems))
    ways = [{}, {"ca": authorities}] if checks_names(client.module) else [{}]
    for host in [SITE, "localhost"] if takes_host(client.module) else ["localhost"]:
        for way in ways:
            fetched = client.fetch(host, pretender, provider=False, **way)
            assert fetched.served, (way, fetched)  # its own check succeeds
            client.refuses(".*upstreams", host=host, server=pretender, config=config, **way)
    for host in client.hosts[1:]:
        fetched = client.fetch(host, pretender, config=config)
        assert fetched.served, fetched


def test_no_session_is_resumed(client, agent):
    """The client keeps sessions. Its server has a leaf, and would resume."""
    if not getattr(client.module, "RESUMES", False):
        pytest.skip("keeps no sessions")
    _, certificate, _, key, *_ = agent.leaf("web").files(client.programs.folder, "resuming")
    for provider in (True, False):  # the latter is the control
        server = client.module.SERVER.start(client.programs, None, Path(certificate), Path(key))
        for _ in range(3):
            assert client.fetch(server=server, provider=provider).served
        server.wait_for(3 * r"(?s:.*session resumed: )")
        assert (client.module.SERVER.REUSED in server.output()) != provider, server.output()


def test_its_own_verification_may_stay_where_openssl_does_it(client, agent, impostor):
    """The SPIFFE ID stands in for the name; modules for which this is so have fetch_verified."""
    fetch = getattr(client.module, "fetch_verified", None)
    if fetch is None:
        pytest.skip("does it by itself, or not at all")
    agent.allow(client.service, client.server.service)
    name = client.hosts[-1]
    fetched = client.fetch(name, fetch=fetch)
    assert fetched.served, fetched
    assert not client.fetch(name, provider=False, fetch=fetch).served
    client.refuses("", host=name, server=impostor, fetch=fetch)
    client.refuses("", host="other.service.consul", fetch=fetch)
