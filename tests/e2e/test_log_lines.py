# SPDX-License-Identifier: Apache-2.0
"""The number of lines in the log: one for a refusal, and none otherwise."""

import socket
import ssl
from pathlib import Path

import pytest

import nginx
import outages
import stand_ins
from applications import lighttpd
from processes import wait_until
from programs import AS_SHIPPED, PYTHON, Server
from test_log import lines
from visitors import PATIENCE, Visitor

SCRIPT = Path(__file__).with_name("live_server.py")
GET = b"GET / HTTP/1.0\r\n\r\n"
VISITS = 3


def start_nginx(programs, config, files, folder):
    process = nginx.start(programs, *files, ["hello"], config)
    return process, process.ports[0]


def start_lighttpd(programs, config, files, folder):
    process = lighttpd.start(programs, config, *files)
    return process, process.port


def start_python(programs, config, files, folder):
    process = programs.start(
        Server, [PYTHON, SCRIPT, "one", *files, folder], config, programs.leaks_allowed()).ready()
    return process, process.port


class Watched:
    """A server that is the service web, its log, and its clients."""

    def __init__(self, programs, agent, start, folder, **settings):
        self.log = programs.path("refusals")
        config = programs.config(agent, log=self.log, **settings)
        self.process, self.port = start(programs, config, stand_ins.make(programs, "consul:leaf/web"), folder)
        self.friend = Visitor(programs.folder, agent.leaf("friend"), "friend")
        self.nobody = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        self.nobody.check_hostname, self.nobody.verify_mode = False, ssl.CERT_NONE

    def lines(self):
        return [text for _, text in lines(self.log)] if self.log.exists() else []

    def connect(self):
        return socket.create_connection(("127.0.0.1", self.port), PATIENCE)

    def refuses(self):
        """Visit without a certificate. The next line is of this visit, as the other clients have come and gone."""
        before = len(self.lines())
        try:
            with self.nobody.wrap_socket(self.connect()) as connection:
                connection.sendall(GET)
                assert not connection.recv(64)
        except OSError:
            pass
        wait_until(lambda: len(self.lines()) > before, "the line")
        return self.lines()


@pytest.fixture(params=[start_nginx, start_lighttpd, start_python], ids=lambda start: start.__name__[6:])
def start(request):
    return request.param


def test_one_line_for_one_cause(programs, own_agent, start, open_folders):
    """A server with callbacks of its own may be asked for its leaf more than once. It still logs once."""
    server = Watched(programs, own_agent, start, open_folders("empty"), **AS_SHIPPED)
    with outages.hung(own_agent):
        for number in range(1, VISITS + 1):
            assert not server.friend.visit(server.port, GET).served
            assert len(server.lines()) == number, server.lines()


def test_a_health_check_is_no_line(programs, own_agent, start, open_folders):
    """The end of a good connection without a close_notify is no line, either."""
    server = Watched(programs, own_agent, start, open_folders("empty"))
    for _ in range(VISITS):
        server.connect().close()
        assert server.friend.visit(server.port, GET, b"").served
        with server.friend.context.wrap_socket(server.connect()) as connection:
            connection.sendall(GET[:4])
    text, = server.refuses()
    assert text.startswith("peer presented no certificate"), text


def test_who_leaves_in_the_handshake(programs, own_agent):
    """Told where the program does not have OpenSSL ignore it, as nginx and Python do."""
    server = Watched(programs, own_agent, start_lighttpd, None)
    ours, sent = ssl.MemoryBIO(), ssl.MemoryBIO()
    with server.connect() as connection:
        try:
            server.nobody.wrap_bio(ours, sent).do_handshake()
        except ssl.SSLWantReadError:
            connection.sendall(sent.read())
        connection.shutdown(socket.SHUT_WR)
        while connection.recv(4096):
            pass
    text = server.refuses()[0]
    assert text.startswith("handshake failed: the peer closed the connection [service web, peer 127"), text
