# SPDX-License-Identifier: Apache-2.0
"""Python's ssl module, an application that knows nothing of Connect, with a leaf from files."""

import sys

import pytest

from ca import Authority, self_signed
from programs import TLS12, VERSIONS

pytestmark = pytest.mark.core

CLIENT = """\
import socket, ssl, sys
context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
context.check_hostname = False
context.verify_mode = ssl.CERT_NONE
context.maximum_version = ssl.TLSVersion[sys.argv[4]]
context.load_cert_chain(sys.argv[2], sys.argv[3])
with context.wrap_socket(socket.create_connection(("127.0.0.1", int(sys.argv[1])), 10)) as connection:
    connection.sendall(b"hello from the client\\n")
"""


@pytest.fixture(params=VERSIONS, ids=lambda option: option.lstrip("-"))
def version(request):
    return request.param


def files(programs, identity, name):
    _, certificate, _, key, *_ = identity.files(programs.folder, name)
    return certificate, key


def test_a_server_that_verifies_nobody_is_governed(programs, agent, service, version):
    """ssl.PROTOCOL_TLS_SERVER asks for no certificate by itself."""
    leaf = files(programs, agent.leaf(service), "server")
    server = programs.python_server(*leaf, config=programs.config(agent))
    assert programs.talk(server, version).refused
    stranger = self_signed().files(programs.folder, "stranger")
    assert programs.talk(server, version, *stranger).refused
    agent.deny(f"foe-{service}", service)
    foe = agent.leaf(f"foe-{service}").files(programs.folder, "foe")
    assert programs.talk(server, version, *foe).refused
    friend = agent.leaf(f"friend-{service}").files(programs.folder, "friend")
    outcome = programs.talk(server, version, *friend)
    assert outcome.talked, outcome


def test_a_server_without_the_provider_is_not(programs, agent, service, version):
    """The control for the test above."""
    leaf = files(programs, agent.leaf(service), "server")
    assert programs.talk(programs.python_server(*leaf), version).talked


@pytest.mark.parametrize("kind", ["service", "impostor"])
def test_a_client_that_verifies_nobody_is_governed(programs, agent, service, version, kind):
    own = files(programs, agent.leaf(service), "client")
    server = agent.leaf("web") if kind == "service" else Authority(agent.trust_domain).service("web")
    server = programs.server(*server.files(programs.folder, "server"))
    highest = "TLSv1_2" if version == TLS12 else "TLSv1_3"
    result = programs.run(
        [sys.executable, "-c", CLIENT, server.port, *own, highest],
        programs.config(agent), programs.leaks_allowed())
    server.wait_for("CONNECTION CLOSED")
    assert (result.code == 0) == (kind == "service"), result
    assert ("hello from the client" in server.output()) == (kind == "service")
