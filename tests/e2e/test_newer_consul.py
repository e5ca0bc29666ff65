# SPDX-License-Identifier: Apache-2.0
"""The behaviour of Consul since 1.16, by a scripted agent: newer_agent.py."""

import pytest

from ca import Authority
from fake_agent import AUTHORIZE, LEAF, ROOTS, TRUST_DOMAIN
from newer_agent import NewerAgent
from processes import wait_until
from programs import AS_SHIPPED, TLS12, TLS13

pytestmark = [pytest.mark.faults, pytest.mark.parametrize("fake", [NewerAgent], indirect=True)]


@pytest.fixture
def friend(programs, fake):
    return fake.authority.service("friend").files(programs.folder, "friend")


def start(programs, fake, friend, **settings):
    """Start a server that watches."""
    server = programs.server("-nocert", config=programs.config(fake, service="web", **settings))
    for _ in range(3):
        assert programs.talk(server, TLS13, *friend).talked
    wait_until(lambda: any("index" in one.query and "us" not in one.query["wait"] for one in fake.seen(LEAF)), "a watch")
    return server


def test_it_restarts(programs, fake, friend):
    """It has no leaf then, and sends not a byte to a request for a newer one."""
    server = start(programs, fake, friend)
    for _ in range(3):
        fake.stop()
        fake.start()
        for version in (TLS12, TLS13):
            outcome = programs.talk(server, version, *friend)
            assert outcome.talked, outcome


def test_a_newcomer(programs, fake, friend):
    """A process without an index asks for a leaf above all of them."""
    for _ in range(3):
        fake.stop()
        fake.start()
        newcomer = programs.server("-nocert", config=programs.config(fake, service="web"))
        assert programs.talk(newcomer, TLS13, *friend).talked


def test_it_rotates(programs, fake, friend):
    """It has a leaf of the old root only, unless the request is plain. The old root is withdrawn."""
    server = start(programs, fake, friend)
    other = Authority(TRUST_DOMAIN, "Other Root")
    fake.rotate(other)
    visitor = other.service("friend").files(programs.folder, "visitor")
    outcome = programs.talk(server, TLS13, *visitor)
    assert outcome.talked, outcome
    assert programs.talk(server, TLS13, *friend).refused


def test_queries_that_are_cut(programs, fake, friend):
    """A write timeout that is shorter than watch_wait ends each query without an answer. The agent is not crowded."""
    fake.write_timeout = 0.3
    server = start(programs, fake, friend)

    def plain_and_waiting():
        waits = ["index" in one.query for one in fake.seen(ROOTS)]
        return sum(was and not now for was, now in zip(waits, waits[1:])) > 2

    wait_until(plain_and_waiting, "further queries")
    assert programs.talk(server, TLS13, *friend).talked


def test_one_leaf_for_all_datacenters(programs, fake):
    first = programs.storeutl("consul:leaf/web?dc=dc2", config=programs.config(fake))
    assert first.code == 0, first
    second = programs.storeutl("consul:leaf/web?dc=dc1", config=programs.config(fake))
    assert second.code != 0 and "keeps one for all datacenters" in second.output, second
    other = programs.storeutl("consul:leaf/api?dc=dc1", config=programs.config(fake))
    assert other.code == 0, other


@pytest.mark.parametrize("kind", [ROOTS, LEAF, AUTHORIZE], ids=["roots", "leaf", "authorize"])
@pytest.mark.parametrize("status", [429, 503])
def test_it_is_limited(programs, fake, friend, kind, status):
    """limits.request_limits is no loss, and no matter of tokens."""
    fake.limit(kind, status)
    server = programs.server("-nocert", config=programs.config(fake, service="web", on_agent_loss="last-known", **AS_SHIPPED))
    outcome = programs.talk(server, TLS13, *friend)
    assert outcome.refused and "limits.request_limits" in outcome.server and "token needs" not in outcome.server, outcome
    fake.answer(kind, None)
    wait_until(lambda: programs.talk(server, TLS13, *friend).talked, "a handshake that is served")
    fake.limit(AUTHORIZE, status)
    assert programs.talk(server, TLS13, *friend).refused


def test_it_takes_no_writes(programs, fake, friend):
    """A question is a POST."""
    fake.restrict()
    server = programs.server("-nocert", config=programs.config(fake, service="web"))
    outcome = programs.talk(server, TLS13, *friend)
    assert outcome.refused and "allow_write_http_from" in outcome.server, outcome


def test_another_partition(programs, fake, friend):
    """The agent of one partition answers 400 to a question about another. Before 1.16 it said no."""
    fake.leaves["web"] = fake.authority.issue([f"spiffe://{fake.trust_domain}/ap/east/ns/default/dc/dc1/svc/web"])
    server = programs.server("-nocert", config=programs.config(fake, service="web", partition="east"))
    outcome = programs.talk(server, TLS13, *friend)
    assert outcome.refused and "HTTP status 400" in outcome.server, outcome


@pytest.mark.parametrize("path", [
    "/ns/default/identity/friend", "/ap/default/ns/default/identity/friend", "/gateway/mesh/dc/dc1",
])
def test_other_kinds_of_peers(programs, fake, friend, path):
    """A workload identity is no service, even where the agent says yes."""
    server = start(programs, fake, friend)
    peer = fake.authority.issue([f"spiffe://{fake.trust_domain}{path}"]).files(programs.folder, "peer")
    assert programs.talk(server, TLS13, *peer).refused
    assert programs.talk(server, TLS13, *friend).talked


def test_leaves_with_names(programs, fake, friend):
    """Newer API gateways have names in their leaves. A client's leaf with a host name is admitted by its ID."""
    server = start(programs, fake, friend)
    named = fake.authority.service("gate", dns=["x.api-gateway.consul"]).files(programs.folder, "named")
    assert programs.talk(server, TLS13, *named).talked
