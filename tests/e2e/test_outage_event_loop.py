# SPDX-License-Identifier: Apache-2.0
"""An agent that does not answer must not stall a server with one thread for all: nginx with one worker."""

import signal
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

import nginx
import outages
import stand_ins
from fake_agent import LEAF, silent
from load import figures
from processes import wait_until
from programs import AS_SHIPPED
from visitors import Visitor

DOCUMENT = Path(__file__).resolve().parents[2] / "doc" / "live" / "event-loop.md"
TITLE = "Twenty connections at the same time to nginx with one worker"
CROWD = 20
POLICIES = ["refuse", "last-known"]
WAITED = 2.9  # seconds of a visit that has waited for an authorize_timeout of 3 s
IN_ALL = CROWD / 2  # seconds for all; in turn each of them would take authorize_timeout, a second


class Quiet(outages.Hung):
    """The answers to a process's watches soon count as old."""

    title = "hung (SIGSTOP), for longer than its watches last"
    settings = {"watch_wait": "100ms", "request_timeout": "1s"}


class LeaderHung(outages.Outage):
    """The local agent answers from its cache, and leaves other requests without an answer."""

    title = "its leader hung, and the decisions not cached"
    said = outages.Hung.said

    def begin(self):
        outages.hang(self.elsewhere.process)

    def end(self):
        self.elsewhere.process.signal(signal.SIGCONT)


ROWS = [outages.Hung, Quiet, outages.TooSlow, outages.Exhausted, outages.LimitedAndRestarted, LeaderHung]


class Shop:
    """One nginx, which is the service web, and its customers."""

    def __init__(self, programs, outage, policy):
        self.log = programs.path("nginx.connect")
        config = programs.config(outage.address, on_agent_loss=policy, log=self.log, **{**AS_SHIPPED, **outage.settings})
        self.process = nginx.start(programs, *stand_ins.make(programs, "consul:leaf/web"), ["hello"], config)
        self.friend = Visitor(programs.folder, outage.local.leaf("friend"), "friend")

    def visit(self, _=None):
        return self.friend.visit(self.process.ports[0], b"GET / HTTP/1.0\r\n\r\n")

    def crowd(self):
        """Visit all at the same time. Return how many were served, and the seconds."""
        with ThreadPoolExecutor(CROWD) as pool:
            began = time.monotonic()
            served = sum(visit.served for visit in pool.map(self.visit, range(CROWD)))
            return served, time.monotonic() - began


@pytest.fixture
def outage(request, tmp_path):
    one = request.param(tmp_path / "agents")
    yield one
    one.close()


@pytest.fixture(scope="module")
def rows():
    some = []
    yield some
    figures.publish("event-loop", TITLE, some, ("The agent is", "The worker", "`on_agent_loss`", "Served", "In all", "Served again after"))


def served_of_crowd(outage, is_known, policy):
    """Return how many of a crowd are served while the agent is lost."""
    has_decisions = outage is LeaderHung and is_known  # in the agent's cache
    outlasts = is_known and policy == "last-known" and outage.leaves == outages.GONE
    return CROWD if has_decisions or outlasts else 0


def cells(outage, is_known, policy, served):
    """Return the cells of a row of the documentation, without the times."""
    return outage.title, "serves already" if is_known else "is new", f"`{policy}`", f"{served} of {CROWD}"


@pytest.mark.parametrize("policy", POLICIES)
@pytest.mark.parametrize("is_known", [False, True], ids=["new", "known"])
@pytest.mark.parametrize("outage", ROWS, ids=lambda kind: kind.__name__, indirect=True)
def test_a_crowd(programs, outage, rows, is_known, policy):
    """One waits at most for authorize_timeout, the others are decided at once."""
    outage.elsewhere.allow("friend", "other")  # the agent caches roots and leaf, but no decision for web
    outage.local.leaf("web")
    shop = Shop(programs, outage, policy)
    if is_known:
        assert all(shop.visit().served for _ in range(3))
    outage.begin()
    try:
        served, elapsed = shop.crowd()
        again, elapsed_again = shop.crowd()
    finally:
        outage.end()
    ended = time.monotonic()
    assert served == again == served_of_crowd(type(outage), is_known, policy), shop.log.read_text()
    assert elapsed < IN_ALL and elapsed_again < IN_ALL, (elapsed, elapsed_again)
    while not shop.visit().served:
        assert time.monotonic() < ended + 20
    rows.append((*cells(outage, is_known, policy, served),
                 f"{elapsed:.2f} s", figures.milliseconds(time.monotonic() - ended)))


def test_one_question_without_an_answer(programs, tmp_path):
    """The leaf is of a datacenter that is cut off. A handshake that needs it is refused at once."""
    outage = outages.Slow(tmp_path / "agents")
    try:
        config = programs.config(outage.address, authorize_timeout="3s")
        services = ("web", "far")
        process = nginx.start_each(
            programs, [stand_ins.make(programs, f"consul:leaf/{name}") for name in services], services, config)
        friend = Visitor(programs.folder, outage.local.leaf("friend"), "friend")

        def visit(name):
            port = process.ports[services.index(name)]
            return friend.visit(port, b"GET / HTTP/1.0\r\n\r\n", name.encode())

        def answer(connection):
            usual = outage.relay.usual(LEAF, connection.request)
            (silent if connection.request.path.endswith("far") else usual)(connection)

        outage.relay.answer(LEAF, answer)
        first = visit("far")
        assert not first.served and first.elapsed > WAITED  # or there was nothing to be learnt
        wait_until(lambda: visit("web").served, "the probe")
        for _ in range(10):
            far, web = visit("far"), visit("web")
            assert web.served and web.elapsed < WAITED and not far.served and far.elapsed < WAITED, (far, web)
        outage.relay.answer(LEAF, None)
        wait_until(lambda: visit("far").served, "its leaf")
    finally:
        outage.close()


def test_the_documentation_shows_these():
    """But for the times, which are of another run."""
    shown = [row[:-2] for row in figures.shown(DOCUMENT, TITLE)]
    wanted = [cells(outage, is_known, policy, served_of_crowd(outage, is_known, policy))
              for outage in ROWS for is_known in (False, True) for policy in POLICIES]
    assert sorted(shown) == sorted(wanted)
