# SPDX-License-Identifier: Apache-2.0
"""A real Consul signs names of any site for a client that may be one service. No such leaf serves as that site."""

import os
import re
from pathlib import Path

import pytest

import endpoints
import go_peer
from agent import consul_binary, consul_version
from applications import curl, s_client, urllib_client
from applications.common import TEXT
from ca import Identity, service_uri
from conftest import programs_in
from programs import TLS13

pytestmark = [
    pytest.mark.consul,
    pytest.mark.skipif(
        go_peer.WANTED not in os.environ,
        reason="no program on the Go library: tools/check --consul=current makes one"),
    pytest.mark.skipif(
        consul_version(consul_binary()) < (1, 14), reason="new in Consul 1.14 or before: this agent is older"),
]

SITE = "www.example.com"
NAMES = [SITE, "*.example.org", "127.0.0.1"]


@pytest.fixture
def programs(open_folders, module):
    """In a folder that nginx's workers may enter."""
    with programs_in(open_folders("signed"), module) as one:
        yield one


@pytest.fixture
def sign(programs, guarded, service):
    """Return a maker of leaves with a URI and NAMES, by a token for this service and node alone."""
    token = guarded.make_token(
        service, f'service "{service}" {{ policy = "write" }} node "{service}" {{ policy = "write" }}')

    def make(uri):
        signed = programs.run(
            [go_peer.binary(), f"127.0.0.1:{guarded.ports['grpc']}", uri, "sign", token, *NAMES])
        end = "-----END CERTIFICATE-----\n"
        certificate, _, key = signed.stdout.partition(end)
        assert key, signed
        _, certificate, _, key, *_ = Identity(certificate + end, key).files(programs.folder, "evil")
        return Path(certificate), Path(key)

    return make


@pytest.fixture
def evil(sign, guarded, service):
    return sign(service_uri(guarded.trust_domain, service))


@pytest.mark.parametrize("application", endpoints.parameters([curl, s_client, urllib_client]))
def test_a_signed_name_is_nobodys(programs, guarded, service, evil, application):
    """The client's own check of the name finds it, in a leaf of a CA that it trusts."""
    def is_served(config, host, **options):
        result = application.fetch(programs, config, server, host, **options)
        return re.search(application.SERVED, result.stdout)

    client = f"client-{service}"
    log = endpoints.Log(programs.path("client.log"))
    config = programs.config(
        guarded, more=f"[hosts]\nshop.example = {service}\n", service=client, token=guarded.token_of(client),
        log=log.path, upstreams="hosts")
    roots = programs.write("roots.pem", "".join(guarded.root_pems))
    server = application.SERVER.start(programs, None, *evil)
    for host in (SITE, "any.example.org"):
        assert is_served(None, host, ca=roots)
        for way in ({}, {"ca": roots}):
            mark = log.size()
            assert not is_served(config, host, **way)
            log.wait_for("server refused: .*upstreams", mark)
    assert is_served(config, "shop.example")


def test_a_client_with_names_is_who_its_id_says(programs, guarded, service, evil):
    """An ingress gateway is such a client: its leaf has the names of the sites behind it."""
    target = f"server-{service}"
    server = programs.connect_server(target, config=programs.config(guarded, token=guarded.token_of(target)))
    certificate, key = evil
    assert programs.talk(server, TLS13, "-cert", certificate, "-key", key).refused
    guarded.allow(service, target)
    assert programs.talk(server, TLS13, "-cert", certificate, "-key", key).talked


@pytest.mark.parametrize("uri", [
    "spiffe://somebody@{domain}/ns/default/dc/dc1/svc/{service}", "spiffe://{domain}/ns/default/dc/dc1/svc/{service}?x",
    "spiffe://elsewhere.example/agent/client/dc/dc1/id/{service}?x", "spiffe:/agent/client/dc/dc1/id/{service}",
    "spiffe://{domain}/agent/client/dc/dc1/id/{service}",
])
def test_nor_by_a_uri_that_does_not_look_like_ours(programs, guarded, service, sign, uri):
    """Consul signs these as they are. Here the client has Consul's roots among its own, by which it verifies others."""
    roots = programs.write("roots.pem", "".join(guarded.root_pems))
    client = f"client-{service}"
    config = programs.config(guarded, service=client, token=guarded.token_of(client))
    server = curl.SERVER.start(programs, None, *sign(uri.format(domain=guarded.trust_domain, service=service)))
    for application in (curl, s_client, urllib_client):
        for settings, is_served in ((None, True), (config, False)):
            result = application.fetch(programs, settings, server, SITE, ca=roots)
            assert (TEXT in result.stdout) == is_served, result
