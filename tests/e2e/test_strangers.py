# SPDX-License-Identifier: Apache-2.0
"""The effect of strangers on a process: few questions to the agent, however many they are, and few lines.

Counted, not timed: a question holds up a server with one thread for as long as the agent takes.
"""

import socket
import ssl
import threading
import time
from collections import Counter
from pathlib import Path

import pytest

import nginx
import stand_ins
from ca import Authority, ec_key, self_signed, service_uri
from fake_agent import AUTHORIZE, INTENTIONS, LEAF, ROOTS, silent
from processes import wait_until
from programs import PYTHON, Server
from test_live import rotate
from test_log import lines
from visitors import PATIENCE, Visitor

pytestmark = pytest.mark.faults

SCRIPT = Path(__file__).with_name("live_server.py")
KINDS = (ROOTS, LEAF, AUTHORIZE, INTENTIONS)
STRANGERS = 8
FRIENDS = 30
LATE = 0.1  # seconds that the agent takes for each answer
AT_ONCE, A_SECOND = 3, 1  # questions about newer roots that strangers can bring about
LOOK = 2  # seconds after which any handshake looks at the roots anew
CROWD, LINES_AT_ONCE, LINES_A_SECOND = 250, 50, 10
SOON = 10  # seconds on a busy machine, for work of a second
GET = b"GET / HTTP/1.0\r\n\r\n"


def waits(request):
    """Return true for a request of a watch, the only one that waits for changes."""
    return request.query.get("wait", "1us") != "1us"


def questions(relay, since=0):
    """Count the requests of handshakes, by kind."""
    return Counter(
        kind for request in list(relay.requests)[since:] if not waits(request) for kind in KINDS if kind in request.path)


def are_watched(relay, *kinds):
    return all(any(waits(request) for request in relay.seen(kind)) for kind in kinds)


class Strangers:
    """They come again and again, all at the same time."""

    def __init__(self, programs, identity, port):
        self.visitor, self.port = Visitor(programs.folder, identity, "stranger"), port
        self.ended, self.visits = threading.Event(), []
        self.threads = [threading.Thread(target=self.come) for _ in range(STRANGERS)]

    def come(self):
        while not self.ended.is_set():
            self.visits.append(self.visitor.visit(self.port, GET).served)

    def __enter__(self):
        for thread in self.threads:
            thread.start()
        return self

    def __exit__(self, *_):
        self.ended.set()
        for thread in self.threads:
            thread.join()


class Shop:
    """An nginx with one worker, which is the service web and watches, and its friend."""

    def __init__(self, programs, relay, **settings):
        self.programs, self.relay = programs, relay
        config = programs.config(relay, watch_wait="500ms", **settings)
        self.port = nginx.start(programs, *stand_ins.make(programs, "consul:leaf/web"), ["hello"], config).ports[0]
        self.friend = Visitor(programs.folder, relay.agent.leaf("friend"), "friend")
        assert all(self.serves(self.friend) for _ in range(3))
        wait_until(lambda: are_watched(relay, ROOTS, LEAF), "both watches")

    def serves(self, visitor):
        return visitor.visit(self.port, GET).served


STRANGE = {
    "self-signed": lambda trust_domain: self_signed([service_uri(trust_domain, "friend")]),
    "of another mesh": lambda _: Authority("other.consul").service("friend"),
    "forged": lambda trust_domain: Authority(trust_domain).service("friend"),
}


@pytest.mark.parametrize("kind", STRANGE)
def test_strangers_cost_friends_little(programs, own_agent, relay, kind):
    """One worker and a slow agent. Only strangers of a possibly newer root have the agent asked, and not often."""
    shop = Shop(programs, relay)
    relay.delay(LATE, *KINDS)
    mark, began = len(relay.requests), time.monotonic()
    with Strangers(programs, STRANGE[kind](own_agent.trust_domain), shop.port) as strangers:
        assert all(shop.serves(shop.friend) for _ in range(FRIENDS))
    asked, elapsed = questions(relay, mark), time.monotonic() - began
    assert len(strangers.visits) > FRIENDS and not any(strangers.visits)
    most = elapsed / LOOK + 1 + (AT_ONCE + A_SECOND * elapsed if kind == "forged" else 0)
    assert asked.pop(ROOTS, 0) <= most, (asked, elapsed)
    # Without a watch for intentions, as strangers make no process busy. Each friend earns a guess, which a stranger may take.
    assert set(asked) == {AUTHORIZE} and FRIENDS <= asked[AUTHORIZE] <= 2 * FRIENDS + 1


