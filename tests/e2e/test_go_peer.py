# SPDX-License-Identifier: Apache-2.0
"""Consul's own Go library at the other end: of our servers and of our clients, on a real agent."""

import os
import re
import sys
from pathlib import Path

import pytest

import go_peer
import nginx
import stand_ins
from applications import can_run, curl
from processes import PATIENCE, Process, wait_until
from programs import TLS12, TLS13
from test_live import rotate

pytestmark = [
    pytest.mark.consul,
    pytest.mark.skipif(
        go_peer.WANTED not in os.environ, reason="no program on the Go library: tools/check --consul=current makes one"),
]

TEXT = "from-go"
ASKED = "db.service.consul"  # the service that all of our clients want
# A client that writes on may never read the alert.
CUT_OFF = "remote error: tls: |broken pipe|connection reset|http2: client conn could not be established"
WRONG = '(?i)hostname mismatch|is not the (service "db"|host that was asked for)'


def leaf_shown(programs, port):
    """Return the certificate that a server presents to all clients, as PEM."""
    shown = programs.openssl("s_client", "-connect", f"127.0.0.1:{port}", stdin=b"").stdout
    return re.search(r"-----BEGIN CERTIFICATE-----.*?-----END CERTIFICATE-----\n", shown, re.S)[0]


def wait_for_renewal(programs, agent, service, ports, meanwhile):
    """Wait until all of these servers present the leaf that the agent has issued under its new root."""
    old = agent.leaf(service).certificate
    rotate(agent)

    def renewed():
        meanwhile()
        now = agent.leaf(service).certificate
        return now != old and all(leaf_shown(programs, port) == now for port in ports)

    wait_until(renewed, "the new leaf everywhere", 2 * PATIENCE)


# ---- its client, our servers ----

def start_nginx(programs, agent, service, listen="ssl http2"):
    certificate, key = stand_ins.make(programs, f"consul:leaf/{service}")
    server = nginx.start(programs, certificate, key, ["from-nginx"], programs.config(agent), listen=listen)
    server.port = server.ports[0]
    return server


def start_s_server(version):
    def start(programs, agent, service):
        return programs.connect_server(service, version, "-www", config=programs.config(agent))

    return start


SERVERS = {"nginx": start_nginx, "s_server-1.2": start_s_server(TLS12), "s_server-1.3": start_s_server(TLS13)}
SERVED = 'SERVED ".*(from-nginx|Ciphers supported in s_server)'


def assert_served(client, port):
    said = client.ask(port, "db")
    assert re.match(SERVED, said), said


@pytest.mark.parametrize("kind", SERVERS)
def test_an_intention_counts_for_its_client(programs, own_agent, kind):
    server = SERVERS[kind](programs, own_agent, "db")
    friend = go_peer.Client(programs, own_agent, "friend")
    foe = go_peer.Client(programs, own_agent, "foe")
    own_agent.deny("foe", "db")
    for _ in range(2):
        own_agent.allow("friend", "db")
        assert_served(friend, server.port)
        own_agent.deny("friend", "db")
        for client in (friend, foe):
            assert re.match(f"REFUSED .*({CUT_OFF})", client.ask(server.port, "db"))
    server.wait_for('/svc/foe" may not connect to "db"')


@pytest.mark.parametrize("kind", SERVERS)
def test_its_client_wants_another_service(programs, own_agent, kind):
    server = SERVERS[kind](programs, own_agent, "db")
    client = go_peer.Client(programs, own_agent, "friend")
    said = client.ask(server.port, "other")
    assert re.match("REFUSED .*peer certificate mismatch got .*/svc/db, want .*/svc/other", said), said
    assert_served(client, server.port)


def test_its_client_and_our_servers_through_a_rotation(programs, own_agent):
    """The same processes before it, meanwhile and after it; and new ones."""
    ports = [start(programs, own_agent, "db").port for start in SERVERS.values()]
    friend, foe = (go_peer.Client(programs, own_agent, name) for name in ("friend", "foe"))
    own_agent.deny("foe", "db")

    def obey(friend=friend, foe=foe):
        for port in ports:
            assert_served(friend, port)
            assert foe.ask(port, "db").startswith("REFUSED")
            assert friend.ask(port, "other").startswith("REFUSED")

    obey()
    wait_for_renewal(programs, own_agent, "db", ports, obey)
    obey()
    obey(*(go_peer.Client(programs, own_agent, name) for name in ("friend", "foe")))


