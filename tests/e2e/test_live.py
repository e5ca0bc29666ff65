# SPDX-License-Identifier: Apache-2.0
"""News at the agent counts for the next handshake, though the process has a cache."""

import os
import re

import pytest

import outages
import stand_ins
from ca import Authority, TRADITIONAL, ec_key, key_pem
from processes import wait_until
from programs import TLS12, TLS13, VERSIONS

pytestmark = pytest.mark.consul

CONFIGURED, BY_URI, STAND_IN = "configured", "by URI", "stand-in"
KINDS = (CONFIGURED, BY_URI, STAND_IN)
AUTHORIZE_TIMEOUT = 3  # seconds: longer than a client takes to start and end on a busy host
LATE = 2  # visits: a busy host may hold up a watch that the agent has told
CONNECTIONS_MAX = 3  # to the agent, that a process holds


def start(programs, agent, kind, service="web"):
    if kind == BY_URI:
        return programs.connect_server(service, config=programs.config(agent))
    if kind == STAND_IN:
        certificate, key = stand_ins.make(programs, f"consul:leaf/{service}")
        return programs.server("-cert", certificate, "-key", key, config=programs.config(agent))
    return programs.server("-nocert", config=programs.config(agent, service=service))


def rotate(agent, **more):
    """Make a new CA, and return the roots as the agent then lists them."""
    known = len(agent.has_roots())
    authority = Authority(agent.trust_domain, f"Root {known}")
    agent.put("/v1/connect/ca/configuration", {
        "Provider": "consul",
        "Config": {"PrivateKey": key_pem(authority.key, TRADITIONAL), "RootCert": authority.pem,
                   "LeafCertTTL": "72h", "RotationPeriod": "2160h"},
        **more,
    })
    wait_until(lambda: len(agent.has_roots()) > known, "the new root")
    return authority


def certificates(text):
    return re.findall(r"-----BEGIN CERTIFICATE-----.*?-----END CERTIFICATE-----\n", text, re.S)


def presented(outcome):
    """Return the certificates that the server sent, as s_client -showcerts prints them."""
    return certificates(outcome.client)


def connections(process, agent):
    return connections_of(process.child.pid, agent)


def inodes_of(pid):
    """Return the numbers of a process's sockets. It may open and close some meanwhile."""
    inodes = set()
    for fd in os.listdir(f"/proc/{pid}/fd"):
        try:
            match = re.match(r"socket:\[(\d+)\]", os.readlink(f"/proc/{pid}/fd/{fd}"))
        except FileNotFoundError:
            continue
        inodes |= {match.group(1)} if match else set()
    return inodes


def connections_of(pid, agent):
    """Return a process's TCP connections to the agent."""
    inodes = inodes_of(pid)
    port = "%04X" % int(agent.address.rpartition(":")[2])
    rows = [line.split() for line in open("/proc/net/tcp") if ":" in line]
    return [row for row in rows if row[2].endswith(":" + port) and row[3] == "01" and row[9] in inodes]


def threads(process):
    return len(os.listdir(f"/proc/{process.child.pid}/task"))


@pytest.mark.parametrize("kind", KINDS)
def test_a_rotated_authority(programs, own_agent, kind):
    """Each leaf is accepted at every moment, and the new one presented as soon as the agent has it."""
    server = start(programs, own_agent, kind)
    old = own_agent.leaf("web").certificate
    friend = own_agent.leaf("friend").files(programs.folder, "friend")
    for version in VERSIONS + VERSIONS:
        outcome = programs.talk(server, version, "-showcerts", *friend)
        assert outcome.talked and presented(outcome)[0] == old
    rotate(own_agent)
    assert programs.talk(server, TLS13, *friend).talked

    late = []

    def renewed():
        served = own_agent.leaf("web").certificate
        outcome = programs.talk(server, TLS13, "-showcerts", *friend)
        assert outcome.talked, outcome
        is_renewed = served != old
        late.extend([outcome] if is_renewed and presented(outcome)[0] != served else [])
        return is_renewed and presented(outcome)[0] == served

    wait_until(renewed, "the new leaf")
    assert len(late) <= LATE, late
    new_friend = own_agent.leaf("new-friend").files(programs.folder, "new-friend")
    for version in VERSIONS:
        for client in (friend, new_friend):
            outcome = programs.talk(server, version, "-showcerts", *client)
            assert outcome.talked and len(presented(outcome)) > 1  # with the cross-signed intermediate


def test_an_intention_counts_for_the_next(programs, agent, service):
    server = start(programs, agent, CONFIGURED, service)
    friend = agent.leaf(f"friend-{service}").files(programs.folder, "friend")
    for _ in range(5):
        assert programs.talk(server, TLS13, *friend).talked
        agent.deny(f"friend-{service}", service)
        assert programs.talk(server, TLS13, *friend).refused
        agent.allow(f"friend-{service}", service)


