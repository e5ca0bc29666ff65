# SPDX-License-Identifier: Apache-2.0
"""Processes that have lost the agent try it again less and less often, and not in step."""

import statistics
import time
from collections import defaultdict
from pathlib import Path

import pytest

import outages
import stand_ins
from fake_agent import LEAF, ROOTS, raw
from processes import wait_until
from programs import PYTHON, Server
from visitors import Visitor

SCRIPT = Path(__file__).with_name("live_server.py")
PROCESSES = 6
FIRST_PAUSE = 0.25  # seconds at most, and at least half of it; then twice as long, and so on
PAUSES = 4
APART = 0.2  # seconds: how far at least their last tries lie apart


class Tries:
    """Answers that the leader is missing, and notes when each process asked: by its own token."""

    def __init__(self):
        self.times = defaultdict(list)

    def __call__(self, connection):
        request = connection.request
        self.times[request.headers["x-consul-token"], request.path].append(time.monotonic())
        raw(500, "No cluster leader")(connection)

    def are_enough(self):
        return len(self.times) == 2 * PROCESSES and all(len(some) > PAUSES for some in self.times.values())


@pytest.fixture
def outage(tmp_path):
    one = outages.Status500(tmp_path / "agents")
    yield one
    one.close()


def test_retries(programs, open_folders, outage):
    identity = stand_ins.make(programs, "consul:leaf/web")
    servers = [
        programs.start(
            Server, [PYTHON, SCRIPT, "one", *identity, open_folders("empty")],
            programs.config(outage.address, token=f"of-process-{number}", watch_wait="200ms"),
            programs.leaks_allowed()).ready()
        for number in range(PROCESSES)]
    friend = Visitor(programs.folder, outage.local.leaf("friend"), "friend")
    for server in servers:
        assert all(friend.visit(server.port).served for _ in range(3))
    tries = Tries()
    outage.relay.answer_all(tries, ROOTS, LEAF)
    wait_until(tries.are_enough, "each watch to have tried again several times")
    outage.relay.answer_all(None, ROOTS, LEAF)
    assert all(friend.visit(server.port).served for server in servers)  # the pauses do not matter
    for number in range(PAUSES):
        most = FIRST_PAUSE * 2**number
        pauses = [some[number + 1] - some[number] for some in tries.times.values()]
        assert min(pauses) > 0.45 * most, pauses
        assert statistics.median(pauses) < most + 1, pauses  # a busy host adds some, and to some of them much
    for kind in (ROOTS, LEAF):
        last = [some[PAUSES] - some[0] for (_, path), some in tries.times.items() if kind in path]
        assert len(last) == PROCESSES and max(last) - min(last) > APART, last