def test_its_client_speaks_http2_alone(programs, own_agent):
    """It offers HTTP/2 alone by ALPN, so nginx has to be told to speak it. This is no matter of ours."""
    server = start_nginx(programs, own_agent, "db", "ssl")
    assert "no application protocol" in go_peer.Client(programs, own_agent, "friend").ask(server.port, "db")


# ---- its servers, our clients ----

class Curl:
    def __init__(self, programs, agent, service):
        self.programs, self.config = programs, programs.config(agent, service=service)

    def ask(self, servers):
        """Return whether it gets the answer, and its output."""
        result = curl.fetch(self.programs, self.config, servers.http, ASKED)
        return TEXT in result.stdout, result.output


class PythonSsl:
    """One process for all of its connections."""

    def __init__(self, programs, agent, service):
        self.client = programs.start(
            Process, [sys.executable, Path(__file__).with_name("live_client.py")],
            programs.config(agent, service=service), programs.leaks_allowed())
        self.client.wait_for("READY")

    def ask(self, servers):
        mark = self.client.size()
        self.client.say(str(servers.echo.port))
        said = self.client.wait_for(r"(?m)^(SERVED|REFUSED).*\n", mark).group()
        return said.startswith("SERVED"), said


class SClient:
    version = TLS13

    def __init__(self, programs, agent, service):
        uri = f"consul:leaf/{service}"
        self.programs, self.config = programs, programs.config(agent)
        self.options = ["-cert", uri, "-key", uri, "-servername", ASKED, "-ign_eof", self.version]

    def ask(self, servers):
        result = self.programs.openssl(
            "s_client", "-connect", f"127.0.0.1:{servers.http.port}", *self.options, config=self.config,
            stdin=b"GET / HTTP/1.0\r\n\r\n")
        return TEXT in result.stdout, result.output


class SClient12(SClient):
    version = TLS12


CLIENTS = {"Python": PythonSsl, "s_client-1.2": SClient12, "s_client-1.3": SClient}
if can_run(curl):
    CLIENTS["curl"] = Curl


class Servers:
    """Two servers of one service: the first speaks HTTP, and the second echoes."""

    def __init__(self, programs, agent, service):
        self.http = go_peer.server(programs, agent, service, "http", TEXT)
        self.echo = go_peer.server(programs, agent, service, "serve")

    def denials(self):
        """Return how often it has refused by an intention."""
        return (self.http.output() + self.echo.output()).count("authz call denied")


@pytest.mark.parametrize("kind", CLIENTS)
def test_an_intention_counts_at_its_server(programs, own_agent, kind):
    servers = Servers(programs, own_agent, "db")
    friend, foe = (CLIENTS[kind](programs, own_agent, name) for name in ("friend", "foe"))
    own_agent.deny("foe", "db")
    for _ in range(2):
        own_agent.allow("friend", "db")
        served, said = friend.ask(servers)
        assert served, said
        own_agent.deny("friend", "db")
        for client in (friend, foe):
            denials = servers.denials()
            served, said = client.ask(servers)
            assert not served, said
            wait_until(lambda: servers.denials() > denials, "its word for it")


@pytest.mark.parametrize("kind", CLIENTS)
def test_its_server_is_another_service(programs, own_agent, kind):
    """The client asks for a host name of a service, and refuses any other."""
    client = CLIENTS[kind](programs, own_agent, "friend")
    served, said = client.ask(Servers(programs, own_agent, "other"))
    assert not served and re.search(WRONG, said), said
    served, said = client.ask(Servers(programs, own_agent, "db"))
    assert served, said


def test_its_servers_and_our_clients_through_a_rotation(programs, own_agent):
    """The same processes before it, meanwhile and after it; and new ones."""
    own_agent.deny("foe", "db")
    db, other = (Servers(programs, own_agent, name) for name in ("db", "other"))
    clients = [[kind(programs, own_agent, name) for name in ("friend", "foe")] for kind in CLIENTS.values()]

    def obey(db=db):
        for friend, foe in clients:
            served, said = friend.ask(db)
            assert served, said
            for client, servers in ((foe, db), (friend, other)):
                served, said = client.ask(servers)
                assert not served, said

    obey()
    wait_for_renewal(programs, own_agent, "db", [db.http.port, db.echo.port], obey)
    obey()
    obey(Servers(programs, own_agent, "db"))
