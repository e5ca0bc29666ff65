# SPDX-License-Identifier: Apache-2.0
"""Fixtures: a folder's programs, a real agent for each worker, a fake one for each test."""

import contextlib
import os
import sys
import tempfile
from pathlib import Path

import pytest

sys.dont_write_bytecode = True

import envoy  # noqa: E402
import envoy_peers  # noqa: E402
from agent import Agent, consul_binary  # noqa: E402
from fake_agent import FakeAgent  # noqa: E402
from programs import Programs  # noqa: E402
from relay import Relay  # noqa: E402

SANITIZER_MARKS = ("AddressSanitizer", "LeakSanitizer", "ThreadSanitizer", "runtime error:")


@pytest.fixture(scope="session")
def module():
    """The provider under test."""
    path = Path(os.environ.get("CONSUL_PROVIDER_MODULE", ""))
    assert path.is_absolute() and path.is_file(), "CONSUL_PROVIDER_MODULE must name the built consul.so"
    return path


@contextlib.contextmanager
def programs_in(folder, module):
    """Yield programs that end with this. One report of a sanitizer fails the test."""
    sanitizer = folder / "sanitizer"
    sanitizer.mkdir()
    sanitizer.chmod(0o777)  # for servers that become another user
    one = Programs(folder, module, os.environ.get("CONSUL_PROVIDER_PRELOAD"), sanitizer)
    try:
        yield one
    finally:
        one.close()
    reports = [file.read_text(errors="replace") for file in sorted(sanitizer.iterdir())]
    for log in folder.glob("*-log"):
        text = log.read_text(errors="replace")
        if any(mark in text for mark in SANITIZER_MARKS):
            reports.append(text)
    assert not reports, "\n".join(reports)


@pytest.fixture
def programs(tmp_path, module):
    with programs_in(tmp_path, module) as one:
        yield one


@pytest.fixture(scope="session")
def open_folders():
    """Unlike pytest's own folders these are open to other users, as some servers become one."""
    with tempfile.TemporaryDirectory(prefix="consul-provider-") as name:
        os.chmod(name, 0o755)

        def make(what):
            folder = Path(tempfile.mkdtemp(prefix=what + "-", dir=name))
            folder.chmod(0o755)
            return folder

        yield make


@pytest.fixture(scope="session")
def make_agent(tmp_path_factory):
    """Yield a function that starts real agents. They are stopped at the end of the session."""
    agents = []

    def make(**config):
        agent = Agent(tmp_path_factory.mktemp("agent"), **config)
        agents.append(agent)
        return agent

    yield make
    for agent in agents:
        agent.stop()


@pytest.fixture(scope="session")
def agent(make_agent):
    """The shared agent. Intentions are by service name: each test has names of its own."""
    one = make_agent()
    one.wait_for_roots()
    one.adopt_authority()
    return one


@pytest.fixture(scope="module")
def ours(make_agent):
    """An agent with intentions of this file alone, wildcards too."""
    one = make_agent()
    one.wait_for_roots()
    yield one
    one.stop()


@pytest.fixture
def own_agent(make_agent):
    """An agent with a CA, intentions and processes of this test alone."""
    one = make_agent()
    one.wait_for_roots()
    yield one
    one.stop()


@pytest.fixture
def relay(own_agent):
    """A relay to own_agent, which remembers the requests and lets queries wait."""
    one = Relay(own_agent)
    one.watchable = True
    yield one
    one.stop()


@pytest.fixture(scope="module")
def guarded(make_agent):
    """An agent with ACLs and default deny. The harness has its management token."""
    one = make_agent(acl={"enabled": True, "default_policy": "deny"})
    one.wait_for_roots()
    one.bootstrap()
    yield one
    one.stop()


@pytest.fixture(scope="session")
def envoys():
    """Skip the tests that need an Envoy, where it is missing."""
    reason = envoy.missing(consul_binary())
    if reason:
        pytest.skip(reason)


@pytest.fixture
def sidecar(programs, envoys):
    """Yield a function that makes sidecars."""
    started = []

    def make(agent, service, **options):
        one = envoy.Sidecar(agent, programs.path("envoy"), service, **options)
        started.append(one)
        return one

    yield make
    for one in started:
        one.stop()


@pytest.fixture
def backend():
    """The port of a server behind a sidecar."""
    with envoy_peers.backend() as port:
        yield port


@pytest.fixture
def fake(request):
    """A scripted agent, of the class that a test is parametrized with."""
    one = getattr(request, "param", FakeAgent)()
    yield one
    one.stop()


@pytest.fixture
def service(request):
    """A service name that belongs to this test alone."""
    name = "".join(letter if letter.isalnum() else "-" for letter in request.node.name)
    return name.strip("-").lower()
