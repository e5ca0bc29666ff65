# SPDX-License-Identifier: Apache-2.0
"""Decisions that are known before they are needed, and everything that must make them be asked for anew."""

import socket
import ssl
import time
from pathlib import Path

import pytest

import sources
import stand_ins
from ca import ec_key
from fake_agent import AUTHORIZE, INTENTIONS, LEAF, FakeAgent, silent, value
from processes import wait_until
from programs import PYTHON, Server

pytestmark = pytest.mark.faults

VERSIONS = (ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3)
AGE = sources.constant("store/decide.c", "VERDICT_AGE_MS") / 1000  # seconds for which a decision is used
LAG = sources.constant("store/cache/epoch.c", "SETTLING_MS") / 1000  # seconds for which the agent may lag behind
YES, NO = value({"Authorized": True, "Reason": "yes"}), value({"Authorized": False, "Reason": "no"})


def only_the_list_blocks(agent):
    """Answer as Consul 1.8 does: a query cannot wait for the intentions of one service."""
    usual = agent.usual

    def answer(kind, request):
        return value({}) if request.path.endswith("/match") else usual(kind, request)

    agent.usual = answer


@pytest.fixture
def fake():
    one = FakeAgent()
    one.watchable = True
    yield one
    one.stop()


class World:
    """A busy server, which keeps verdicts about one client after a while."""

    def __init__(self, programs, agent, service, friend, env=None, **settings):
        self.programs, self.agent, self.service = programs, agent, service
        self.log = programs.path("connect.log")
        config = programs.config(agent, log=self.log, **settings)
        self.server = programs.start(Server, self.command(), config, {**programs.leaks_allowed(), **(env or {})}).ready()
        self.friend = self.client(friend)

    def command(self):
        identity = stand_ins.make(self.programs, f"consul:leaf/{self.service}")
        return [PYTHON, Path(__file__).with_name("live_server.py"), "one", *identity, self.programs.folder]

    def client(self, identity):
        _, certificate, _, key, *_ = identity.files(self.programs.folder, f"client-{id(identity)}")
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
        context.load_cert_chain(certificate, key)
        return context

    def served(self, client=None, version=None):
        context = client or self.friend
        context.maximum_version = version or ssl.TLSVersion.MAXIMUM_SUPPORTED
        try:
            plain = socket.create_connection(("127.0.0.1", self.server.port), 20)
            plain.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            with context.wrap_socket(plain) as connection:
                connection.sendall(b"hello")
                return connection.recv(64) == b"hello"
        except OSError:
            return False

    def questions(self):
        return len(self.agent.seen(AUTHORIZE))

    def unasked(self, client=None):
        """Return true where this client is served without a question."""
        before = self.questions()
        assert self.served(client), self.log.read_text()
        return self.questions() == before

    def settle(self):
        wait_until(self.unasked, "a decision that is known", poll=0)  # a pause would make a slow server quiet
        return self

    def asks_seldom(self, visit):
        """Check that sixty visits bring about thirty questions at most. A host that is held up may make the server quiet."""
        def is_seldom():
            before = self.questions()
            assert all(visit(number) for number in range(60))
            return self.questions() - before < 30

        wait_until(is_seldom, "visits with few questions")

    def refuses_by(self, age):
        """Wait for a refusal. No visit that began later than this age is served."""
        began = time.monotonic()
        late = []

        def is_over():
            tried = time.monotonic() - began
            served = self.served()
            late.extend([tried] if served and tried > age else [])
            return not served

        wait_until(is_over, "a refusal")
        return not late

    def keep_busy(self, identity):
        """Return a function by which another client connects, so that its decisions are not known."""
        other = self.client(identity)
        return lambda: self.served(other)

    def change(self, kind=INTENTIONS, meanwhile=None):
        """Change what the agent says, and return once the watch has heard of it. Another client keeps the server busy."""
        meanwhile = meanwhile or self.keep_busy(self.agent.authority.service("passer-by"))
        self.agent.await_told(kind, lambda: self.agent.change(kind), meanwhile)


@pytest.fixture
def world(programs, fake):
    return World(programs, fake, "web", fake.authority.service("friend"), watch_wait="1s")


def test_a_known_decision_is_not_asked_for(world):
    """It is asked for now and then only, in both versions of TLS."""
    world.settle()
    world.asks_seldom(lambda number: world.served(version=VERSIONS[number % 2]))
    wait_until(lambda: not world.unasked(), "another question", 5 * AGE)


def test_a_busy_server_asks_for_no_leaf(world):
    """Its watch has a query for the leaf and one for intentions. Each ends after a second without news."""
    world.settle()
    before, began = len(world.agent.seen(LEAF)), time.monotonic()
    for _ in range(60):
        assert world.served()
    assert len(world.agent.seen(LEAF)) - before <= time.monotonic() - began + 1


