"""Decisions that are known before they are needed, and everything that must make them be asked for anew."""

import time

import pytest

from ca import ec_key
from fake_agent import AUTHORIZE, INTENTIONS, FakeAgent, silent, value
from processes import wait_until
from programs import TLS12, TLS13, VERSIONS

AGE = 2  # seconds for which a decision is used
YES, NO = value({"Authorized": True, "Reason": "yes"}), value({"Authorized": False, "Reason": "no"})


@pytest.fixture
def fake():
    one = FakeAgent()
    one.watchable = True
    yield one
    one.stop()


class World:
    """A server whose decisions about one client are known, after a while."""

    def __init__(self, programs, fake, server):
        self.programs, self.fake, self.server = programs, fake, server
        self.friend = fake.authority.service("friend").files(programs.folder, "friend")

    def served(self, identity=None, version=TLS13):
        outcome = self.programs.talk(self.server, version, *(identity or self.friend))
        assert outcome.talked or outcome.refused, outcome
        return outcome.talked

    def questions(self):
        return len(self.fake.seen(AUTHORIZE))

    def unasked(self, identity=None):
        """Is this client served without a question?"""
        before = self.questions()
        assert self.served(identity)
        return self.questions() == before

    def settle(self):
        wait_until(self.unasked, "a decision that is known")
        return self

    def change(self):
        """Returns once the server's watch has heard of it: then it asks again."""
        heard = len(self.fake.seen(INTENTIONS))
        self.fake.change(INTENTIONS)
        wait_until(lambda: len(self.fake.seen(INTENTIONS)) > heard, "the watch")


@pytest.fixture
def world(programs, fake):
    return World(programs, fake, programs.connect_server("web", config=programs.config(fake)))


def test_a_known_decision_is_not_asked_for(world):
    """But now and then, and in both versions of TLS."""
    world.settle()
    before = world.questions()
    for number in range(20):
        assert world.served(version=VERSIONS[number % 2])
    assert world.questions() - before < 10
    wait_until(lambda: not world.unasked(), "another question", 5 * AGE)


@pytest.mark.parametrize("watched", ["one", "all"])
def test_a_change_counts_at_once(world, watched):
    """Where one service's intentions can be watched, and where (Consul 1.8) only all of them can."""
    if watched == "all":
        usual = world.fake.usual

        def answer(kind, request):
            return value({}) if request.path.endswith("/match") else usual(kind, request)

        world.fake.usual = answer
    world.settle()
    paths = {request.path for request in world.fake.seen(INTENTIONS)}
    assert paths == ({INTENTIONS + "/match"} if watched == "one" else {INTENTIONS + "/match", INTENTIONS})
    for _ in range(2):
        world.fake.answer(AUTHORIZE, NO)
        world.change()
        assert not world.served()
        world.fake.answer(AUTHORIZE, YES)
        assert world.served()  # a no is never kept
    assert all(request.query["by"] == "destination" and request.query["name"] == "web"
               for request in world.fake.seen(INTENTIONS + "/match"))


def test_an_agent_whose_decisions_lag_behind(world):
    """What it says just after a change may be what was right before it, and is not relied on."""
    world.settle()
    left = [4]

    def lagging(connection):
        left[0] -= 1
        (YES if left[0] >= 0 else NO)(connection)

    world.fake.answer(AUTHORIZE, lagging)
    world.change()
    assert [world.served() for _ in range(6)] == [True] * 4 + [False] * 2


def test_a_watch_that_is_silently_broken(world):
    """It hears of nothing any more, and does not know. Nobody is let in for longer than a moment."""
    world.fake.answer(INTENTIONS, None)
    world.settle()
    world.fake.answer(INTENTIONS, silent)
    world.change()
    world.fake.answer(AUTHORIZE, NO)
    began = time.monotonic()
    wait_until(lambda: not world.served(), "a refusal", 5 * AGE)
    assert time.monotonic() - began < 2 * AGE


def test_an_agent_that_hangs_decides_nothing(world):
    world.settle()
    for kind in (AUTHORIZE, INTENTIONS):
        world.fake.answer(kind, silent)
    wait_until(lambda: not world.served(), "a refusal", 10 * AGE)
    assert not world.served()
    for kind in (AUTHORIZE, INTENTIONS):
        world.fake.answer(kind, None)
    wait_until(world.served, "an answer")


def test_a_broken_watch_vouches_for_nothing(world):
    world.settle()
    world.fake.stop()
    wait_until(lambda: not world.served(), "a refusal", 5 * AGE)
    world.fake.start()
    world.fake.answer(AUTHORIZE, NO)
    assert not world.served()
    world.fake.answer(AUTHORIZE, YES)
    assert world.served()


def test_decisions_are_about_one_certificate(world, programs, fake):
    """Neither another one of the same service and key, nor of another service, is let in unasked."""
    key = ec_key()
    friend = fake.authority.service("friend", key=key).files(programs.folder, "first")
    wait_until(lambda: world.unasked(friend), "a decision that is known")
    world.fake.answer(AUTHORIZE, NO)
    for number, service in enumerate(("friend", "other")):
        identity = fake.authority.service(service, key=key).files(programs.folder, f"again-{number}")
        assert not world.served(identity)


def test_without_permission_to_read_intentions(world):
    """Each connection is asked about, as plain Connect does."""
    world.fake.answer(INTENTIONS, value("Permission denied", 403))
    for _ in range(3):
        assert world.served()
    wait_until(lambda: len(world.fake.seen(INTENTIONS)) > 0, "the watch")
    end = time.monotonic() + 2 * AGE
    while time.monotonic() < end:
        assert not world.unasked()


def test_a_deny_reaches_a_real_agent(programs, agent, service):
    """The whole way: known, denied, allowed, known."""
    server = programs.connect_server(service, config=programs.config(agent))
    friend = agent.leaf(f"friend-{service}").files(programs.folder, "friend")
    end = time.monotonic() + 3 * AGE
    while time.monotonic() < end:
        assert programs.talk(server, TLS12, *friend).talked
    agent.deny(f"friend-{service}", service)
    assert programs.talk(server, TLS13, *friend).refused
    agent.allow(f"friend-{service}", service)
    assert programs.talk(server, TLS13, *friend).talked
