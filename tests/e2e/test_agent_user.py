# SPDX-License-Identifier: Apache-2.0
"""`agent_user`: the token goes to the agent's user alone, and no other user says which clients may connect.

The agent is a real one that runs as a user of its own. An impostor has its port or its socket while it is away.
"""

import os
import shutil
import sys

import pytest

from agent import Agent, consul_binary, free_ports
from fake_agent import ROOTS, FakeAgent
from processes import Process, wait_until
from programs import TLS13

pytestmark = pytest.mark.applications  # the agent's folder is another user's

AGENT, OTHER = 64001, 64002
TOKEN = "11111111-2222-3333-4444-555555555555"

IMPOSTOR = """
import os, socket, sys
kind, place, accepts = sys.argv[1:]
if kind == "unix":
    listener = socket.socket(socket.AF_UNIX)
    listener.bind(place)
    os.chmod(place, 0o777)
else:
    listener = socket.socket()
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    listener.bind(("127.0.0.1", int(place)))
listener.listen()
print("listening", flush=True)
while accepts == "accepts":
    connection, _ = listener.accept()
    print(f"heard {connection.recv(65536)}", flush=True)
    connection.close()
sys.stdin.read()
"""


def as_user(user, argv):
    return ["setpriv", f"--reuid={user}", f"--regid={user}", "--clear-groups", *argv]


class OwnUsersAgent(Agent):
    """It runs as the user AGENT, in a folder that is that user's."""

    def spawn(self):
        binary = self.folder / "consul"
        if not binary.exists():
            shutil.copy(consul_binary(), binary)
        for file in (self.folder, *self.folder.iterdir()):
            os.chown(file, AGENT, AGENT)
        self.process = Process(
            as_user(AGENT, [binary, "agent", *self.MODE, f"-log-level={self.LOG}", f"-config-file={self.file}"]),
            {"PATH": os.environ["PATH"], "HOME": str(self.folder)}, self.folder.with_suffix(".log"), cwd=self.folder)


@pytest.fixture(scope="module")
def agent(open_folders):
    one = OwnUsersAgent(open_folders("agent") / "own")
    one.wait_for_roots()
    yield one
    one.stop()


@pytest.fixture(params=["tcp", "unix"])
def address(request, agent):
    return agent.address if request.param == "tcp" else f"unix://{agent.socket}"


def roots(programs, address, user):
    return programs.storeutl("consul://roots", "-noout", config=programs.config(address, agent_user=user, token=TOKEN))


def test_the_agents_user(programs, address):
    result = roots(programs, address, AGENT)
    assert result.code == 0, result


def test_by_name(programs, agent):
    """The test's own user does not run the agent."""
    result = roots(programs, agent.address, "root")
    assert result.code != 0
    assert f"agent_user = root: a program of the user with the number {AGENT}" in result.reasons[0]


def test_another_user(programs, address):
    result = roots(programs, address, OTHER)
    assert result.code != 0
    assert f"a program of the user with the number {AGENT} has the agent's address" in result.reasons[0]


def test_no_such_user(programs, agent):
    result = roots(programs, agent.address, "no-such-user")
    assert result.code != 0
    assert 'agent_user = "no-such-user": allowed are the name and the number' in result.output


@pytest.fixture
def impostor(programs, open_folders):
    """Return a function that starts a program of OTHER at an address. It accepts connections, or leaves them queued."""
    started = []
    place = open_folders("impostor")
    os.chown(place, OTHER, OTHER)

    def make(kind, accepts):
        where = str(place / "socket") if kind == "unix" else str(free_ports(1)[0])
        one = Process(
            as_user(OTHER, [sys.executable, "-c", IMPOSTOR, kind, where, accepts]), dict(os.environ),
            programs.path("impostor-log"), cwd="/")
        started.append(one)
        wait_until(lambda: "listening" in one.output(), "the impostor")
        return one, f"unix://{where}" if kind == "unix" else f"127.0.0.1:{where}"

    yield make
    for one in started:
        one.kill()


@pytest.mark.parametrize("accepts", ["accepts", "waits"])
@pytest.mark.parametrize("kind", ["tcp", "unix"])
def test_an_impostor_hears_no_token(programs, impostor, kind, accepts):
    one, address = impostor(kind, accepts)
    result = roots(programs, address, AGENT)
    assert result.code != 0
    assert f"a program of the user with the number {OTHER} has the agent's address" in result.reasons[0]
    if accepts == "accepts":
        wait_until(lambda: "heard" in one.output(), "the end of the connection")
        assert "heard b''" in one.output()
    assert TOKEN not in one.output()


@pytest.mark.parametrize("kind", ["tcp", "unix"])
@pytest.mark.parametrize("wanted", ["right", "wrong"])
def test_a_watch(programs, kind, wanted):
    """Its thread opens connections of its own, and tells no token to another user either."""
    fake = FakeAgent(unix=programs.folder / "agent.sock" if kind == "unix" else None)
    fake.watchable = True
    config = programs.config(fake, agent_user=os.getuid() if wanted == "right" else OTHER, token=TOKEN, service="web")
    server = programs.server("-nocert", config=config)
    friend = fake.authority.service("friend").files(programs.folder, "friend")
    for _ in range(3):
        assert programs.talk(server, TLS13, *friend).talked == (wanted == "right")
    if wanted == "right":
        wait_until(lambda: sum("index" in one.query for one in fake.seen(ROOTS)) > 1, "a watch that goes on")
    else:
        assert fake.requests == []
    server.leave()
    fake.stop()


def test_without_the_setting_it_does(programs, impostor):
    """So the tests above can fail."""
    one, address = impostor("tcp", "accepts")
    programs.storeutl("consul://roots", "-noout", config=programs.config(address, token=TOKEN))
    wait_until(lambda: TOKEN in one.output(), "the token")

