# SPDX-License-Identifier: Apache-2.0
"""How much is asked of a real agent that answers 429, as it may call its servers no more (limits.rpc_rate).

The outage matrix has which clients are served then, and that all are served again afterwards.
"""

import time
from pathlib import Path

import pytest

import outages
import stand_ins
from processes import wait_until
from programs import AS_SHIPPED, PYTHON, Server
from relay import Relay
from visitors import Visitor

pytestmark = pytest.mark.consul

SCRIPT = Path(__file__).with_name("live_server.py")
VISITS = 20
EACH = 4  # requests for a handshake of one that has been served: twice for the leaf, the roots, the decision
THREAD = 4  # requests of a server's own thread in a second


class Limited(outages.LimitedAndRestarted):
    """With a relay, which counts."""

    def build(self):
        super().build()
        self.relay = Relay(self.local)
        self.address = self.relay.address

    def close(self):
        self.relay.stop()
        super().close()


@pytest.fixture(scope="module")
def agents(tmp_path_factory):
    one = Limited(tmp_path_factory.mktemp("limited"))
    yield one
    one.close()


@pytest.fixture
def outage(agents):
    yield agents
    agents.end()


class Subject:
    """A server of the service web in one process, and its friend."""

    def __init__(self, programs, outage, open_folders, policy="refuse"):
        self.relay, self.log = outage.relay, programs.path("connect.log")
        self.friend = Visitor(programs.folder, outage.elsewhere.leaf("friend"), "friend")
        config = programs.config(outage.address, on_agent_loss=policy, log=self.log, **AS_SHIPPED)
        self.process = programs.start(
            Server, [PYTHON, SCRIPT, "one", *stand_ins.make(programs, "consul:leaf/web"), open_folders("empty")],
            config, programs.leaks_allowed()).ready()

    def served(self):
        return self.friend.visit(self.process.port).served

    def visits(self, each):
        """Return how many visits are served, one after the other, with so many requests for each at most."""
        mark, began = len(self.relay.requests), time.monotonic()
        served = sum(self.served() for _ in range(VISITS))
        asked, elapsed = len(self.relay.requests) - mark, time.monotonic() - began
        assert asked <= VISITS * each + THREAD * (2 + elapsed), self.relay.requests[mark:]
        return served


def test_a_new_server(programs, open_folders, outage):
    """Its first handshake insists on a leaf; afterwards its thread asks, now and then."""
    outage.begin()
    server = Subject(programs, outage, open_folders)
    assert not server.served()
    assert "HTTP status 429: no text (see limits.rpc_rate" in server.log.read_text()
    assert server.visits(0) == 0
    outage.end()
    wait_until(server.served, "a leaf")


@pytest.mark.parametrize("policy, wanted", [("refuse", 0), ("last-known", 0)])
def test_one_that_serves(programs, open_folders, outage, policy, wanted):
    server = Subject(programs, outage, open_folders, policy)
    assert all(server.served() for _ in range(3))
    outage.begin()
    assert server.visits(EACH) == wanted
    outage.end()
    wait_until(lambda: server.visits(EACH) == VISITS, "the agent")
