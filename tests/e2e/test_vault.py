# SPDX-License-Identifier: Apache-2.0
"""A Vault as the certificate authority of real agents: every leaf has an intermediate, and Vault has the keys."""

import os
import re
from concurrent.futures import ThreadPoolExecutor

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec

import cluster
import go_peer
import vault as vault_server
from agent import consul_binary, consul_version
from ca import Authority, build, common_name, pem
from processes import wait_until
from programs import TLS13, VERSIONS
from test_authorities import between, deny, roots
from test_live import presented

pytestmark = [
    pytest.mark.consul,
    pytest.mark.skipif(
        vault_server.WANTED not in os.environ, reason="no Vault: tools/check --consul=current makes one"),
]

VERSION = consul_version(consul_binary())
since_1_14 = pytest.mark.skipif(VERSION < (1, 14), reason="this Consul issues nothing there: backend not mounted")
before_1_14 = pytest.mark.skipif(VERSION >= (1, 14), reason="this Consul's leaves are those of the next test")

KEYS = [("ec", 256), ("ec", 384), ("rsa", 2048), ("rsa", 4096)]
IN_CONNECT = {"ca_provider": "vault", "enabled": True}


@pytest.fixture(scope="module")
def vault(tmp_path_factory):
    one = vault_server.Vault(tmp_path_factory.mktemp("vault"))
    yield one
    one.stop()


@pytest.fixture
def start(make_agent):
    """Yield a function that starts an agent with this configuration of its CA. It is stopped after the test."""
    agents = []

    def with_config(config):
        agents.append(make_agent(connect={**IN_CONNECT, "ca_config": config}))
        agents[-1].wait_for_roots()
        return agents[-1]

    yield with_config
    for agent in agents:
        agent.stop()


def certificates(text):
    """Consul 1.8 leaves out the last end of line."""
    return [one + "\n" for one in re.findall("-----BEGIN CERTIFICATE-----.*?-----END CERTIFICATE-----", text, re.S)]


def intermediates(agent, service):
    return [x509.load_pem_x509_certificate(one.encode()) for one in certificates(agent.leaf(service).intermediates)]


def assert_obeyed(programs, agent):
    """Check that an intention counts between programs that know the agent only."""
    agent.deny("foe", "*")
    for outcome in between(programs, agent, "web", "friend"):
        assert outcome.talked, outcome
    for outcome in between(programs, agent, "api", "foe"):
        assert outcome.refused and "DENY" in outcome.server, outcome


@pytest.mark.parametrize("kind, bits", KEYS, ids=lambda value: str(value))
def test_keys(programs, vault, start, kind, bits):
    """The root and the intermediate have these keys."""
    agent = start(vault.config(PrivateKeyType=kind, PrivateKeyBits=bits))
    (root,), between_them = roots(agent), set(intermediates(agent, "web"))
    assert len(between_them) == 1
    for authority in (root, *between_them):
        assert (authority.issuer, authority.public_key().key_size) == (root.subject, bits)
    assert_obeyed(programs, agent)


def test_an_intermediate_given_twice(programs, vault, start):
    """Consul 1.8 does so; a server presents it once."""
    agent = start(vault.config())
    given = certificates(agent.leaf("web").intermediates)
    if len(given) == 1:
        pytest.skip("this Consul gives it once")
    assert len(given) == 2 and len(set(given)) == 1
    server = programs.connect_server("web", config=programs.config(agent))
    for version in VERSIONS:
        outcome = programs.talk(server, version, "-showcerts", *agent.leaf("friend").files(programs.folder, "friend"))
        assert outcome.talked and presented(outcome) == [agent.leaf("web").certificate, given[0]]


def test_who_leaves_out_the_intermediate_is_refused(programs, vault, start):
    agent = start(vault.config())
    server = programs.connect_server("web", config=programs.config(agent))
    identity = agent.leaf("friend")
    assert programs.talk(server, TLS13, *identity.files(programs.folder, "whole")).talked
    identity.intermediates = ""
    assert programs.talk(server, TLS13, *identity.files(programs.folder, "bare")).refused


def test_a_root_that_another_has_signed(programs, vault, start):
    """Consul lists it as a root, and from 1.14 on, its issuer in the same text."""
    config = vault.config()
    above = Authority("elsewhere", "Corporate Root")
    mount = config["RootPKIPath"]
    vault.put(f"sys/mounts/{mount}", {"type": "pki"})
    request = vault.put(f"{mount}/intermediate/generate/internal", {"common_name": "Between"})["data"]["csr"]
    key = x509.load_pem_x509_csr(request.encode())
    signed = build(common_name("Between"), above.name, key, above.key, ca=True)
    vault.put(f"{mount}/intermediate/set-signed", {"certificate": pem(signed) + above.pem})
    agent = start(config)
    assert pem(signed).strip() in agent.root_pems[0]
    assert_obeyed(programs, agent)


def test_a_vault_that_is_gone(programs, tmp_path, start):
    """A service with its leaf goes on, and a service without one says why."""
    own = vault_server.Vault(tmp_path)
    agent = start(own.config())
    friend = agent.leaf("friend").files(programs.folder, "friend")
    server = programs.connect_server("web", config=programs.config(agent))
    own.stop()
    for version in VERSIONS:
        assert programs.talk(server, version, *friend).talked
    for outcome in between(programs, agent, "web", "friend"):
        assert outcome.talked, outcome
    result = programs.storeutl("consul://leaf/later", config=programs.config(agent))
    assert result.code != 0 and "connection refused" in result.reasons[-1], result


