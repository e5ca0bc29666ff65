# SPDX-License-Identifier: Apache-2.0
"""RADIUS over TLS from FreeRADIUS to FreeRADIUS: the one that asks is a client with the provider."""

import contextlib
import socket

import pytest

import applications
import endpoints
from applications import freeradius
from applications.common import TEXT
from ca import Authority
from conftest import programs_in

pytestmark = [
    pytest.mark.applications,
    pytest.mark.skipif(not applications.can_run(freeradius), reason="its packages are not installed here"),
]

ACCEPT = 2
PATIENCE = 60  # seconds for an answer


@pytest.fixture
def open_programs(open_folders, module):
    with programs_in(open_folders("radius"), module) as one:
        yield one


@contextlib.contextmanager
def asked(proxy):
    """Yield a socket over which the proxy was asked for access."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as client:
        client.settimeout(PATIENCE)
        client.connect(("127.0.0.1", proxy.port))
        client.send(freeradius.access_request(freeradius.SECRET))
        yield client


def accepts(answer):
    return answer[0] == ACCEPT and TEXT.encode() in answer


def has_accepted(client):
    """Tell whether an answer that accepts is there by now."""
    client.setblocking(False)
    with contextlib.suppress(BlockingIOError):
        return accepts(client.recv(4096))
    return False


@pytest.fixture(params=endpoints.IDENTITIES)
def proxy(request, open_programs, agent, service):
    """Yield a function that starts a proxy in front of this home server."""
    def start(home):
        config, _, *files = endpoints.identity(open_programs, agent, request.param, f"proxy-{service}")
        return freeradius.start_proxy(open_programs, config, *files, home)
    return start


def test_an_allowed_proxy_is_answered_and_a_denied_one_is_not(open_programs, agent, service, proxy):
    """With fix_cert_order the proxy writes under an ex_data number that it has not asked for."""
    home = endpoints.start(freeradius, open_programs, agent, "stand-in", f"home-{service}")
    agent.deny(f"proxy-{service}", home.service)
    denied = proxy(home.process)
    with asked(denied) as client:
        home.log.wait_for(f'client refused: "spiffe://[^"]*/svc/proxy-{service}" may not connect .*DENY', 0)
        assert not has_accepted(client)
    agent.allow(f"proxy-{service}", home.service)
    allowed = proxy(home.process)
    with asked(allowed) as client:
        assert accepts(client.recv(4096)), allowed.output()
    assert not home.process.ended() and not allowed.ended()


def test_a_home_server_of_another_authority_gets_no_request(open_programs, agent, service, proxy):
    foreign = Authority(agent.trust_domain).service(f"home-{service}")
    _, certificate, _, key, *_ = foreign.files(open_programs.folder, "foreign")
    impostor = proxy(freeradius.start(open_programs, None, certificate, key))
    with asked(impostor) as client:
        impostor.wait_for("not trusted by the Consul roots")
        assert not has_accepted(client)