def test_a_rotation_among_strangers(programs, own_agent, relay):
    """The watch is silently broken, and forgers have used up the questions: a new root is known a second later."""
    shop = Shop(programs, relay)
    relay.answer(ROOTS, lambda connection: (
        silent if waits(connection.request) else relay.usual(ROOTS, connection.request))(connection))
    heard = len(relay.seen(ROOTS))
    wait_until(lambda: any(waits(request) for request in relay.seen(ROOTS)[heard:]), "the query without an answer")
    with Strangers(programs, STRANGE["forged"](own_agent.trust_domain), shop.port):
        wait_until(lambda: questions(relay)[ROOTS] >= AT_ONCE, "the forgers")
        early = Visitor(programs.folder, rotate(own_agent).service("friend", key=ec_key()), "early")
        mark = len(relay.requests)

        def served():
            was_asked = questions(relay, mark)[ROOTS] > 0
            return shop.serves(early) or (was_asked and pytest.fail("refused though the agent was asked"))

        wait_until(served, "the new root", SOON)
        assert shop.serves(shop.friend)


class Forking:
    """A server that is the service web, with a child for each connection, one after the other."""

    def __init__(self, programs, relay, folder, **settings):
        self.programs, self.relay = programs, relay
        config = programs.config(relay, **settings)
        self.process = programs.start(
            Server, [PYTHON, SCRIPT, "forks", *stand_ins.make(programs, "consul:leaf/web"), folder],
            config, programs.leaks_allowed()).ready()
        self.port = self.process.port
        self.nobody = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        self.nobody.check_hostname, self.nobody.verify_mode = False, ssl.CERT_NONE

    def connect(self):
        return socket.create_connection(("127.0.0.1", self.port), PATIENCE)

    def leave(self):
        """Leave as soon as the connection is there."""
        self.connect().close()

    def say_hello(self):
        """Say hello, and leave with the server's answer."""
        ours, sent = ssl.MemoryBIO(), ssl.MemoryBIO()
        with self.connect() as connection:
            with pytest.raises(ssl.SSLWantReadError):
                self.nobody.wrap_bio(ours, sent).do_handshake()
            connection.sendall(sent.read())
            assert connection.recv(64)

    def show_nothing(self):
        """Connect without a certificate."""
        with self.connect() as connection, pytest.raises(OSError):
            with self.nobody.wrap_socket(connection) as secured:
                secured.sendall(GET)
                if not secured.recv(64):
                    raise OSError

    def show(self, identity):
        return Visitor(self.programs.folder, identity, "visitor").visit(self.port).served

    def questions_of(self, visit, ending):
        """Return the questions because of a visit, until the child has said how it ended."""
        mark, said = len(self.relay.requests), self.process.size()
        visit()
        self.process.wait_for(ending, said)
        return questions(self.relay, mark)


def test_a_child_asks_for_what_it_needs_by_then(programs, own_agent, relay, open_folders):
    """The leaf once the client has said hello, the roots once it has shown a certificate."""
    server = Forking(programs, relay, open_folders("empty"))
    trust_domain = own_agent.trust_domain
    own_agent.leaf("web")  # else the agent has none yet, and is asked once more
    assert not server.questions_of(server.leave, "REFUSED")
    for visit in (server.say_hello, server.show_nothing):
        assert server.questions_of(visit, "REFUSED") == {LEAF: 1}
    for kind in STRANGE.values():
        asked = server.questions_of(lambda: server.show(kind(trust_domain)), "REFUSED")
        assert asked == {LEAF: 1, ROOTS: 1}
    asked = server.questions_of(lambda: server.show(own_agent.leaf("friend")), "SERVED")
    assert asked == {LEAF: 1, ROOTS: 1, AUTHORIZE: 1}


def test_children_share_their_lines(programs, own_agent, relay, open_folders):
    log = programs.path("refusals")
    server = Forking(programs, relay, open_folders("empty"), log=log)
    began = time.monotonic()
    for _ in range(CROWD):
        server.questions_of(server.show_nothing, "REFUSED")
    elapsed = time.monotonic() - began
    texts = [text for _, text in lines(log)]
    written = sum(text.startswith("peer presented no certificate") for text in texts)
    assert LINES_AT_ONCE <= written <= LINES_AT_ONCE + LINES_A_SECOND * elapsed + 1, (written, elapsed)
