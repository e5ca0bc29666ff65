# SPDX-License-Identifier: Apache-2.0
"""An agent may be out of reach just now without a loss. Its last word then lets no peer in (last-known)."""

import fcntl
import os
import re
import resource
import signal
import socket
import threading
import time
from pathlib import Path

import pytest

import nginx
import outages
import stand_ins
from fake_agent import AUTHORIZE, INTENTIONS, raw, reset, silent
from processes import wait_until
from programs import AS_SHIPPED, PYTHON, Server
from test_decisions import NO, World
from test_decisions_attacked import HOUR, SteppedWorld
from test_live import inodes_of
from visitors import Visitor

pytestmark = pytest.mark.faults

LAST_KNOWN = {"on_agent_loss": "last-known"}
DIALED = "rpc error getting client: failed to get conn: dial tcp 10.0.0.1:8300: "  # by an agent, its server
LISTENS = "0A"  # a state in /proc/net/tcp
HELD = 5  # connections of a stranger
WORD = b"GET /hello HTTP/1.0\r\n\r\n"


def live_server(programs, config, model, env=None):
    files = stand_ins.make(programs, "consul:leaf/web")
    argv = [PYTHON, Path(__file__).with_name("live_server.py"), model, *files, programs.folder]
    return programs.start(Server, argv, config, {**programs.leaks_allowed(), **(env or {})}).ready()


def python(programs, config):
    """Start a server with a thread for each connection. Return it, its port, and the process that serves."""
    server = live_server(programs, config, "threads")
    return server, server.port, server.child.pid


def one_nginx(programs, config):
    server = nginx.start(programs, *stand_ins.make(programs, "consul:leaf/web"), ["hello"], config)
    master = server.child.pid
    worker = int(Path(f"/proc/{master}/task/{master}/children").read_text().split()[0])
    return server, server.ports[0], worker


def leave_descriptors(pid, count):
    """Let a process open this many more descriptors. Return its earlier limits."""
    old = resource.prlimit(pid, resource.RLIMIT_NOFILE)
    taken = {int(name) for name in os.listdir(f"/proc/{pid}/fd")}
    limit = 0
    while count or limit in taken:
        count -= limit not in taken
        limit += 1
    resource.prlimit(pid, resource.RLIMIT_NOFILE, (limit, old[1]))
    return old


@pytest.mark.parametrize("start", [python, one_nginx], ids=["python", "nginx"])
def test_a_server_without_descriptors(programs, own_agent, start):
    """A stranger without a certificate holds them, all but the one by which the next client comes."""
    log = programs.path("connect.log")
    server, port, pid = start(programs, programs.config(own_agent, log=log, **LAST_KNOWN))
    friend = Visitor(programs.folder, own_agent.leaf("friend"), "friend")
    assert all(friend.visit(port, WORD).served for _ in range(3))
    own_agent.deny("friend", "web")
    held = [socket.create_connection(("127.0.0.1", port)) for _ in range(HELD)]
    wait_until(lambda: all(is_accepted(one, pid) for one in held), "the stranger's connections")
    wait_until(lambda: len(accepted(port, pid)) == HELD, "the end of the friend's connections")
    old = leave_descriptors(pid, 1)
    assert not friend.visit(port, WORD).served
    newer_curl = "Out of memory"  # of libcurl 8.23, which takes a descriptor before that of the socket
    assert re.search(f"could not open a socket: Too many open files|authorize: {newer_curl}", log.read_text())
    resource.prlimit(pid, resource.RLIMIT_NOFILE, old)
    own_agent.allow("friend", "web")
    wait_until(lambda: friend.visit(port, WORD).served, "the friend")
    for one in held:
        one.close()


def sockets(pid, has):
    """Return a process's TCP sockets whose rows in /proc/net/tcp fit."""
    rows = [line.split() for line in open("/proc/net/tcp") if ":" in line]
    return inodes_of(pid) & {row[9] for row in rows if has(row)}


