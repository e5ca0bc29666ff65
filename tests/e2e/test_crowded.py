# SPDX-License-Identifier: Apache-2.0
"""An agent without a free connection, or without a signature to spare: every client is still decided rightly."""

import concurrent.futures
import socket
from types import SimpleNamespace

import pytest

from processes import wait_until
from programs import TLS13
from test_live import connections

pytestmark = pytest.mark.consul

LIMIT = 8  # connections that the agent takes from this host
WATCHING = LIMIT // 2  # processes that use them up


@pytest.fixture(scope="module")
def crowded(make_agent):
    agent = make_agent(limits={"http_max_conns_per_client": LIMIT})
    agent.wait_for_roots()
    yield agent
    agent.stop()


class Port:
    """The agent as its clients on TCP know it."""

    def __init__(self, agent):
        self.agent = agent
        self.address = agent.address

    def connect(self):
        host, port = self.address.split(":")
        return socket.create_connection((host, int(port)), 10)

    def of_other(self):
        """Return the agent's address for another process."""
        return self

    def watches(self, servers):
        return sum(len(connections(server, self.agent)) for server in servers)


class Socket:
    """The agent as its clients on its unix socket know it. It counts these by themselves."""

    def __init__(self, agent):
        self.path = str(agent.socket)
        self.address = f"unix://{self.path}"

    def connect(self):
        one = socket.socket(socket.AF_UNIX)
        one.settimeout(10)
        one.connect(self.path)
        return one

    def of_other(self):
        return self

    def watches(self, servers):
        """Return the number of all accepted connections: a client's has no path."""
        rows = [line.split() for line in open("/proc/net/unix")]
        return len([row for row in rows if row[-1] == self.path and row[5] == "03"])


class SharedSocket(Socket):
    """The agent as containers with networks of their own know it: slots by one address are unknown by the other."""

    def of_other(self):
        return SimpleNamespace(address=f"unix:///{self.path}")


@pytest.fixture(params=[Port, Socket, SharedSocket])
def way(request, crowded):
    return request.param(crowded)


def serve(programs, way, service, **settings):
    return programs.server("-nocert", config=programs.config(way, service=service, **settings))


def neighbours(way, count):
    """Hold connections without use; the agent may have refused them."""
    return [way.connect() for _ in range(count)]


def answers(way):
    """Return true where the agent takes one more connection, and answers there."""
    try:
        with way.connect() as one:
            one.sendall(b"GET /v1/status/leader HTTP/1.0\r\n\r\n")
            return one.recv(64).startswith(b"HTTP/1.0 200")
    except OSError:
        return False


def test_watches_yield(programs, crowded, way):
    """Where they have left no connection for questions, some are given up; later they come back."""
    friend, foe = (crowded.leaf(name).files(programs.folder, name) for name in ("friend", "foe"))
    crowded.deny("foe", "*")
    watching = [serve(programs, way, f"watching-{number}") for number in range(WATCHING)]
    for number, server in enumerate(watching[:-1], 1):
        for _ in range(3):
            assert programs.talk(server, TLS13, *friend).talked
        wait_until(lambda: way.watches(watching) >= 2 * number, "both watches")
    held = []

    def taken():
        """Hold one more. A connection that has ended may count for a moment yet."""
        held.extend(neighbours(way, 1))
        return not answers(way)

    wait_until(taken, "the last connection to be taken")
    other = serve(programs, way.of_other(), "other")
    for server in [other, *watching]:
        outcome = programs.talk(server, TLS13, *friend)
        assert outcome.talked, outcome
        outcome = programs.talk(server, TLS13, *foe)
        assert outcome.refused and "DENY" in outcome.server, outcome
    for one in held:
        one.close()
    for server in watching:
        wait_until(lambda: programs.talk(server, TLS13, *friend).talked and way.watches([server]), "a watch")
        server.leave()  # all watches together leave no connection for questions


def test_all_taken_by_others(programs, crowded, way):
    """Refused, with the reason; and nothing has to be restarted afterwards."""
    friend = crowded.leaf("friend").files(programs.folder, "friend")
    server = serve(programs, way, "web")
    for _ in range(3):
        assert programs.talk(server, TLS13, *friend).talked
    held = []

    def taken():
        held.extend(neighbours(way, LIMIT))
        outcome = programs.talk(server, TLS13, *friend)
        told = ("too many concurrent connections", "limits.http_max_conns_per_client")
        return outcome.refused and "unreachable" in outcome.server and any(word in outcome.server for word in told)

    wait_until(taken, "a refusal")
    for one in held:
        one.close()
    wait_until(lambda: answers(way), "a connection")
    wait_until(lambda: programs.talk(server, TLS13, *friend).talked, "the agent's decision again")


def test_more_first_leaves_than_the_agent_signs(programs, make_agent):
    """It signs so many in a second, and refuses the others: they are asked for again."""
    agent = make_agent(connect={"enabled": True, "ca_config": {"csr_max_per_second": 4}})
    agent.wait_for_roots()
    friend = agent.leaf("friend").files(programs.folder, "friend")
    servers = [serve(programs, agent, f"web-{number}", authorize_timeout="10s") for number in range(6)]
    with concurrent.futures.ThreadPoolExecutor(len(servers)) as pool:
        outcomes = list(pool.map(lambda server: programs.talk(server, TLS13, *friend), servers))
    agent.stop()
    assert all(outcome.talked for outcome in outcomes), [str(outcome) for outcome in outcomes]
