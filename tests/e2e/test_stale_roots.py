# SPDX-License-Identifier: Apache-2.0
"""Roots whose watch is silently broken: it is connected, and hears of nothing any more."""

import json
import threading
import time

import pytest

from ca import Authority
from fake_agent import GENEROUS, ROOTS, TRUST_DOMAIN, raw, reset, silent, value
from processes import wait_until
from relay import Relay
from test_decisions import World
from test_live import rotate

pytestmark = [pytest.mark.faults, pytest.mark.consul]

AGE = 3  # seconds: older roots are not used while the agent can be asked
LONG = {"watch_wait": "2m"}


def deafen(agent):
    """Blocking queries for roots are never answered; other questions are."""
    agent.watchable = True
    agent.answer(ROOTS, lambda connection: (
        silent if waits(connection.request) else agent.usual(ROOTS, connection.request))(connection))


def waits(request):
    return ROOTS in request.path and request.query.get("wait", "1us") != "1us"


def serve(programs, agent, friend):
    """Start a server whose watch is broken."""
    deafen(agent)
    world = World(programs, agent, "web", friend, **LONG)
    wait_until(lambda: world.served() and any(waits(request) for request in agent.requests), "the watch")
    return world


def served_for(world, pause=0):
    """Return the seconds until the last visit that is served begins. A visit follows the other after a pause."""
    began, last = time.monotonic(), 0

    def is_over():
        nonlocal last
        world.agent.stopping.wait(pause)
        tried = time.monotonic() - began
        if world.served():
            last = tried
        return last != tried

    wait_until(is_over, "a refusal")
    return last


@pytest.mark.parametrize("pause", [0, 0.5, 2.7], ids=["all the time", "now and then", "seldom"])
def test_a_root_is_withdrawn(programs, fake, pause):
    other = Authority(TRUST_DOMAIN, "Other Root")
    only = fake.roots
    fake.roots = lambda: {**only(), "Roots": [fake.root(), fake.root(other)]}
    world = serve(programs, fake, other.service("friend"))
    assert world.served()
    fake.roots = only
    assert served_for(world, pause) < AGE


def test_an_answer_of_before(programs, fake):
    """It has been on its way to the watch since before the root was withdrawn, and handshakes know better."""
    other, go = Authority(TRUST_DOMAIN, "Other Root"), threading.Event()
    only = fake.roots
    both = {**only(), "Roots": [fake.root(), fake.root(other)]}
    fake.roots = lambda: both
    fake.watchable = True

    def late(connection):
        if not waits(connection.request):
            fake.usual(ROOTS, connection.request)(connection)
        elif go.is_set():
            silent(connection)
        else:
            go.wait(GENEROUS)
            value(both, X_Consul_Index="1")(connection)

    fake.answer(ROOTS, late)
    world = World(programs, fake, "web", other.service("friend"), **LONG)
    wait_until(lambda: world.served() and any(waits(request) for request in fake.requests), "the watch")
    fake.roots = only
    wait_until(lambda: not world.served(), "a refusal")
    heard = len(fake.seen(ROOTS))
    go.set()
    visits = []
    wait_until(lambda: visits.append(world.served()) or len(visits) > 20 and any(
        waits(request) for request in fake.seen(ROOTS)[heard:]), "the watch, again")
    assert not any(visits)


@pytest.mark.parametrize("answer", [reset, raw(429, ""), raw(404, ""), value({})], ids=["no place", "429", "404", "{}"])
def test_a_root_is_withdrawn_and_no_question_for_roots_succeeds(programs, fake, answer):
    """A local user may cause it, and let the questions about clients pass. Such an agent is not lost."""
    other = Authority(TRUST_DOMAIN, "Other Root")
    fake.roots = lambda only=fake.roots: {**only(), "Roots": [fake.root(), fake.root(other)]}
    world = World(programs, fake, "web", other.service("friend"), **LONG)
    assert all(world.served() for _ in range(3))
    fake.answer(ROOTS, answer)
    wait_until(lambda: not world.served(), "a refusal")
    assert not any(world.served() for _ in range(5))
    fake.answer(ROOTS, None)
    wait_until(world.served, "an answer")


def test_few_ask(programs, fake):
    """One handshake in two seconds, of many."""
    fake.watchable = True
    world = World(programs, fake, "web", fake.authority.service("friend"), watch_wait="1s")
    assert all(world.served() for _ in range(3))
    mark, count, began = len(fake.seen(ROOTS)), 0, time.monotonic()
    while count <= 20 or time.monotonic() < began + 7:
        assert world.served()
        count += 1
    asked, elapsed = sum(not waits(request) for request in fake.seen(ROOTS)[mark:]), time.monotonic() - began
    assert 2 <= asked <= elapsed / 2 + 1.5, (count, asked, elapsed)


class Withdrawing(Relay):
    """Lists, when it is told to, the active root and no others."""

    only_active = False

    def ask(self, request):
        status, body, index = super().ask(request)
        if self.only_active and ROOTS in request.path:
            answer = json.loads(body)
            answer["Roots"] = [root for root in answer["Roots"] if root["Active"]]
            body = json.dumps(answer)
        return status, body, index


def test_a_real_root_is_withdrawn(programs, own_agent):
    """A rotation, of which the relay shows the end at once: the old root is not listed any more."""
    relay = Withdrawing(own_agent)
    try:
        world = serve(programs, relay, own_agent.leaf("friend"))
        old = own_agent.leaf("web").certificate
        rotate(own_agent)
        wait_until(lambda: world.served() and own_agent.leaf("web").certificate != old, "its new leaf", 90)
        new = world.client(own_agent.leaf("new-friend"))
        assert world.served() and world.served(new)
        relay.only_active = True
        assert served_for(world) < AGE
        assert world.served(new)
    finally:
        relay.stop()
