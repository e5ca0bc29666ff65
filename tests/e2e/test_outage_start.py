# SPDX-License-Identifier: Apache-2.0
"""A program starts while the agent is lost. It says so in time, and serves as soon as the agent does."""

import re
import time

import pytest

import outages
import stand_ins
from processes import PATIENCE, wait_until
from programs import AS_SHIPPED, SLACK, TLS12, TLS13

pytestmark = pytest.mark.faults

REQUEST_TIMEOUT, AUTHORIZE_TIMEOUT = 5, 1  # seconds, by default
ROWS = [outages.Stopped, outages.Hung, outages.LeaderLostAndRestarted]


@pytest.fixture(params=ROWS, ids=lambda kind: kind.__name__)
def outage(request, tmp_path):
    """It has begun; the test ends it."""
    one = request.param(tmp_path / "agents")
    one.friend = one.local.leaf("friend").files(tmp_path, "friend")
    one.begin()
    yield one
    one.close()


def come_back(outage):
    outage.end()
    wait_until(lambda: outage.answers("friend"), "the agent")


@pytest.mark.parametrize("program", ["s_server", "s_client"])
def test_by_uri(programs, outage, program):
    """Without its leaf it cannot start, and ends with one reason. Started again, it serves."""
    config = programs.config(outage.address, **AS_SHIPPED)
    where = ["-accept", "127.0.0.1:0"] if program == "s_server" else ["-connect", "127.0.0.1:1"]
    result = programs.openssl(
        program, *where, "-cert", "consul:leaf/web", "-key", "consul:leaf/web", config=config, stdin=b"")
    assert result.code != 0 and len(result.reasons) == 1, result
    assert outage.address in result.reasons[0] and re.search(outage.said, result.reasons[0]), result
    assert result.elapsed < REQUEST_TIMEOUT + SLACK
    come_back(outage)
    server = programs.connect_server("web", config=config)
    assert programs.talk(server, TLS13, *outage.friend).talked


@pytest.mark.parametrize("kind", ["configured", "stand-in"])
def test_by_configuration(programs, outage, kind):
    """It starts at once and refuses with the reason. It serves later without another start."""
    began = time.monotonic()
    log = programs.path("connect.log")
    settings = {"log": log, **AS_SHIPPED}
    if kind == "configured":
        server = programs.server("-nocert", config=programs.config(outage.address, service="web", **settings))
    else:
        certificate, key = stand_ins.make(programs, "consul:leaf/web")
        began = time.monotonic()
        server = programs.server("-cert", certificate, "-key", key, config=programs.config(outage.address, **settings))
    assert time.monotonic() - began < SLACK
    for version in (TLS13, TLS12):
        outcome = programs.talk(server, version, *outage.friend)
        assert outcome.refused and outcome.elapsed < AUTHORIZE_TIMEOUT + SLACK, outcome
    assert re.search(outage.said, log.read_text()), log.read_text()
    come_back(outage)
    if isinstance(outage, outages.Hung):  # the probe has its answer when the agent gets to it
        began = time.monotonic()
        wait_until(lambda: programs.talk(server, TLS13, *outage.friend).talked, "an answer")
        assert time.monotonic() - began < SLACK < PATIENCE
    assert programs.talk(server, TLS13, *outage.friend).talked
    outage.local.deny("friend", "web")
    assert programs.talk(server, TLS13, *outage.friend).refused


def test_a_loaded_leaf_of_another_mesh(programs, tmp_path):
    """The agent is restarted empty: a leaf that a context was given by URI at its start counts no more."""
    outage = outages.RestartedEmpty(tmp_path / "agents")
    try:
        server = programs.connect_server("web", config=programs.config(outage.address, on_agent_loss="last-known"))
        old = outage.local.leaf("friend").files(programs.folder, "old")
        assert all(programs.talk(server, TLS13, *old).talked for _ in range(3))
        outage.begin()
        assert programs.talk(server, TLS13, *old).talked
        come_back(outage)
        assert programs.talk(server, TLS13, *old).refused
        new = outage.local.leaf("friend").files(programs.folder, "new")
        outcome = programs.talk(server, TLS13, "-showcerts", *new)
        assert outcome.talked and outage.local.leaf("web").certificate in outcome.client
    finally:
        outage.close()
