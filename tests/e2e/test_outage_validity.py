# SPDX-License-Identifier: Apache-2.0
"""While the agent is away, a kept leaf or root serves as long as it is valid, and no longer."""

import datetime
import time

import pytest

import stand_ins
from ca import Authority, TRADITIONAL, ec_key
from fake_agent import ROOTS, TRUST_DOMAIN, FakeAgent, value
from newer_agent import NewerAgent
from processes import wait_until
from visitors import Visitor

LIVES = 4, 12, 36  # seconds: a busy host may use up the first ones before the agent is gone
LEFT = 2  # seconds of a life in which the agent is away
BY_URI, CONFIGURED, STAND_IN = "by URI", "configured", "stand-in"


def in_seconds(seconds):
    return seconds / datetime.timedelta(days=1).total_seconds()


def start(programs, fake, kind):
    """Start an s_server that answers each connection with a page. It would honour a past denial, too."""
    settings = {"on_agent_loss": "last-known"}
    if kind == BY_URI:
        return programs.connect_server("web", "-www", config=programs.config(fake, **settings))
    if kind == STAND_IN:
        certificate, key = stand_ins.make(programs, "consul:leaf/web")
        return programs.server("-cert", certificate, "-key", key, "-www", config=programs.config(fake, **settings))
    return programs.server("-nocert", "-www", config=programs.config(fake, service="web", **settings))


def is_served(visitor, server):
    return visitor.visit(server.port, b"GET / HTTP/1.0\r\n\r\n", b"HTTP/1.0 200").served


def serves_until_the_end(fake, begin):
    """Check that it serves until the end, and no handshake that began after the end.

    `begin` takes a life in seconds. It returns a server, its visitor, and the certificate with this life.
    """
    for life in LIVES:
        server, visitor, certificate = begin(in_seconds(life))
        is_first_served, end = is_served(visitor, server), expiry(certificate)
        fake.stop()
        if time.time() < end - LEFT:
            break
        fake.start()
    assert is_first_served
    visits = []

    def is_over():
        began = time.time()
        visits.append((began, is_served(visitor, server), time.time()))
        return began > end + 1.5  # several, too, after it

    wait_until(is_over, "the end of its validity", poll=0.1)
    assert not [began for began, served, _ in visits if served and began >= end]
    assert [began for began, served, _ in visits if served]
    refused = [ended for _, served, ended in visits if not served]
    assert refused[0] >= end - 1.5, end - refused[0]  # whole seconds, and no earlier


def expiry(certificate):
    return certificate.not_valid_after.replace(tzinfo=datetime.timezone.utc).timestamp() + 1


@pytest.mark.parametrize("fake", [FakeAgent, NewerAgent], indirect=True)
@pytest.mark.parametrize("kind", [BY_URI, CONFIGURED, STAND_IN])
def test_a_leaf(programs, fake, kind):
    def begin(life):
        fake.leaves["web"] = fake.authority.service("web", key=ec_key(), form=TRADITIONAL, ends=life)
        friend = Visitor(programs.folder, fake.authority.service("friend"), "friend")
        return start(programs, fake, kind), friend, fake.leaves["web"].x509

    serves_until_the_end(fake, begin)


@pytest.mark.parametrize("kind", [BY_URI, CONFIGURED, STAND_IN])
def test_the_root_of_a_peer(programs, fake, kind):
    """Its own, and so its leaf's, is still valid."""
    def begin(life):
        other = Authority(TRUST_DOMAIN, "Short Root", ends=life)
        fake.answer(ROOTS, value({**fake.roots(), "Roots": [fake.root(), fake.root(other)]}))
        friend = Visitor(programs.folder, other.service("friend"), "friend")
        return start(programs, fake, kind), friend, other.certificate

    serves_until_the_end(fake, begin)


@pytest.mark.parametrize("kind", [BY_URI, CONFIGURED, STAND_IN])
def test_the_root_of_the_own_leaf(programs, fake, kind):
    """The leaf says that it lives longer than its root, and so it does not."""
    def begin(life):
        other = Authority(TRUST_DOMAIN, "Short Root", ends=life)
        fake.answer(ROOTS, value({**fake.roots(), "Roots": [fake.root(other), fake.root()]}))
        fake.leaves["web"] = other.service("web", key=ec_key(), form=TRADITIONAL)
        friend = Visitor(programs.folder, fake.authority.service("friend"), "friend")
        return start(programs, fake, kind), friend, other.certificate

    serves_until_the_end(fake, begin)


def test_the_intermediate_of_the_own_leaf(programs, fake):
    def begin(life):
        short = fake.authority.intermediate(ends=life)
        fake.leaves["web"] = short.service("web", key=ec_key(), form=TRADITIONAL)
        friend = Visitor(programs.folder, fake.authority.service("friend"), "friend")
        return start(programs, fake, CONFIGURED), friend, short.certificate

    serves_until_the_end(fake, begin)