def accepted(port, pid):
    """Return the connections to a port that the process holds."""
    return sockets(pid, lambda row: row[1].endswith(":%04X" % port) and row[3] != LISTENS)


def is_accepted(one, pid):
    """Return true where this process has a descriptor of the other end."""
    return sockets(pid, lambda row: row[2].endswith(":%04X" % one.getsockname()[1]))


class Resolver:
    """The host's resolver, for the server's agent: it answers unless a test holds it."""

    def __init__(self, programs):
        self.path = programs.path("resolver")
        self.path.touch()
        preload = programs.module.parents[1] / "tests" / "held_resolver.so"
        preload = " ".join(filter(None, [programs.preload, str(preload)]))
        self.env = {"LD_PRELOAD": preload, "HELD_RESOLVER": str(self.path)}
        self.lock = None

    def hold(self):
        self.lock = open(self.path)
        fcntl.flock(self.lock, fcntl.LOCK_EX)

    def release(self):
        self.lock.close()


@pytest.fixture
def resolver(programs):
    return Resolver(programs)


def server_by_name(programs, fake, resolver):
    """Start a server that knows its agent by name. Return it, a friend of it, and its log."""
    log = programs.path("connect.log")
    config = programs.config(f"agent.test:{fake.port}", log=log, **AS_SHIPPED, **LAST_KNOWN)
    server = live_server(programs, config, "one", resolver.env)
    friend = Visitor(programs.folder, fake.authority.service("friend"), "friend")
    assert all(friend.visit(server.port).served for _ in range(3))
    return server, friend, log


def test_a_resolver_that_hangs(programs, fake, resolver):
    """Other users can make it hang, and the agent is there. Still no thread waits for it twice."""
    server, friend, log = server_by_name(programs, fake, resolver)
    resolver.hold()
    assert not friend.visit(server.port).served
    visits = [friend.visit(server.port) for _ in range(5)]
    assert not any(visit.served for visit in visits)
    assert sum(visit.elapsed >= 1 for visit in visits) <= 1, visits  # a busy host may hold one up
    assert "agent unreachable:" in log.read_text() and "took too long to look up" in log.read_text()
    resolver.release()
    wait_until(lambda: friend.visit(server.port).served, "an answer")
    fake.answer(AUTHORIZE, silent)
    assert all(friend.visit(server.port).served for _ in range(3))
    fake.stop()
    wait_until(lambda: friend.visit(server.port).served, "the loss, after connections that were reset")


def test_a_resolver_that_leaves_the_agent_no_time(programs, fake, resolver):
    """It takes almost all of a handshake's time. A timeout in the rest says nothing about the agent."""
    server, friend, _ = server_by_name(programs, fake, resolver)
    for kind in outages.EVERYTHING:
        fake.answer(kind, silent)
    resolver.hold()
    release = threading.Timer(0.8, resolver.release)
    release.start()
    assert not friend.visit(server.port).served
    release.join()
    wait_until(lambda: friend.visit(server.port).served, "an agent that has had its time, and is lost")


@pytest.fixture
def crowd(tmp_path):
    one = outages.Exhausted(tmp_path / "agents")
    yield one
    one.close()


def test_an_agent_whose_connections_others_hold(programs, crowd):
    """A local user can do so. The last word is of use again when the agent is really lost."""
    server = live_server(programs, programs.config(crowd.address, **LAST_KNOWN), "one")
    friend, other = (Visitor(programs.folder, crowd.local.leaf(name), name) for name in ("friend", "other"))
    for visitor in (friend, other):
        assert all(visitor.visit(server.port).served for _ in range(3))
    crowd.elsewhere.deny("friend", "web")
    crowd.begin()
    assert not any(visitor.visit(server.port).served for _ in range(3) for visitor in (friend, other))
    crowd.end()
    wait_until(lambda: other.visit(server.port).served, "an answer")
    wait_until(lambda: not crowd.local.allows("friend", "web"), "the denial, at the local agent")
    assert not friend.visit(server.port).served
    crowd.local.stop()
    assert other.visit(server.port).served
    assert not friend.visit(server.port).served