def test_what_a_process_holds(programs, agent, service):
    """No thread at first; then one, and two or three connections, however many handshakes there are."""
    server = start(programs, agent, CONFIGURED, service)
    friend = agent.leaf(f"friend-{service}").files(programs.folder, "friend")
    assert programs.talk(server, TLS13, *friend).talked
    assert threads(server) == 1 and not connections(server, agent)
    for _ in range(3):
        assert programs.talk(server, TLS13, *friend).talked
    assert threads(server) == 2
    wait_until(lambda: len(connections(server, agent)) >= 2, "both watches")
    for _ in range(3):
        assert programs.talk(server, TLS12, *friend).talked
        assert len(connections(server, agent)) <= CONNECTIONS_MAX and threads(server) == 2


def test_a_broken_watch_is_found_out(programs, own_agent):
    """The agent restarted, empty: another CA and another trust domain, at the same address."""
    server = start(programs, own_agent, CONFIGURED)
    friend = own_agent.leaf("friend").files(programs.folder, "friend")
    for _ in range(3):
        assert programs.talk(server, TLS13, *friend).talked
    own_agent.restart()
    own_agent.wait_for_roots()
    assert programs.talk(server, TLS13, *friend).refused
    new = own_agent.leaf("friend").files(programs.folder, "new")
    assert programs.talk(server, TLS13, *new).talked


def test_a_new_root_that_the_peer_knew_first(programs, own_agent):
    """The server's watch may be behind; it asks before it refuses."""
    server = start(programs, own_agent, BY_URI)
    friend = own_agent.leaf("friend").files(programs.folder, "friend")
    for _ in range(3):
        assert programs.talk(server, TLS13, *friend).talked
    authority = rotate(own_agent)
    for number in range(5):
        early = authority.service("friend", key=ec_key()).files(programs.folder, f"early-{number}")
        assert programs.talk(server, VERSIONS[number % 2], *early).talked


# -- outages --


@pytest.mark.parametrize("policy", ["refuse", "last-known"])
def test_an_agent_that_is_gone(programs, own_agent, policy):
    own_agent.deny("foe", "web")
    server = programs.server("-nocert", config=programs.config(own_agent, service="web", on_agent_loss=policy))
    friend, foe, stranger = (
        own_agent.leaf(name).files(programs.folder, name) for name in ("friend", "foe", "stranger"))
    for _ in range(3):
        assert programs.talk(server, TLS13, *friend).talked
        assert programs.talk(server, TLS13, *foe).refused
    own_agent.stop()
    for version in VERSIONS:
        outcome = programs.talk(server, version, *friend)
        assert outcome.talked if policy == "last-known" else outcome.refused, outcome
        assert programs.talk(server, version, *foe).refused
        outcome = programs.talk(server, version, *stranger)
        assert outcome.refused and "unreachable" in outcome.server
        foreign = Authority("other.consul").service("friend").files(programs.folder, "foreign")
        assert programs.talk(server, version, *foreign).refused


@pytest.mark.parametrize("policy", ["refuse", "last-known"])
def test_an_agent_that_hangs(programs, own_agent, policy):
    """One handshake waits for it; the others are decided at once, and its first answer ends that."""
    server = programs.server("-nocert", config=programs.config(
        own_agent, service="web", on_agent_loss=policy, authorize_timeout=f"{AUTHORIZE_TIMEOUT}s"))
    friend = own_agent.leaf("friend").files(programs.folder, "friend")
    for _ in range(3):
        assert programs.talk(server, TLS13, *friend).talked
    with outages.hung(own_agent):
        outcomes = [programs.talk(server, TLS13, *friend) for _ in range(20)]
    assert all(o.talked if policy == "last-known" else o.refused for o in outcomes), outcomes
    # Each of them also starts and ends a client.
    assert sum(o.elapsed >= AUTHORIZE_TIMEOUT for o in outcomes) <= 2, [o.elapsed for o in outcomes]
    wait_until(lambda: programs.talk(server, TLS13, *friend).talked, "an answer")
    own_agent.deny("friend", "web")
    assert programs.talk(server, TLS13, *friend).refused


def test_an_agent_that_comes_later(programs, own_agent):
    config = programs.config(own_agent, service="web")
    friend = own_agent.leaf("friend").files(programs.folder, "friend")
    own_agent.stop()
    server = programs.server("-nocert", config=config)
    outcome = programs.talk(server, TLS13, *friend)
    assert outcome.refused and "unreachable" in outcome.server
    own_agent.restart()
    own_agent.wait_for_roots()
    friend = own_agent.leaf("friend").files(programs.folder, "friend")
    assert programs.talk(server, TLS13, *friend).talked
