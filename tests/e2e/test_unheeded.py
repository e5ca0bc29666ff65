# SPDX-License-Identifier: Apache-2.0
"""Intentions with a condition that the agent's decisions leave out. A watch shows them, and its yes does not count."""

import pytest

from fake_agent import INTENTIONS, FakeAgent, value
from processes import wait_until
from relay import Relay
from test_current_consul import Entry, since_1_14
from test_decisions import World

pytestmark = pytest.mark.consul

ALLOW = {"Action": "allow"}
JWT = {"JWT": {"Providers": [{"Name": "okta"}]}}
OF_PEER = {"SourcePeer": "cluster-02"}


def row(source, *more):
    result = {"SourceNS": "default", "SourceName": source, "DestinationNS": "default", "DestinationName": "web",
              "SourceType": "consul"}
    for some in more:
        result.update(some)
    return result


class Listing(FakeAgent):
    """Shows these intentions to a watch."""

    rows = ()

    def usual(self, kind, request):
        if kind != INTENTIONS:
            return super().usual(kind, request)
        headers = self.headers(kind, request)
        return value({"web": list(self.rows)}, **headers)

    def without_index(self, connection):
        """Show them at once, as an agent of which no query can wait for a change."""
        value({"web": list(self.rows)})(connection)


def show(world, rows):
    """Show them, and return once the watch of a busy server has heard of it."""
    world.agent.rows = rows
    world.change(meanwhile=world.served)


@pytest.fixture
def listing():
    one = Listing()
    one.watchable = True
    yield one
    one.stop()


@pytest.fixture
def world(programs, listing):
    return World(programs, listing, "web", listing.authority.service("friend"), watch_wait="1s")


def test_what_is_listed(world):
    """The agent says yes to all of them; tests/unit/store/agent/test_intentions.c has more lists."""
    for rows, said in (
        ([row("friend", ALLOW, JWT)], "the intention allow friend => web demands a JWT"),
        ([row("friend", ALLOW)], None),
        ([row("*", ALLOW, OF_PEER)], 'the intention allow * => web is about services of the peer "cluster-02"'),
        ([row("friend", ALLOW), row("*", ALLOW, OF_PEER)], None),
    ):
        show(world, rows)
        assert world.served() is (said is None), rows
        assert said is None or said in world.log.read_text()


def test_one_that_is_known(world, listing):
    """A kept decision stands by the list of its moment."""
    listing.rows = [row("other", ALLOW, JWT)]
    world.settle()
    show(world, [row("friend", ALLOW, JWT)])
    assert not any(world.served() for _ in range(200))
    show(world, [])
    world.settle()


def test_no_watch_any_more(world, listing):
    """The list is asked for again before it refuses any client."""
    listing.rows = [row("friend", ALLOW, JWT)]
    wait_until(lambda: not world.served(), "the list")
    listing.answer(INTENTIONS, listing.without_index)
    listing.change(INTENTIONS)
    wait_until(lambda: world.served() or any(request.path == INTENTIONS for request in listing.requests),
               "the question for the list of all services")
    assert not world.served()
    listing.rows = []
    wait_until(world.served, "the friend")


@since_1_14
def test_a_real_peer(programs, ours, service):
    """The agent takes an intention about a peer's service for one about the local service of that name."""
    relay, entry, source = Relay(ours), Entry(ours, service), f"friend-{service}"
    relay.watchable = True
    everywhere = Entry(ours, "*")
    try:
        everywhere.write([{"Name": "*", "Action": "deny"}])
        entry.write([{"Name": source, "Action": "allow"}])
        wait_until(lambda: ours.allows(source, service), "the intention")
        world = World(programs, relay, service, ours.leaf(source), watch_wait="5s").settle()
        other = world.keep_busy(ours.leaf(f"other-{service}"))
        relay.await_told(
            INTENTIONS, lambda: entry.write([{"Name": source, "Peer": "cluster-02", "Action": "allow"}]), other)
        wait_until(lambda: ours.allows(source, service), "the agent's yes")
        assert not any(world.served() for _ in range(50))
        assert ours.allows(source, service)
        relay.await_told(INTENTIONS, lambda: entry.write([{"Name": source, "Action": "allow"}]), other)
        world.settle()
    finally:
        relay.stop()
        entry.remove()
        everywhere.remove()
