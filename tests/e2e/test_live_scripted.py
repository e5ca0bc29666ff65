# SPDX-License-Identifier: Apache-2.0
"""A process with a scripted agent that blocks, is slow, or takes its word back."""

import socket
import ssl
import threading
import time

import pytest

import fake_agent
from ca import Authority
from fake_agent import AUTHORIZE, LEAF, ROOTS
from processes import wait_until
from programs import TLS13

pytestmark = pytest.mark.faults

STRANGERS = 200
AT_ONCE, A_SECOND = 3, 1  # questions about newer roots that strangers can bring about


@pytest.fixture
def blocking(fake):
    """An agent without changes, where watches wait."""
    fake.watchable = True
    return fake


def client_files(fake, programs, name):
    return fake.authority.service(name).files(programs.folder, name)


def is_refused(port, context):
    try:
        with context.wrap_socket(socket.create_connection(("127.0.0.1", port), 20)) as connection:
            return not connection.recv(1)
    except OSError:
        return True


def test_strangers_do_not_make_it_ask_without_end(programs, blocking):
    """Each stranger could have a newer root than the known ones. The number of requests is bounded all the same."""
    config = programs.config(blocking, service="web")
    friend = client_files(blocking, programs, "friend")
    server = programs.server("-nocert", config=config)
    for _ in range(3):
        assert programs.talk(server, TLS13, *friend).talked
    wait_until(lambda: any("index" in one.query for one in blocking.seen(ROOTS)), "the watch")
    _, certificate, _, key, *_ = Authority(blocking.trust_domain).service("friend").files(
        programs.folder, "stranger")
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    context.load_cert_chain(certificate, key)
    before, began = len(blocking.seen(ROOTS)), time.monotonic()
    assert all(is_refused(server.port, context) for _ in range(STRANGERS))
    asked, elapsed = len(blocking.seen(ROOTS)) - before, time.monotonic() - began
    assert 0 < asked <= AT_ONCE + A_SECOND * elapsed + 1, (asked, elapsed)
    assert programs.talk(server, TLS13, *friend).talked


def delayed(seconds, content):
    def answer(connection):
        connection.stopping.wait(seconds)
        fake_agent.value(content())(connection)
    return answer


def test_who_has_used_up_the_time_does_not_condemn_the_agent(programs, fake):
    """A handshake that needs several slow answers is refused. The next one, with quick answers, is served."""
    config = programs.config(fake, service="web", authorize_timeout="3s")
    server = programs.server("-nocert", config=config)
    friend = client_files(fake, programs, "friend")
    for kind, content in ((LEAF, fake.leaf), (ROOTS, fake.roots)):
        fake.answer(kind, delayed(2, content))
    outcome = programs.talk(server, TLS13, *friend)
    assert outcome.refused and "imed out" in outcome.server, outcome
    fake.answer(LEAF, None)
    fake.answer(ROOTS, None)
    outcome = programs.talk(server, TLS13, *friend)
    assert outcome.talked, outcome


@pytest.mark.parametrize("status", [403, 200])
def test_what_the_agent_said_last_counts_when_it_is_lost(programs, fake, status):
    """It may have taken back the right to ask, or its answer is neither yes nor no."""
    config = programs.config(fake, service="web", on_agent_loss="last-known")
    server = programs.server("-nocert", config=config)
    friend, other = (client_files(fake, programs, name) for name in ("friend", "other"))
    for client in (friend, other):
        assert programs.talk(server, TLS13, *client).talked
    fake.answer(AUTHORIZE, fake_agent.raw(status, "Permission denied"))
    assert programs.talk(server, TLS13, *friend).refused
    fake.stop()
    assert programs.talk(server, TLS13, *other).talked
    assert programs.talk(server, TLS13, *friend).refused
