# SPDX-License-Identifier: Apache-2.0
"""Without an agent on the host: several servers of Consul behind one address, over HTTPS."""

import pytest

import cluster
from balancer import Balancer
from ca import Authority
from processes import wait_until
from programs import TLS12, TLS13
from test_live import rotate

pytestmark = pytest.mark.consul

SERVERS = 3
ROUNDS = 12  # handshakes


@pytest.fixture(scope="module")
def https(tmp_path_factory):
    """The CA of the servers' certificates, and their configuration."""
    folder = tmp_path_factory.mktemp("https")
    authority = Authority("agents.example", "Root of Agents")
    root = folder / "root.pem"
    root.write_text(authority.pem)
    _, certificate, _, key = authority.issue([], dns=["server.dc1.consul"]).files(folder, "agent")
    return root, {"cert_file": certificate, "key_file": key}


@pytest.fixture(scope="module")
def servers(tmp_path_factory, https):
    folder, (_, config) = tmp_path_factory.mktemp("servers"), https
    agents = [cluster.server(folder / "0", **config)]
    try:
        for number in range(1, SERVERS):
            agents.append(cluster.further_server(folder / str(number), agents[0], number, **config))
        wait_until(lambda: len(agents[0].get("/v1/status/peers")) == SERVERS, "all servers")
        yield agents
    finally:
        for one in agents:
            one.stop()


@pytest.fixture
def address(servers, https):
    balancer = Balancer([one.ports["https"] for one in servers])
    yield {"address": f"https://127.0.0.1:{balancer.port}", "ca_file": https[0],
           "tls_server_name": "server.dc1.consul", "authorize_timeout": "5s"}, balancer
    balancer.close()


def agree(servers, action, source, destination):
    """Set an intention, and return once each server decides by it."""
    servers[0].intend(action, source, destination)
    for one in servers[1:]:
        wait_until(lambda: one.allows(source, destination) is (action == "allow"), f"{action} at {one.address}")


def files(programs, servers, name):
    """Return the files of a leaf, by the first server."""
    return servers[0].leaf(name).files(programs.folder, name)


def all_roots(servers):
    return {one.active_root for one in servers}


def test_three_servers(programs, servers, address, service):
    settings, balancer = address
    friend, foe = files(programs, servers, "friend"), files(programs, servers, "foe")
    agree(servers, "deny", "foe", service)
    server = programs.server("-nocert", config=programs.config(service=service, **settings))
    for number in range(ROUNDS):
        version = (TLS12, TLS13)[number % 2]
        outcome = programs.talk(server, version, *friend)
        assert outcome.talked, outcome
        outcome = programs.talk(server, version, *foe)
        assert outcome.refused and "DENY" in outcome.server, outcome
    assert all(balancer.served.values()), balancer.served  # each was asked


def test_a_rotation(programs, servers, address, service):
    """The servers hear of it one after the other, and have leaves of their own."""
    settings, _ = address
    server = programs.server("-nocert", config=programs.config(service=service, **settings))
    assert programs.talk(server, TLS13, *files(programs, servers, "friend")).talked
    before = servers[0].active_root
    rotate(servers[0])
    wait_until(lambda: all_roots(servers) - {before} and len(all_roots(servers)) == 1, "the new root at each server")
    friend = files(programs, servers, "friend")
    for _ in range(ROUNDS):
        outcome = programs.talk(server, TLS13, *friend)
        assert outcome.talked, outcome


def test_one_restarts(programs, servers, address, service):
    """It is gone for a time, and comes back without its leaves."""
    settings, balancer = address
    friend = files(programs, servers, "friend")
    server = programs.server("-nocert", config=programs.config(service=service, **settings))
    for _ in range(3):
        assert programs.talk(server, TLS13, *friend).talked
    servers[-1].stop()
    for _ in range(ROUNDS):
        wait_until(lambda: programs.talk(server, TLS13, *friend).talked, "a handshake by the others")
    servers[-1].launch()
    port = servers[-1].ports["https"]
    seen = balancer.served[port]

    def is_asked_again():
        programs.talk(server, TLS13, *friend)
        return balancer.served[port] > seen + 3

    wait_until(is_asked_again, "connections to the third server")
    for _ in range(ROUNDS):
        wait_until(lambda: programs.talk(server, TLS13, *friend).talked, "a handshake by all")
