# SPDX-License-Identifier: Apache-2.0
"""Servers that are given their certificate only in the handshake, by a callback of the application's.

lighttpd always does so, nginx where the path has a variable. Until then nothing says that the
connection is Connect's; and where a session is resumed, the callback is not even called.
"""

import pytest

import nginx
import stand_ins
from agent import free_ports
from applications import lighttpd
from applications.common import HTTP_REQUEST, launch, program
from ca import self_signed
from programs import VERSIONS

pytestmark = pytest.mark.faults

CONNECT, PUBLIC = "from-connect", "from-public"
BY_CALLBACK = "$server_name"  # this variable is empty

LIGHTTPD = """\
server.modules += ( "mod_openssl" )
server.bind = "127.0.0.1"
server.port = {port}
index-file.names = ( "index.html" )
ssl.engine = "enable"
ssl.openssl.ssl-conf-cmd = ( "MinProtocol" => "TLSv1.2" )
ssl.pemfile = "{certificate}"
ssl.privkey = "{key}"
server.document-root = "{folder}/connect"
$SERVER["socket"] == "127.0.0.1:{public_port}" {{
    ssl.engine = "enable"
    ssl.pemfile = "{public}"
    ssl.privkey = "{public_key}"
    server.document-root = "{folder}/public"
}}
"""


def start_nginx(programs, config, identities):
    identities = [[f"{file}{BY_CALLBACK}" for file in pair] for pair in identities]
    ticket_key = programs.path("ticket.key")
    ticket_key.write_bytes(bytes(range(80)))
    return nginx.start_each(
        programs, identities, [CONNECT, PUBLIC], config,
        f"ssl_session_tickets on; ssl_session_ticket_key {ticket_key};")


def start_lighttpd(programs, config, identities):
    """Start lighttpd. Its tickets are by one key for all its ports."""
    ports = []

    def make(folder, port):
        ports[:] = [port, *free_ports(1)]
        for name, text in (("connect", CONNECT), ("public", PUBLIC)):
            (folder / name).mkdir()
            (folder / name / "index.html").write_text(text)
        (certificate, key), (public, public_key) = identities
        file = folder / "lighttpd.conf"
        file.write_text(LIGHTTPD.format(
            folder=folder, port=port, certificate=certificate, key=key,
            public_port=ports[1], public=public, public_key=public_key))
        return [program("lighttpd"), "-D", "-f", file]

    process = launch(programs, config, make, lighttpd.READY)
    process.ports = ports
    return process


@pytest.fixture(params=VERSIONS, ids=lambda option: option.lstrip("-"))
def version(request):
    return request.param


@pytest.fixture(params=["stand-in", "leaf"])
def files(request, programs, agent, service):
    if request.param == "stand-in":
        return stand_ins.make(programs, f"consul:leaf/{service}")
    _, certificate, _, key, *_ = agent.leaf(service).files(programs.folder, "leaf")
    return certificate, key


@pytest.fixture(params=[start_nginx, start_lighttpd], ids=lambda start: start.__name__[6:])
def server(request, programs, agent, files):
    """A Connect service on one port and public TLS on another."""
    _, certificate, _, key, *_ = self_signed(dns=["localhost"]).files(programs.folder, "public")
    return request.param(programs, programs.config(agent), [files, (certificate, key)])


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
    """It would be resumed before the callback chooses the certificate of this port."""
    session = programs.path("session")
    assert PUBLIC in fetch(programs, server.ports[1], version, "-sess_out", session).stdout
    resume = ["-sess_in", session] if session.exists() else []
    result = fetch(programs, server.ports[0], version, *resume)
    assert CONNECT not in result.stdout, result
