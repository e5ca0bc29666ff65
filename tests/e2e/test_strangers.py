"""What strangers can make a process do: few questions to the agent, however many they are, and few lines.

Counted, not timed: a question holds up a server with one thread for as long as the agent takes.
"""

import threading
import time
from collections import Counter

import pytest

import nginx
import stand_ins
from ca import Authority, ec_key, self_signed, service_uri
from fake_agent import AUTHORIZE, INTENTIONS, LEAF, ROOTS, silent
from processes import wait_until
from relay import Relay
from test_live import rotate
from visitors import Visitor

KINDS = (ROOTS, LEAF, AUTHORIZE, INTENTIONS)
STRANGERS = 8
FRIENDS = 30
LATE = 0.1  # seconds that the agent takes for each answer
AT_ONCE, A_SECOND = 3, 1  # questions about newer roots that strangers can bring about
SOON = 10  # seconds, on a machine that is busy, for what takes a second
GET = b"GET / HTTP/1.0\r\n\r\n"


@pytest.fixture
def relay(own_agent):
    one = Relay(own_agent)
    one.watchable = True
    yield one
    one.stop()


def waits(request):
    """Only the thread of a process waits for changes."""
    return request.query.get("wait", "1us") != "1us"


def questions(relay, since=0):
    """How often handshakes have asked, by the kind of the question."""
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
    """One worker and a slow agent. Only who could be of a newer root has the agent asked, and not often."""
    shop = Shop(programs, relay)
    relay.delay(LATE, *KINDS)
    mark, began = len(relay.requests), time.monotonic()
    with Strangers(programs, STRANGE[kind](own_agent.trust_domain), shop.port) as strangers:
        assert all(shop.serves(shop.friend) for _ in range(FRIENDS))
    asked, elapsed = questions(relay, mark), time.monotonic() - began
    assert len(strangers.visits) > FRIENDS and not any(strangers.visits)
    assert asked.pop(ROOTS, 0) <= (AT_ONCE + A_SECOND * elapsed + 1 if kind == "forged" else 0), (asked, elapsed)
    assert asked == {AUTHORIZE: FRIENDS}  # whose intentions are not watched: strangers make nobody busy


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