@pytest.mark.parametrize("status, text, is_loss", [
    (429, "", False), (503, "rate limit exceeded, try again later", False),
    (503, "", True), (500, "No cluster leader", True),
    (500, DIALED + "connect: connection refused", True),
    (500, DIALED + "socket: too many open files", False),
    (500, DIALED + "connect: cannot assign requested address", False),
])
def test_what_the_agent_says(programs, fake, status, text, is_loss):
    """Its answer is about its own health, its own lack, or the number of requests. Others can cause the last two."""
    server = live_server(programs, programs.config(fake, **LAST_KNOWN), "one")
    friend = Visitor(programs.folder, fake.authority.service("friend"), "friend")
    assert friend.visit(server.port).served
    fake.answer(AUTHORIZE, raw(status, text))
    assert [friend.visit(server.port).served for _ in range(3)] == [is_loss] * 3


def test_a_hang_that_becomes_a_crowd(programs, fake):
    """An agent that hung once is there, though another user has then taken its connections."""
    server = live_server(programs, programs.config(fake, **AS_SHIPPED, **LAST_KNOWN), "one")
    friend = Visitor(programs.folder, fake.authority.service("friend"), "friend")
    assert friend.visit(server.port).served
    for answer, is_loss in ((silent, True), (reset, False)):
        for kind in outages.EVERYTHING:
            fake.answer(kind, answer)
        wait_until(lambda: friend.visit(server.port).served is is_loss, f"a change, to {is_loss}")
        assert [friend.visit(server.port).served for _ in range(5)] == [is_loss] * 5


def test_an_answer_that_is_not_read_in_time(programs, fake):
    """The server itself was held up, and the agent has said no meanwhile."""
    server = live_server(programs, programs.config(fake, **AS_SHIPPED, **LAST_KNOWN), "one")
    friend = Visitor(programs.folder, fake.authority.service("friend"), "friend")
    assert all(friend.visit(server.port).served for _ in range(3))

    def deny(connection):
        outages.hang(server)
        NO(connection)
        time.sleep(1.5)  # longer than the server would wait
        server.signal(signal.SIGCONT)

    fake.answer(AUTHORIZE, deny)
    assert not friend.visit(server.port).served
    fake.answer(AUTHORIZE, None)
    wait_until(lambda: friend.visit(server.port).served, "an answer")


def test_what_a_watch_has_reported(programs, fake):
    """Intentions have changed since the friend was admitted: that is known, though the agent is lost."""
    fake.watchable = True
    world = World(programs, fake, "web", fake.authority.service("friend"), watch_wait="1s", **LAST_KNOWN).settle()
    world.change()
    fake.stop()
    assert not any(world.served() for _ in range(3))
    fake.start()
    world.settle()
    fake.stop()
    assert all(world.served() for _ in range(3))


def test_a_change_that_no_watch_has_seen(programs, fake):
    """It was made while the agent was away: a watch finds another index afterwards, and that outdates, too."""
    fake.watchable = True
    world = World(programs, fake, "web", fake.authority.service("friend"), watch_wait="1s", **LAST_KNOWN).settle()
    other = world.client(fake.authority.service("other"))
    assert world.served(other)
    world.settle()
    fake.stop()
    fake.indexes[INTENTIONS] += 1
    fake.start()
    heard = len(fake.seen(INTENTIONS))
    wait_until(lambda: world.served() and len(fake.seen(INTENTIONS)) > heard + 1, "the watch")
    fake.stop()
    assert not world.served(other)


def test_how_long_it_is_known(programs, fake):
    fake.watchable = True
    world = SteppedWorld(programs, fake, fake.authority.service("friend"), **LAST_KNOWN)
    assert world.served()
    fake.stop()
    world.step(0, slept=HOUR - 60)
    assert world.served()
    world.step(0, slept=HOUR + 1)
    assert not world.served()
