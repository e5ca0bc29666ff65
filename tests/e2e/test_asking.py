# SPDX-License-Identifier: Apache-2.0
"""A process without a watch asks, and still hears of a rotation. An agent renews only leaves that a query waits for."""

from pathlib import Path

import pytest

import stand_ins
from processes import wait_until
from programs import PYTHON, Server
from test_live import rotate

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
