# SPDX-License-Identifier: Apache-2.0
"""Process models: forks, threads, jails, hosts that close unknown descriptors, and ends."""

import concurrent.futures
import os
import re
import signal
import socket
import ssl
import time
from pathlib import Path

import pytest

import applications
import endpoints
import slots
import stand_ins
from applications import dovecot
from conftest import programs_in
from processes import wait_until
from programs import PYTHON, Server
from test_live import connections, inodes_of, threads

pytestmark = pytest.mark.faults

SCRIPT = Path(__file__).with_name("live_server.py")
SOON = 20  # seconds: less than a watch goes on without a handshake
PROMPTLY = 10  # seconds until a program has ended that was told to; a query of its watch waits for minutes


class World:
    """A server in a process model, a client that it serves, and one that it refuses."""

    def __init__(self, programs, open_folders, agent, service, model, **settings):
        self.agent, self.programs, self.service = agent, programs, service
        jail = open_folders("jail")
        config = programs.config(agent, **{"watch_wait": "5m", **settings})
        identity = stand_ins.make(programs, f"consul:leaf/{service}")
        environment = programs.leaks_allowed() if model != "one" else {}
        self.server = programs.start(
            Server, [PYTHON, SCRIPT, model, *identity, jail], config,
            {**programs.leaks_allowed(), **environment}).ready()
        agent.deny(f"foe-{service}", service)
        self.friend, self.foe = (self.client(f"{name}-{service}") for name in ("friend", "foe"))

    def client(self, name):
        _, certificate, _, key, *_ = self.agent.leaf(name).files(self.programs.folder, name)
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
        context.load_cert_chain(certificate, key)
        return context

    def is_served(self, context):
        try:
            plain = socket.create_connection(("127.0.0.1", self.server.port), 20)
            with context.wrap_socket(plain) as connection:
                connection.sendall(b"hello")
                return connection.recv(64) == b"hello"
        except OSError:
            return False

    def serves_rightly(self, times=1):
        return all(self.is_served(self.friend) and not self.is_served(self.foe) for _ in range(times))

    def obeys(self):
        """Check that a changed intention counts for the next connection."""
        self.agent.deny(f"friend-{self.service}", self.service)
        refused = not self.is_served(self.friend)
        self.agent.allow(f"friend-{self.service}", self.service)
        return refused and self.serves_rightly()

    def ends(self):
        began = time.monotonic()
        self.server.signal(signal.SIGTERM)
        return self.server.wait() == 0 and time.monotonic() - began < PROMPTLY


@pytest.fixture
def world(programs, open_folders, agent, service):
    return lambda model, **settings: World(programs, open_folders, agent, service, model, **settings)


@pytest.mark.parametrize("model", ["one", "jailed", "wiped", "closing"])
def test_one_process(world, model):
    it = world(model)
    assert it.serves_rightly(4) and it.obeys(), it.server.output()
    assert "TOUCHED" not in it.server.output().replace("UNTOUCHED", "")
    assert (model == "closing") == ("UNTOUCHED" in it.server.output())
    assert it.ends()


@pytest.mark.parametrize("model", ["threads", "contexts"])
def test_threads(world, model):
    it = world(model)
    with concurrent.futures.ThreadPoolExecutor(16) as pool:
        served = list(pool.map(lambda n: it.is_served(it.foe if n % 4 == 0 else it.friend), range(128)))
    assert served == [n % 4 != 0 for n in range(128)], it.server.output()
    assert it.obeys() and it.ends()


def test_a_child_for_each_connection(world):
    """It starts no thread, holds nothing when it ends, and neither does its parent."""
    it = world("forks")
    assert it.serves_rightly(4) and it.obeys()
    assert threads(it.server) == 1 and not connections(it.server, it.agent)
    assert len(set(re.findall(r"SERVED (\d+)", it.server.output()))) > 4
    assert it.ends()


def test_a_fork_of_a_process_that_watches(world):
    """The child serves, watches by itself, and has none of its parent's connections."""
    it = world("prefork")
    assert it.serves_rightly()
    wait_until(lambda: connections(it.server, it.agent), "the parent's watches")
    of_parent = {row[9] for row in connections(it.server, it.agent)}
    assert it.serves_rightly(3) and it.obeys()
    child = int(re.findall(r"SERVED (\d+)", it.server.output())[-1])
    assert child != it.server.child.pid
    assert not of_parent & inodes_of(child)
    os.kill(child, signal.SIGTERM)
    assert it.server.wait() == 0


