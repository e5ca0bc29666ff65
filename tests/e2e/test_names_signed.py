"""What a real Consul signs for whoever may be one service: names of any site. They let nobody be that site."""

import os
import re
from pathlib import Path

import pytest

import endpoints
import go_peer
from agent import consul_binary, consul_version
from applications import curl, s_client, urllib_client
from ca import Identity
from conftest import programs_in
from programs import TLS13

pytestmark = [
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
def evil(programs, guarded, service):
    """A leaf that the servers have signed for a token that may be this service, and nothing else."""
    token = guarded.make_token(service, f'service "{service}" {{ policy = "write" }}')
    signed = programs.run([go_peer.binary(), f"127.0.0.1:{guarded.ports['grpc']}", service, "sign", token,
                           guarded.trust_domain, *NAMES])
    end = "-----END CERTIFICATE-----\n"
    certificate, _, key = signed.stdout.partition(end)
    assert key, signed
    _, certificate, _, key, *_ = Identity(certificate + end, key).files(programs.folder, "evil")
    return Path(certificate), Path(key)


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
    """As an ingress gateway is, which has the names of the sites behind it."""
    target = f"server-{service}"
    server = programs.connect_server(target, config=programs.config(guarded, token=guarded.token_of(target)))
    certificate, key = evil
    assert programs.talk(server, TLS13, "-cert", certificate, "-key", key).refused
    guarded.allow(service, target)
    assert programs.talk(server, TLS13, "-cert", certificate, "-key", key).talked