def test_replicas_of_one_client(world):
    """They have one identity, and a certificate each: a verdict on one does not replace the other's."""
    other = world.client(world.agent.authority.service("friend"))
    world.settle()
    wait_until(lambda: world.unasked(other), "a decision that is known")
    world.asks_seldom(lambda number: world.served((world.friend, other)[number % 2]))


def test_a_replica_that_is_denied(world):
    """No watch has heard of a change. The kept verdict about this client does not count any more then."""
    world.settle()
    world.agent.answer(AUTHORIZE, NO)
    assert not world.served(world.client(world.agent.authority.service("friend")))
    assert not world.served()


@pytest.mark.parametrize("watched", ["one", "all"])
def test_a_change_counts_at_once(world, watched):
    """Where one service's intentions can be watched, and where (Consul 1.8) only all of them can."""
    if watched == "all":
        only_the_list_blocks(world.agent)
    world.settle()
    paths = {request.path for request in world.agent.seen(INTENTIONS)}
    assert paths == ({INTENTIONS + "/match"} if watched == "one" else {INTENTIONS + "/match", INTENTIONS})
    for _ in range(2):
        world.agent.answer(AUTHORIZE, NO)
        world.change()
        assert not world.served()
        world.agent.answer(AUTHORIZE, YES)
        assert world.served()  # a no is never kept
    assert all(request.query["by"] == "destination" and request.query["name"] == "web"
               for request in world.agent.seen(INTENTIONS + "/match"))


def test_an_agent_whose_decisions_lag_behind(world):
    """Just after a change its word may be the one of earlier, and is not relied on."""
    def is_soon_enough():
        """Tell whether all visits were within the time for which it may lag behind."""
        world.agent.answer(AUTHORIZE, YES)
        world.settle()
        world.change()
        changed = time.monotonic()
        assert all(world.served() for _ in range(4))
        world.agent.answer(AUTHORIZE, NO)
        refused = [not world.served() for _ in range(2)]
        if time.monotonic() - changed > LAG / 2:
            return False
        assert all(refused)
        return True

    wait_until(is_soon_enough, "six visits in time")


def test_a_watch_that_is_silently_broken(world):
    """It hears of nothing any more, and does not know. No client is let in for longer than a moment."""
    world.settle()
    asked = len(world.agent.seen(INTENTIONS))
    world.agent.answer(INTENTIONS, silent)
    wait_until(lambda: world.served() and len(world.agent.seen(INTENTIONS)) > asked, "the query without an end")
    world.settle()  # by the watch's last word
    world.agent.answer(AUTHORIZE, NO)
    assert world.refuses_by(AGE)


def test_an_agent_that_hangs_decides_nothing(world):
    world.settle()
    for kind in (AUTHORIZE, INTENTIONS):
        world.agent.answer(kind, silent)
    assert world.refuses_by(AGE)  # it was known for so long
    assert not world.served()
    for kind in (AUTHORIZE, INTENTIONS):
        world.agent.answer(kind, None)
    wait_until(world.served, "an answer")


def test_a_broken_watch_vouches_for_nothing(world):
    world.settle()
    world.agent.stop()
    wait_until(lambda: not world.served(), "a refusal", 5 * AGE)
    world.agent.answer(AUTHORIZE, NO)  # first, as the watch may ask as soon as it can
    world.agent.start()
    assert not world.served()
    world.agent.answer(AUTHORIZE, YES)
    assert world.served()


def test_decisions_are_about_one_certificate(world, fake):
    """Another certificate is not let in unasked, of another service or of the same service and key."""
    key = ec_key()
    friend = world.client(fake.authority.service("friend", key=key))
    wait_until(lambda: world.unasked(friend), "a decision that is known")
    world.agent.answer(AUTHORIZE, NO)
    for service in ("friend", "other"):
        assert not world.served(world.client(fake.authority.service(service, key=key)))


def test_without_permission_to_read_intentions(world):
    """Each connection is asked about, as plain Connect does."""
    world.agent.answer(INTENTIONS, value("Permission denied", 403))
    wait_until(lambda: world.served() and world.agent.seen(INTENTIONS), "the watch")
    end = time.monotonic() + 2 * AGE
    while time.monotonic() < end:
        assert not world.unasked()


@pytest.mark.consul
def test_a_deny_reaches_a_real_agent(programs, agent, service):
    """The whole way: known, denied, allowed, known. The news reach a watch in the time that doc/live.md tells."""
    world = World(programs, agent, service, agent.leaf(f"friend-{service}"), watch_wait="1s")
    end = time.monotonic() + 5 * AGE  # busy, settled, known
    while time.monotonic() < end:
        assert world.served()
    agent.deny(f"friend-{service}", service)
    wait_until(lambda: not world.served(), "the denial")
    assert not any(world.served() for _ in range(20))
    agent.allow(f"friend-{service}", service)
    assert world.served()