def test_hardly_any_descriptors(world):
    """Without a descriptor for a question it refuses. No client is let in for that."""
    it = world("few")
    assert it.serves_rightly()
    assert not it.is_served(it.foe) and not it.is_served(it.foe)
    it.server.signal(signal.SIGTERM)


def test_short_waits(world):
    """The polling mode, for agents behind something that cuts long requests."""
    it = world("one", watch_wait="50ms")
    assert it.serves_rightly(5) and it.obeys()
    wait_until(lambda: connections(it.server, it.agent), "a watch")
    assert len(connections(it.server, it.agent)) <= 3 and it.ends()


def test_no_more_places_on_this_host(programs, world, agent):
    """A process without a slot for a watch asks, and serves just as rightly."""
    it = world("one")
    taken = slots.take_all(agent.address)
    try:
        assert it.serves_rightly(4) and it.obeys()
        assert threads(it.server) <= 2  # at most the one that asks ahead
        wait_until(lambda: not connections(it.server, agent), "the end of its question", SOON)  # a watch would stay
    finally:
        for one in taken:
            one.close()
    wait_until(lambda: it.serves_rightly() and connections(it.server, agent), "a place")
    assert it.obeys() and it.ends()


MAPS = """
import ssl
def has_libcurl():
    return "libcurl" in open("/proc/self/maps").read()
ssl.RAND_status()
print(has_libcurl(), end=" ")
ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
print(has_libcurl())
"""


@pytest.mark.parametrize("settings, mapped", [
    ({"address": "127.0.0.1:8500"}, "False True"),
    ({"address": "127.0.0.1:8500", "service": "web"}, "True True"),
    ({"address": "127.0.0.1:8500", "agent_user": "nobody"}, "True True"),
], ids=["no service", "service", "a setting that may be wrong"])
def test_a_program_without_tls_does_not_pay_for_libcurl(programs, settings, mapped):
    """A program with TLS does so before it can confine itself."""
    done = programs.run([PYTHON, "-c", MAPS], programs.config(**settings), programs.leaks_allowed())
    assert done.stdout.strip() == mapped


ANOTHER_ROOT = """
import os, ssl, sys
ssl.RAND_status()
os.chroot(sys.argv[1])
try:
    one = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    one.check_hostname, one.verify_mode = False, ssl.CERT_NONE
    one.wrap_bio(ssl.MemoryBIO(), ssl.MemoryBIO()).do_handshake()
except ssl.SSLWantReadError:
    print("hello")
except ssl.SSLError as error:
    print(error)
"""


HINT = "(chroot): set service, and the library is loaded before that"


@pytest.mark.parametrize("settings, hint", [({}, True), ({"service": "web"}, False)], ids=["no service", "service"])
def test_a_root_without_the_libraries(programs, agent, open_folders, settings, hint):
    """Dovecot's logins make their first SSL_CTX in an empty folder. A service has its libraries before."""
    log = programs.path("log")
    log.touch()
    done = programs.run([PYTHON, "-c", ANOTHER_ROOT, open_folders("empty")],
                        programs.config(agent, log=log, **settings), programs.leaks_allowed())
    assert done.code == 0 and "hello" in done.stdout, done  # it may be an ordinary client
    assert (HINT in log.read_text()) == hint


@pytest.mark.applications
@pytest.mark.skipif(not applications.can_run(dovecot), reason="its package is not installed here")
def test_a_service_in_such_a_root_is_refused(module, open_folders, agent, service):
    """An ordinary client is served by the same program."""
    with programs_in(open_folders("dovecot"), module) as programs:
        log = endpoints.Log(programs.path("log"))
        config = programs.config(agent, log=log.path)
        certificate, key = endpoints.stand_in_files(programs, service)
        server = endpoints.Endpoint(dovecot, programs, dovecot.start(programs, config, certificate, key))
        friend = agent.leaf(f"friend-{service}").files(programs.folder, "friend")
        assert not server.ask(*friend).served
        assert HINT in log.text()
        ordinary = dovecot.start(programs, config, *endpoints.dummy_files(programs))
        assert endpoints.Endpoint(dovecot, programs, ordinary).ask().served


def test_no_provider_is_looked_for_at_the_exit(programs, module):
    """A look takes locks of OpenSSL. A child that was forked amid handshakes may find them held for ever."""
    library = str(module.parents[1] / "tests" / "counted_looks.so")
    preload = f"{programs.preload}:{library}" if programs.preload else library
    result = programs.openssl("dgst", "-sha256", "/dev/null", config=programs.config(), env={"LD_PRELOAD": preload})
    assert result.code == 0, result
    assert result.stderr.count("looked for consul") == 1, result  # at the first use, by which they are in order
