# SPDX-License-Identifier: Apache-2.0
"""Processes that can make no thread, as HAProxy's worker with RLIMIT_NPROC 0. The limit does not bind root."""

import time

import pytest

from ca import service_uri
from conftest import programs_in
from fake_agent import AUTHORIZE, TRUST_DOMAIN, silent
from processes import wait_until
from small_host import Host
from tls_agent import TlsAgent

pytestmark = pytest.mark.faults

NOBODY = 65534
LIMITED = ["setpriv", "--reuid", str(NOBODY), "--regid", str(NOBODY), "--clear-groups", "prlimit", "--nproc=0"]
TRIES = 6
HANG = 3  # seconds for which a process without threads remembers a hang


@pytest.fixture
def folder(open_folders):
    return open_folders("without-threads")


@pytest.fixture
def open_programs(folder, module):
    with programs_in(folder, module) as one:
        yield one


def start(programs, config, service, **options):
    return Host(programs, config, programs.module.parents[1] / "tests" / "load_host", service, LIMITED, **options)


def leaf_files(programs, agent, name):
    return agent.leaf(name).files(programs.folder, name)


def is_right(programs, agent, service, host):
    """Check that the host serves a friend again and again, and refuses a foe."""
    agent.deny(f"foe-{service}", service)
    friend, foe = (leaf_files(programs, agent, f"{name}-{service}") for name in ("friend", "foe"))
    for _ in range(3):
        assert host.serves(friend), host.output()
        assert not host.serves(foe)
    assert not host.ended(), host.output()


def test_an_agent_over_https(open_programs, folder, service):
    agent = TlsAgent(folder / "agent")
    try:
        folder.joinpath("agent").chmod(0o755)
        settings = agent.settings()
        for name in ("ca_file", "client_cert", "client_key"):
            open_programs.path(name).write_bytes(open(settings[name], "rb").read())
            settings[name] = open_programs.folder / f"{open_programs.count}-{name}"
        agent.wait_for_roots()
        host = start(open_programs, open_programs.config(**settings), service)
        is_right(open_programs, agent, service, host)
    finally:
        agent.stop()


def test_an_agent_by_its_name(open_programs, agent, service):
    """The preloaded library knows the name agent.test."""
    config = open_programs.config(address=f"http://agent.test:{agent.address.rpartition(':')[2]}")
    preload = str(open_programs.module.parents[1] / "tests" / "held_resolver.so")
    if open_programs.preload:
        preload = f"{open_programs.preload}:{preload}"
    host = start(open_programs, config, service, more={"LD_PRELOAD": preload})
    is_right(open_programs, agent, service, host)


def test_a_hang_is_remembered_for_a_time(open_programs, fake):
    """One handshake waits for the agent, and the others do not until some seconds later."""
    config = open_programs.config(fake, authorize_timeout="1s", request_timeout="1s")
    host = start(open_programs, config, "web")
    friend = fake.authority.issue([service_uri(TRUST_DOMAIN, "friend")]).files(open_programs.folder, "friend")
    assert host.serves(friend), host.output()
    fake.answer(AUTHORIZE, silent)
    before, began = len(fake.seen(AUTHORIZE)), time.monotonic()
    assert not any(host.serves(friend) for _ in range(TRIES))
    asked = len(fake.seen(AUTHORIZE)) - before
    assert 1 <= asked <= 1 + (time.monotonic() - began) // HANG
    fake.answer(AUTHORIZE, None)
    wait_until(lambda: host.serves(friend), "the end of the hang")
