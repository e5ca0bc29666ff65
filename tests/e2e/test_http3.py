# SPDX-License-Identifier: Apache-2.0
"""nginx and HAProxy over HTTP/3, as Debian 13 has them. Each has a QUIC of its own, and takes its TLS from OpenSSL.

The peer is aioquic, which has a TLS of its own, too. Debian 12 has neither.
"""

import json
from importlib.metadata import version
from pathlib import Path

import pytest

import endpoints
import nginx
from applications import haproxy
from applications.common import TEXT, TICKET_KEY, launch
from ca import Authority
from conftest import programs_in
from processes import Process
from programs import PYTHON, openssl_version

if openssl_version() < (3, 5):
    pytest.skip("Debian 12 has no HTTP/3", allow_module_level=True)

# A newer aioquic gives up by itself where it is asked for a certificate, and has none.
CAN_COME_WITHOUT = version("aioquic") < "1.3"

pytestmark = [pytest.mark.core, pytest.mark.applications]

NGINX = "http3 on; ssl_early_data on; ssl_session_tickets on; ssl_session_ticket_key {key};"
HAPROXY = """\
global
    limited-quic

frontend web
    bind quic4@127.0.0.1:{port} ssl crt {both} alpn h3 allow-0rtt tls-ticket-keys {keys}
    http-request return status 200 content-type text/plain string "{text}"
"""


def start_nginx(programs, config, certificate, key):
    ticket_key = programs.path("ticket.key")
    ticket_key.write_bytes(TICKET_KEY)
    process = nginx.start(
        programs, certificate, key, [TEXT], config, NGINX.format(key=ticket_key), listen="quic")
    process.port, = process.ports
    return process


def start_haproxy(programs, config, certificate, key):
    def make(folder, port):
        both = folder / "haproxy.pem"
        both.write_text(Path(certificate).read_text() + Path(key).read_text())
        return haproxy.command(
            folder, HAPROXY.format(port=port, both=both, keys=haproxy.ticket_keys(folder), text=TEXT))

    return launch(programs, config, make, haproxy.READY)


class Server:
    """A server as a service, or (without an agent) without the provider."""

    def __init__(self, programs, start, agent=None, service=None):
        self.programs, self.service = programs, service
        if agent:
            config, self.log, *files = endpoints.identity(programs, agent, "stand-in", service)
        else:
            config, self.log, files = None, None, endpoints.dummy_files(programs)
        self.process = start(programs, config, *files)

    def ask(self, identity=None, session=None, early=False, until=None):
        """Make the request of a client, and return its result. The client gives up after `until`."""
        arguments = ["early"] if early else []
        if identity:
            certificate = self.programs.write("client.pem", identity.certificate + identity.intermediates)
            arguments += [f"cert={certificate}", f"key={self.programs.write('client.key', identity.key)}"]
        if session:
            arguments.append(f"session={session}")
        script = Path(__file__).with_name("http3_client.py")
        client = self.programs.start(Process, [PYTHON, script, self.process.port, *arguments])
        if until:
            until()
            client.close_input()
        assert client.wait() == 0, client.output()
        return json.loads(client.output())

    def refuses(self, pattern, *arguments, **options):
        """Check that this client is not served, and that the log says why.

        HAProxy sends no alert now and then, with the provider and without. Its client would wait for 30 s.
        """
        mark = self.log.size()
        answer = self.ask(*arguments, **options, until=lambda: self.log.wait_for(pattern, mark))
        assert not answer["answer"] and not answer["resumed"], answer


@pytest.fixture(scope="module", params=[start_nginx, start_haproxy], ids=["nginx", "haproxy"])
def start(request):
    return request.param


@pytest.fixture(scope="module")
def shared(open_folders, module):
    with programs_in(open_folders("http3"), module) as one:
        yield one


@pytest.fixture(scope="module")
def server(start, shared, agent):
    return Server(shared, start, agent, start.__name__.replace("start_", "http3-"))


@pytest.fixture(scope="module")
def plain(start, shared):
    return Server(shared, start)


def denial(server, source):
    return f'client refused: "spiffe://[^"]*/svc/{source}" may not connect to "{server.service}": .*DENY'


def test_a_verdict_counts_from_the_next_connection(server, agent, service):
    leaf = agent.leaf(service)
    for _ in range(2):
        agent.allow(service, server.service)
        answer = server.ask(leaf)
        assert answer["answer"].strip() == TEXT and answer["certificate"] == agent.leaf(server.service).certificate
        agent.deny(service, server.service)
        server.refuses(denial(server, service), leaf)


def test_no_stranger_comes(server, agent, service):
    agent.allow(service, server.service)
    if CAN_COME_WITHOUT:
        server.refuses("peer presented no certificate: client refused")
    foreign = Authority(agent.trust_domain).service(service)
    server.refuses(f'client refused: a certificate of "spiffe://[^"]*/svc/{service}"', foreign)


def test_no_session_and_no_early_data_are_a_way_in(server, plain, agent, service):
    """A session from a server without the provider, with the same ticket keys, is no way in."""
    leaf, session = agent.leaf(service), server.programs.path("session")
    assert plain.ask(leaf, session)["answer"].strip() == TEXT
    answer = plain.ask(leaf, session)
    assert answer["answer"].strip() == TEXT and answer["resumed"], answer  # the control
    agent.deny(service, server.service)
    for early in (False, True):
        server.refuses(denial(server, service), leaf, session, early)
        if CAN_COME_WITHOUT:
            server.refuses("client refused", None, session, early)
    agent.allow(service, server.service)
    answer = server.ask(leaf, session)
    assert answer["answer"].strip() == TEXT and not answer["resumed"], answer
    answer = server.ask(leaf, session)  # by a ticket of its own, if it gave one
    assert answer["answer"].strip() == TEXT and not answer["resumed"], answer
