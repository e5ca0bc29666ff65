# SPDX-License-Identifier: Apache-2.0
"""Questions ahead: the agent is asked while the peer makes its messages. A quiet server has it asked about its last visitor."""

import socket
import time
from pathlib import Path

import pytest

import slots
import sources
import stand_ins
from fake_agent import AUTHORIZE, ROOTS
from processes import Process, wait_until
from programs import PYTHON, Server
from test_strangers import questions
from visitors import Hesitant, Visitor

pytestmark = pytest.mark.faults

SCRIPT = Path(__file__).with_name("live_server.py")
AGE = sources.constant("store/watch/ask_ahead.h", "CONSUL_AHEAD_AGE_US") / 1e6
LOOK = sources.constant("store/cache/entry.c", "LOOK_AGE_US") / 1e6
STRANGERS = 20


class World:
    """A server with a thread for each connection, and its friend, which it knows by two visits."""

    def __init__(self, programs, relay):
        self.relay, agent = relay, relay.agent
        self.server = programs.start(
            Server, [PYTHON, SCRIPT, "threads", *stand_ins.make(programs, "consul:leaf/web"), programs.folder],
            programs.config(relay), programs.leaks_allowed()).ready()
        self.friend = Visitor(programs.folder, agent.leaf("friend"), "friend")
        self.foe = Visitor(programs.folder, agent.leaf("foe"), "foe")
        self.become_known()

    def become_known(self):
        assert all(self.friend.visit(self.server.port).served for _ in range(2))

    def hesitate(self, visitor):
        return Hesitant(self.server.port, visitor.context)

    def asked_ahead(self):
        """Return a connection of the friend, about which the agent has been asked before it shows its certificate."""
        mark = len(self.relay.requests)
        connection = self.hesitate(self.friend)
        wait_until(lambda: questions(self.relay, mark)[AUTHORIZE] == 1, "the question")
        return connection


def test_the_question_is_there_before_the_certificate(programs, own_agent, relay):
    world = World(programs, relay)
    for _ in range(2):
        mark = len(relay.requests)
        assert world.asked_ahead().is_served()
        assert questions(relay, mark)[AUTHORIZE] <= 2  # a slow machine may see the answer too late


def test_a_process_without_a_slot_asks_ahead(programs, own_agent, relay):
    held = slots.take_all(relay.address)
    world = World(programs, relay)
    mark = len(relay.requests)
    assert world.asked_ahead().is_served()
    assert questions(relay, mark)[ROOTS] == 1
    for one in held:
        one.close()


def test_another_client_is_judged_by_itself(programs, own_agent, relay):
    own_agent.deny("foe", "web")
    world = World(programs, relay)
    mark = len(relay.requests)
    foe = world.hesitate(world.foe)
    wait_until(lambda: questions(relay, mark)[AUTHORIZE] == 1, "the question about the friend")
    assert not foe.is_served()
    assert questions(relay, mark)[AUTHORIZE] == 2


def test_a_denial_meanwhile(programs, own_agent, relay):
    """The agent has said yes before the denial. The client takes its time."""
    own_agent.allow("friend", "web")
    world = World(programs, relay)
    connection = world.asked_ahead()
    own_agent.deny("friend", "web")
    time.sleep(AGE)  # the longest that a yes counts
    assert not connection.is_served()


def test_a_stranger_brings_about_one_question(programs, own_agent, relay):
    world = World(programs, relay)
    mark = len(relay.requests)
    for _ in range(STRANGERS):
        world.hesitate(world.foe).plain.close()
    assert world.friend.visit(world.server.port).served
    assert questions(relay, mark)[AUTHORIZE] == 2


def test_a_client_has_the_roots_before_the_certificate(programs, own_agent, relay):
    """They are older than a look may be, and come while its server makes its messages."""
    server = programs.start(
        Server, [PYTHON, SCRIPT, "threads", *stand_ins.make(programs, "consul:leaf/db"), programs.folder],
        programs.config(own_agent), programs.leaks_allowed()).ready()
    client = programs.start(Process, [PYTHON, SCRIPT.with_name("live_client.py")],
                            programs.config(relay, service="friend"), programs.leaks_allowed())

    def is_served():
        mark = client.size()
        client.say(str(server.port))
        return "SERVED" in client.wait_for(r"SERVED|REFUSED.*", mark).group()

    client.wait_for("READY")
    assert is_served() and is_served()
    time.sleep(LOOK)
    mark = len(relay.requests)
    with socket.create_server(("127.0.0.1", 0)) as listener:
        client.say(str(listener.getsockname()[1]))
        with listener.accept()[0]:  # it says nothing
            wait_until(lambda: questions(relay, mark)[ROOTS] == 1, "the request")
        client.wait_for("REFUSED")
    assert is_served()
