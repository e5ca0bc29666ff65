# SPDX-License-Identifier: Apache-2.0
"""Each certificate of the table in tests/unit/support, shown to unmodified programs with a real agent."""

import re
from pathlib import Path

import pytest

import nginx
import stand_ins
from conftest import programs_in
from processes import Process
from programs import PYTHON, Server
from visitors import Visitor

pytestmark = pytest.mark.faults

FOLDER = Path(__file__).parent
SERVICE = "db"  # live_client.py asks for it
GET = "GET / HTTP/1.0\r\n\r\n"


@pytest.fixture(scope="module")
def programs(open_folders, module):
    with programs_in(open_folders("forgeries"), module) as one:
        yield one


@pytest.fixture(scope="module")
def forge(programs, agent):
    """Return the beginning of a command line of forge.c, for a role and a signer."""
    certificate = programs.write("ca.pem", agent.authority.pem)
    key = programs.write("ca.key", agent.authority.key_pem)

    def command(role, signer):
        return [programs.module.parents[1] / "tests" / "forge", role, certificate, key, agent.trust_domain, SERVICE, signer]

    return command


def wrong(output):
    """Return the rows with another outcome than the right one. There are more than a hundred in all."""
    rows = re.findall(r"^([01]) ([01]) (.+)$", output, re.MULTILINE)
    assert len(rows) > 100
    return [name for right, outcome, name in rows if right != outcome]


def start_nginx(programs, agent):
    certificate, key = stand_ins.make(programs, "consul:leaf/forged-nginx")
    server = nginx.start(programs, certificate, key, ["hello"], programs.config(agent))
    return server.ports[0], GET


def start_s_server(programs, agent):
    return programs.connect_server("forged-s-server", "-www", config=programs.config(agent)).port, GET


def start_threads(programs, agent):
    certificate, key = stand_ins.make(programs, "consul:leaf/forged-threads")
    server = programs.start(
        Server, [PYTHON, FOLDER / "live_server.py", "threads", certificate, key, programs.folder], programs.config(agent),
        programs.leaks_allowed())
    return server.ready().port, "hello"


@pytest.mark.parametrize("start", [start_nginx, start_s_server, start_threads], ids=lambda start: start.__name__[6:])
def test_clients(programs, agent, forge, start):
    port, word = start(programs, agent)
    friend = Visitor(programs.folder, agent.authority.service(SERVICE), f"friend-{start.__name__}")
    for signer in ("mesh", "foreign"):
        shown = programs.run([*forge("client", signer), port, word])
        assert shown.code == 0, shown
        assert wrong(shown.stdout) == []
        assert friend.visit(port, word.encode(), b"").served


@pytest.mark.parametrize("signer", ["mesh", "foreign"])
def test_servers(programs, agent, forge, signer):
    config = programs.config(agent, service="forged-client")
    client = programs.start(Process, [PYTHON, FOLDER / "live_client.py"], config, programs.leaks_allowed())
    client.wait_for("READY")
    server = programs.start(Process, forge("server", signer))
    rows, port = server.wait_for(r"ROWS (\d+)\r?\nPORT (\d+)").groups()
    for number in range(int(rows)):
        client.say(port)
    assert server.wait() == 0, server.output()
    assert wrong(server.output()) == []
