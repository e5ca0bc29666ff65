"""Servers that are given their certificate only in the handshake, by a callback of the application's.

nginx does so where the path has a variable. Until then nothing says that the
connection is Connect's; and where a session is resumed, the callback is not even called.
"""

import pytest

import nginx
import stand_ins
from applications.common import HTTP_REQUEST
from ca import self_signed
from programs import VERSIONS

CONNECT, PUBLIC = "from-connect", "from-public"
BY_CALLBACK = "$server_name"  # which is empty


def start_nginx(programs, config, identities):
    identities = [[f"{file}{BY_CALLBACK}" for file in pair] for pair in identities]
    ticket_key = programs.path("ticket.key")
    ticket_key.write_bytes(bytes(range(80)))
    return nginx.start_each(
        programs, identities, [CONNECT, PUBLIC], config,
        f"ssl_session_tickets on; ssl_session_ticket_key {ticket_key};")


@pytest.fixture(params=VERSIONS, ids=lambda option: option.lstrip("-"))
def version(request):
    return request.param


@pytest.fixture(params=["stand-in", "leaf"])
def files(request, programs, agent, service):
    if request.param == "stand-in":
        return stand_ins.make(programs, f"consul:leaf/{service}")
    _, certificate, _, key, *_ = agent.leaf(service).files(programs.folder, "leaf")
    return certificate, key


@pytest.fixture
def server(programs, agent, files):
    """A Connect service on one port and public TLS on another."""
    _, certificate, _, key, *_ = self_signed(dns=["localhost"]).files(programs.folder, "public")
    return start_nginx(programs, programs.config(agent), [files, (certificate, key)])


def fetch(programs, port, *options):
    target = ["s_client", "-connect", f"127.0.0.1:{port}", "-ign_eof"]
    return programs.openssl(*target, *options, stdin=HTTP_REQUEST)


def test_the_service_is_governed(programs, agent, service, server, version):
    friend, foe = f"friend-{service}", f"foe-{service}"
    agent.deny(foe, service)
    leaf = agent.leaf(friend).files(programs.folder, "friend")
    assert CONNECT in fetch(programs, server.ports[0], version, *leaf).stdout
    leaf = agent.leaf(foe).files(programs.folder, "foe")
    assert CONNECT not in fetch(programs, server.ports[0], version, *leaf).stdout
    assert CONNECT not in fetch(programs, server.ports[0], version).stdout


def test_a_session_of_a_public_port_is_no_way_in(programs, server, version):
    """It would be resumed before the callback says what this port is."""
    session = programs.path("session")
    assert PUBLIC in fetch(programs, server.ports[1], version, "-sess_out", session).stdout
    resume = ["-sess_in", session] if session.exists() else []
    result = fetch(programs, server.ports[0], version, *resume)
    assert CONNECT not in result.stdout, result
