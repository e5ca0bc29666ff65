# SPDX-License-Identifier: Apache-2.0
"""The knowledge that the processes of a server share. One process watches, and its siblings rely on it while it lives."""

import contextlib
import os
import signal
import socket
import ssl
import threading
import time
from pathlib import Path

import pytest

import sources
import stand_ins
from ca import ec_key
from fake_agent import AUTHORIZE, LEAF, ROOTS
from processes import wait_until
from programs import PYTHON, Server
from test_live import rotate
from test_strangers import LOOK, are_watched, questions
from visitors import PATIENCE, Hesitant, Visitor

SCRIPT = Path(__file__).with_name("live_server.py")
MEANWHILE = sources.constant("store/decide.c", "MEANWHILE_AGE_MS") / 1000
VISITS = 10
CROWD = 3  # visitors at a time


class Family:
    """A server with a child for each connection, which is the service web, and its friend."""

    def __init__(self, programs, relay, **settings):
        self.relay, agent = relay, relay.agent
        config = programs.config(relay, watch_wait="500ms", **settings)
        self.server = programs.start(
            Server, [PYTHON, SCRIPT, "siblings", *stand_ins.make(programs, "consul:leaf/web"), programs.folder],
            config, programs.leaks_allowed()).ready()
        self.friend = Visitor(programs.folder, agent.leaf("friend"), "friend")
        self.guest = Visitor(programs.folder, agent.leaf("friend"), "guest")  # knows by its handshake that it is let in
        self.guest.context.maximum_version = ssl.TLSVersion.TLSv1_2
        agent.leaf("web")  # else the agent has none yet, and is asked once more

    def serves(self, visitor):
        return visitor.visit(self.server.port).served

    def stay(self):
        """Return a connection that stays, so that its process does. It is of a family that has served before."""
        assert self.serves(self.friend)
        return self.guest.context.wrap_socket(socket.create_connection(("127.0.0.1", self.server.port), PATIENCE))

    def watched(self, *kinds):
        """Return connections of which one has a process that watches. Only one in two seconds is to try."""
        kept, known = [], questions(self.relay)[AUTHORIZE]

        def begun():
            kept.append(self.stay())
            return are_watched(self.relay, *kinds)

        wait_until(begun, "a sibling's watch")
        wait_until(lambda: questions(self.relay)[AUTHORIZE] == known + 2 * len(kept), "the questions about all of them")
        return kept

    def questions_of_visits(self, visits=VISITS):
        """Return the questions because of some visits of the friend, without those that look at the roots anew."""
        mark, began = len(self.relay.requests), time.monotonic()
        assert all(self.serves(self.friend) for _ in range(visits))
        asked = questions(self.relay, mark)
        assert asked.pop(ROOTS, 0) <= (time.monotonic() - began) / LOOK + 1
        return asked


@pytest.mark.faults
def test_children_rely_on_a_siblings_watch(programs, own_agent, relay):
    family = Family(programs, relay)
    kept = family.watched(ROOTS, LEAF)
    assert family.questions_of_visits() == {AUTHORIZE: VISITS}
    for connection in kept:
        connection.close()


def pid_of_watcher(family):
    """Return the pid of a child with a second thread."""
    parent = family.server.child.pid
    for pid in Path(f"/proc/{parent}/task/{parent}/children").read_text().split():
        try:
            if len(os.listdir(f"/proc/{pid}/task")) > 1:
                return int(pid)
        except FileNotFoundError:
            pass
    return None


def kill_watcher(family):
    """Kill a watcher without a moment to say that it ends. Return false without one."""
    pid = pid_of_watcher(family)
    with contextlib.suppress(ProcessLookupError):
        if pid:
            os.kill(pid, signal.SIGKILL)
    return pid is not None


@pytest.mark.faults
def test_a_killed_watcher_is_believed_no_more(programs, own_agent, relay):
    """SIGKILL gives a process no moment to say that it ends."""
    family = Family(programs, relay)
    kept = family.watched(ROOTS, LEAF)
    assert pid_of_watcher(family)
    wait_until(lambda: not kill_watcher(family), "its end, and that of any that was about to watch")
    mark = len(relay.requests)
    assert family.serves(family.friend)
    assert questions(relay, mark)[LEAF] >= 1
    assert any(family.watched(ROOTS, LEAF))  # by another sibling
    for connection in kept:
        connection.close()


@pytest.mark.faults
def test_a_rotation_reaches_the_siblings(programs, own_agent, relay):
    family = Family(programs, relay)
    kept = family.watched(ROOTS, LEAF)
    newer = Visitor(programs.folder, rotate(own_agent).service("friend", key=ec_key()), "newer")
    assert family.serves(newer)
    assert family.serves(family.friend)
    for connection in kept:
        connection.close()


def connection_of_two(family):
    """Return a connection without its client's certificate yet. Another child has served the friend meanwhile."""
    slow = Hesitant(family.server.port, family.friend.context)
    assert family.serves(family.friend)
    return slow


@pytest.mark.faults
def test_children_share_an_answer_of_the_same_time(programs, own_agent, relay):
    family = Family(programs, relay)

    def is_shared():
        mark = len(relay.requests)
        assert connection_of_two(family).is_served()
        return questions(relay, mark)[AUTHORIZE] == 1

    wait_until(is_shared, "a shared answer")  # it counts for some milliseconds only


@pytest.mark.faults
def test_a_denial_ends_an_answer_of_the_same_time(programs, own_agent, relay):
    own_agent.allow("friend", "web")
    family = Family(programs, relay)
    slow = connection_of_two(family)
    own_agent.deny("friend", "web")
    time.sleep(MEANWHILE)
    assert not slow.is_served()


class Crowd:
    """Friends that come all the time, so that the family is busy."""

    def __init__(self, family):
        self.family, self.ended, self.visits = family, threading.Event(), []
        self.threads = [threading.Thread(target=self.come) for _ in range(CROWD)]

    def come(self):
        while not self.ended.is_set():
            began = time.monotonic()
            self.visits.append((began, self.family.serves(self.family.friend)))

    def __enter__(self):
        for thread in self.threads:
            thread.start()
        return self

    def __exit__(self, *_):
        self.ended.set()
        for thread in self.threads:
            thread.join()

    def share_of_asked(self, kind=AUTHORIZE):
        """Return the share of some visits for which the agent was asked."""
        mark, known = len(self.family.relay.requests), len(self.visits)
        wait_until(lambda: len(self.visits) >= known + 5 * VISITS, "visits")
        return questions(self.family.relay, mark)[kind] / (len(self.visits) - known)


@pytest.mark.load  # twenty children in a second
def test_children_share_decisions_until_a_denial(programs, own_agent, relay):
    """A child that is seconds old knows the decision of a sibling. A denial ends it for all of them."""
    family = Family(programs, relay)
    kept = family.watched(ROOTS, LEAF)
    with Crowd(family) as crowd:
        wait_until(lambda: crowd.share_of_asked() < 0.5, "shared decisions")
        assert crowd.share_of_asked(LEAF) == 0  # the watch goes on with it
        own_agent.deny("friend", "web")
        wait_until(lambda: not family.serves(family.friend), "the denial")
        denied = time.monotonic()
        wait_until(lambda: sum(began > denied for began, _ in crowd.visits) > 5 * VISITS, "later visits")
    assert not any(served for began, served in crowd.visits if began > denied)
    for connection in kept:
        connection.close()