# -- two datacenters --

@pytest.fixture
def datacenters(request, vault, tmp_path):
    """Two, each with an authority of the kind that the test names; the primary's signs the other's intermediate."""
    cas = [{"ca_provider": kind, "ca_config": vault.config() if kind == "vault" else {}} for kind in request.param]
    agents = [cluster.datacenter(tmp_path / "dc1", "dc1", connect=cas[0])]
    try:
        agents.append(cluster.datacenter(tmp_path / "dc2", "dc2", agents[0], connect=cas[1]))
        wait_until(lambda: agents[1].trust_domain == agents[0].trust_domain, "the primary's trust domain")
        wait_until(lambda: agents[1].leaf("probe").intermediates, "a leaf with its intermediate")
        yield agents
    finally:
        for agent in agents:
            agent.stop()


@pytest.mark.parametrize("datacenters", [
    pytest.param(("vault", "vault"), marks=since_1_14, id="vault-below-vault"),
    pytest.param(("consul", "vault"), marks=since_1_14, id="vault-below-consul"),
    pytest.param(("vault", "consul"), marks=before_1_14, id="consul-below-vault"),
], indirect=True)
def test_datacenters(programs, datacenters):
    deny(datacenters, "foe", "api")
    for server, client in (datacenters, datacenters[::-1], datacenters[1:] * 2):
        for outcome in between(programs, server, "web", "friend", client):
            assert outcome.talked, outcome
        for outcome in between(programs, server, "api", "foe", client):
            assert outcome.refused and "DENY" in outcome.server, outcome


# -- rotations --

class Mesh:
    """Servers and clients of every time there was, which all have to talk to each other all the time."""

    def __init__(self, programs, agent):
        self.programs, self.agent = programs, agent
        self.config = programs.config(agent)
        self.servers, self.leaves = [], []

    def add(self):
        """Add a server with the provider and a client without it. Both are new to the agent."""
        name = f"of-time-{len(self.servers)}"
        self.servers.append(self.programs.connect_server(f"server-{name}", config=self.config))
        self.leaves.append(self.agent.leaf(name).files(self.programs.folder, name))
        return self.servers[-1]

    def talk(self):
        uri = f"consul:leaf/client-{len(self.servers)}"
        clients = [(leaf, None) for leaf in self.leaves] + [(["-cert", uri, "-key", uri], self.config)]
        for server in self.servers:
            for version in VERSIONS:
                for arguments, config in clients:
                    outcome = self.programs.talk(server, version, *arguments, config=config)
                    assert outcome.talked, outcome
        foe = self.agent.leaf("foe").files(self.programs.folder, "foe")
        for server in self.servers:
            assert self.programs.talk(server, TLS13, *foe).refused


def rotate(agent, provider, config):
    """Rotate to another root, at once."""
    old = agent.active_root
    agent.put("/v1/connect/ca/configuration", {"Provider": provider, "Config": config})
    wait_until(lambda: agent.active_root != old, "the new root")


def test_rotations(programs, vault, make_agent):
    """From Consul's own authority to Vault, there to other mounts and to another root alone, and back.

    Consul 1.8 cannot do the third: it unmounts the intermediate of the earlier root, and issues no more leaves.
    """
    agent = make_agent()
    agent.wait_for_roots()
    agent.deny("foe", "*")
    mesh = Mesh(programs, agent)
    first = mesh.add()
    mesh.talk()
    steps = [("vault", vault.config()), ("vault", vault.config())]
    if VERSION >= (1, 14):
        path = steps[-1][1]["IntermediatePKIPath"]
        steps.append(("vault", {**vault.config(), "IntermediatePKIPath": path}))
    for provider, config in (*steps, ("consul", {})):
        with ThreadPoolExecutor() as pool:
            rotation = pool.submit(rotate, agent, provider, config)
            mesh.talk()
            rotation.result()
        mesh.talk()
        mesh.add()
        mesh.talk()
    assert len(roots(agent)) == 1 + len(steps) + 1

    def renewed():
        friend = programs.talk(first, TLS13, "-showcerts", *mesh.leaves[0])
        assert friend.talked, friend
        return presented(friend)[0] == agent.leaf("server-of-time-0").certificate

    wait_until(renewed, "the first server's new leaf")
    mesh.talk()
    agent.stop()


@pytest.mark.skipif(go_peer.WANTED not in os.environ, reason="no program on the Go library")
def test_go_peers_through_a_rotation(programs, vault, make_agent):
    """Consul's own library at either end, the same processes before and after; and new ones."""
    agent = make_agent()
    agent.wait_for_roots()
    agent.deny("foe", "*")

    def start():
        theirs = go_peer.server(programs, agent, "theirs", "http", "from-go")
        ours = programs.connect_server("ours", "-www", config=programs.config(agent))
        return theirs, ours, *(go_peer.Client(programs, agent, name) for name in ("friend", "foe"))

    def obey(theirs, ours, friend, foe):
        for server, name in ((theirs, "theirs"), (ours, "ours")):
            assert friend.ask(server.port, name).startswith("SERVED")
            assert foe.ask(server.port, name).startswith("REFUSED")

    old = start()
    obey(*old)
    rotate(agent, "vault", vault.config())
    obey(*old)
    obey(*start())
    agent.stop()
