# SPDX-License-Identifier: Apache-2.0
"""An agent without a free connection, or without a signature to spare: every client is still decided rightly."""

import concurrent.futures
import socket

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


def serve(programs, agent, service, **settings):
    return programs.server("-nocert", config=programs.config(agent, service=service, **settings))


def neighbours(agent, count):
    """Hold connections without use; the agent may have refused them."""
    host, port = agent.address.split(":")
    return [socket.create_connection((host, int(port)), 10) for _ in range(count)]


def answers(agent):
    try:
        return agent.has_roots()
    except OSError:
        return None


def test_watches_yield(programs, crowded):
    """Where they have left no connection for questions, some are given up; later they come back."""
    friend, foe = (crowded.leaf(name).files(programs.folder, name) for name in ("friend", "foe"))
    crowded.deny("foe", "*")
    watching = [serve(programs, crowded, f"watching-{number}") for number in range(WATCHING)]
    for server in watching[:-1]:
        for _ in range(3):
            assert programs.talk(server, TLS13, *friend).talked
        wait_until(lambda: len(connections(server, crowded)) == 2, "both watches")
    held = neighbours(crowded, LIMIT - 2 * (WATCHING - 1))
    wait_until(lambda: not answers(crowded), "the last connection to be taken")
    other = serve(programs, crowded, "other")
    for server in [other, *watching]:
        outcome = programs.talk(server, TLS13, *friend)
        assert outcome.talked, outcome
        outcome = programs.talk(server, TLS13, *foe)
        assert outcome.refused and "DENY" in outcome.server, outcome
    for one in held:
        one.close()
    for server in watching:
        wait_until(lambda: programs.talk(server, TLS13, *friend).talked and connections(server, crowded), "a watch")


def test_all_taken_by_others(programs, crowded):
    """Refused, with the reason; and nothing has to be restarted afterwards."""
    friend = crowded.leaf("friend").files(programs.folder, "friend")
    server = serve(programs, crowded, "web")
    for _ in range(3):
        assert programs.talk(server, TLS13, *friend).talked
    held = []

    def taken():
        held.extend(neighbours(crowded, LIMIT))
        outcome = programs.talk(server, TLS13, *friend)
        return outcome.refused and "unreachable" in outcome.server

    wait_until(taken, "a refusal")
    for one in held:
        one.close()
    wait_until(lambda: answers(crowded), "a connection")
    assert programs.talk(server, TLS13, *friend).talked


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
