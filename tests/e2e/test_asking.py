# SPDX-License-Identifier: Apache-2.0
"""A process without a watch asks, and still hears of a rotation. An agent renews only leaves that a query waits for."""

from pathlib import Path

import pytest

import stand_ins
from fake_agent import AUTHORIZE, LEAF, ROOTS
from processes import wait_until
from programs import PYTHON, Server
from test_live import rotate
from test_strangers import questions

pytestmark = pytest.mark.consul

SCRIPT = Path(__file__).with_name("live_server.py")


def test_a_rotation(programs, own_agent, open_folders):
    """A program that loads a leaf and ends, each time; and a child for each connection."""
    config = programs.config(own_agent)
    server = programs.start(
        Server, [PYTHON, SCRIPT, "forks", *stand_ins.make(programs, "consul:leaf/forks"), open_folders("jail")],
        config, programs.leaks_allowed()).ready()
    friend = own_agent.leaf("friend").files(programs.folder, "friend")

    def loaded():
        return programs.storeutl("consul://leaf/loaded", "-noout", "-text", "-certs", config=config).stdout

    def presented():
        result = programs.openssl(
            "s_client", "-connect", f"127.0.0.1:{server.port}", "-ign_eof", *friend, stdin=b"hello")
        assert "hello" in result.stdout, result
        return result.stdout.partition("-----BEGIN CERTIFICATE-----")[2].partition("-----END CERTIFICATE-----")[0]

    before = loaded(), presented()
    rotate(own_agent)
    wait_until(lambda: loaded() != before[0], "a new leaf to be loaded", 90)
    wait_until(lambda: presented() != before[1], "a new leaf to be presented", 90)


def test_a_repeated_hello_is_no_second_handshake(programs, own_agent, relay):
    """The first key of the client is of another group than the server's (HelloRetryRequest), as with PostgreSQL."""
    own_agent.leaf("web")  # else the agent has none yet, and is asked once more
    friend = own_agent.leaf("friend").files(programs.folder, "friend")
    certificate, key = stand_ins.make(programs, "consul:leaf/web")
    server = programs.server(
        "-cert", certificate, "-key", key, "-groups", "P-256", config=programs.config(relay))
    outcome = programs.talk(server, "-groups", "X25519:P-256", "-msg", *friend)
    assert outcome.served and outcome.client.count("ServerHello") == 2, outcome
    assert questions(relay) == {ROOTS: 1, LEAF: 1, AUTHORIZE: 1}
