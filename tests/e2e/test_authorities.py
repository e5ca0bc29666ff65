# SPDX-License-Identifier: Apache-2.0
"""The certificate authorities that Consul itself can be: kinds of keys, rotations, and a second datacenter."""

import datetime

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec

import cluster
from agent import consul_version
from ca import TRADITIONAL, Identity, key_pem, rsa_key, service_uri
from processes import wait_until
from programs import TLS13, VERSIONS
from test_live import certificates, presented, rotate

pytestmark = pytest.mark.consul

KEYS = [("ec", 256), ("ec", 384), ("ec", 521), ("rsa", 2048), ("rsa", 4096)]


def between(programs, agent, service, peer, peers_agent=None):
    """Return whether a client with the provider talks to a server with it."""
    server = programs.connect_server(service, config=programs.config(agent))
    uri = f"consul:leaf/{peer}"
    config = programs.config(peers_agent or agent)
    return [programs.talk(server, version, "-cert", uri, "-key", uri, config=config) for version in VERSIONS]


def roots(agent):
    return [x509.load_pem_x509_certificate(pem.encode()) for pem in agent.root_pems]


def sizes(agent):
    return {root.public_key().key_size for root in roots(agent)}


@pytest.mark.parametrize("kind, bits", KEYS, ids=lambda value: str(value))
def test_keys(programs, make_agent, kind, bits):
    """The keys are the roots'. Consul makes leaves of the same kind, or of P-256."""
    agent = make_agent(connect={"enabled": True, "ca_config": {"private_key_type": kind, "private_key_bits": bits}})
    agent.wait_for_roots()
    assert sizes(agent) == {bits}
    agent.deny("foe", "*")
    for outcome in between(programs, agent, "web", "friend"):
        assert outcome.talked, outcome
    for outcome in between(programs, agent, "api", "foe"):
        assert outcome.refused and "DENY" in outcome.server, outcome
    agent.stop()


def test_leaves_for_an_hour(programs, make_agent):
    agent = make_agent(connect={"enabled": True, "ca_config": {"leaf_cert_ttl": "1h"}})
    agent.wait_for_roots()
    leaf = agent.leaf("web").x509
    assert leaf.not_valid_after - leaf.not_valid_before <= datetime.timedelta(hours=1, minutes=2)
    for outcome in between(programs, agent, "web", "friend"):
        assert outcome.talked, outcome
    agent.stop()


@pytest.mark.parametrize("kind, bits", [("ec", 384), ("rsa", 2048)], ids=["ec", "rsa"])
@pytest.mark.parametrize("forced", [False, True], ids=["cross-signed", "forced"])
def test_rotation_to_another_kind_of_key(programs, make_agent, kind, bits, forced):
    """A leaf of the old root and one of the new take each other; with ForceWithoutCrossSigning too."""
    agent = make_agent()
    agent.wait_for_roots()
    old = agent.leaf("friend").files(programs.folder, "friend")
    server = programs.connect_server("web", config=programs.config(agent))
    for version in VERSIONS:
        assert programs.talk(server, version, *old).talked
    key = ec.generate_private_key(ec.SECP384R1()) if kind == "ec" else rsa_key()
    agent.put("/v1/connect/ca/configuration", {
        "Provider": "consul", "ForceWithoutCrossSigning": forced,
        "Config": {"PrivateKey": key_pem(key, TRADITIONAL), "PrivateKeyType": kind,
                   "PrivateKeyBits": bits, "LeafCertTTL": "72h"}})
    wait_until(lambda: len(agent.has_roots()) == 2, "both roots")
    later = agent.leaf("later")
    # Consul 1.8 signs the new root with the old one all the same.
    assert bool(later.intermediates) is not (forced and consul_version(agent.binary) >= (1, 9))
    new = later.files(programs.folder, "later")
    assert sizes(agent) == {256, bits}
    for identity in (old, new):
        for version in VERSIONS:
            outcome = programs.talk(server, version, *identity)
            assert outcome.talked, outcome
    for outcome in between(programs, agent, "api", "client"):
        assert outcome.talked, outcome
    agent.stop()


# -- two datacenters --

@pytest.fixture(scope="module")
def datacenters(tmp_path_factory):
    """Two servers, joined as over a wide-area network. Leaves of the second have an intermediate."""
    folder = tmp_path_factory.mktemp("datacenters")
    agents = [cluster.datacenter(folder / "dc1", "dc1")]
    try:
        agents.append(cluster.datacenter(folder / "dc2", "dc2", agents[0]))
        wait_until(lambda: agents[1].trust_domain == agents[0].trust_domain, "the primary's trust domain")
        wait_until(lambda: agents[1].leaf("probe").intermediates, "a leaf with its intermediate")
        yield agents
    finally:
        for agent in agents:
            agent.stop()


def deny(datacenters, source, destination):
    """Deny at the primary. The other datacenter copies its intentions."""
    datacenters[0].deny(source, destination)
    wait_until(lambda: not datacenters[1].allows(source, destination), "the copy")


def test_a_leaf_with_an_intermediate(datacenters):
    second = datacenters[1].leaf("web")
    names = second.x509.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    assert names.get_values_for_type(x509.UniformResourceIdentifier) == [
        service_uri(datacenters[1].trust_domain, "web", "dc2")]
    intermediate = x509.load_pem_x509_certificate(second.intermediates.encode())
    assert intermediate.subject == second.x509.issuer
    assert intermediate.issuer == roots(datacenters[0])[0].subject


@pytest.mark.parametrize("of_server, of_client", [(0, 1), (1, 0), (1, 1)], ids=["1 from 2", "2 from 1", "2 from 2"])
def test_peers_of_datacenters(programs, datacenters, service, of_server, of_client):
    server, client = datacenters[of_server], datacenters[of_client]
    deny(datacenters, f"foe-{service}", service)
    for outcome in between(programs, server, service, f"friend-{service}", client):
        assert outcome.talked, outcome
    for outcome in between(programs, server, service, f"foe-{service}", client):
        assert outcome.refused and "DENY" in outcome.server, outcome


def test_who_leaves_out_the_intermediate_is_refused(programs, datacenters, service):
    server = programs.connect_server(service, config=programs.config(datacenters[0]))
    identity = datacenters[1].leaf(f"friend-{service}")
    assert programs.talk(server, TLS13, *identity.files(programs.folder, "whole")).talked
    identity.intermediates = ""
    assert programs.talk(server, TLS13, *identity.files(programs.folder, "bare")).refused


def active_root(agent):
    return next(root["ID"] for root in agent.has_roots() if root["Active"])


def repeated(identity):
    """Return it with its intermediates twice, as Consul 1.8 gives a leaf of its own datacenter."""
    return Identity(identity.certificate, identity.key, 2 * identity.intermediates)


@pytest.mark.parametrize("rotated", [False, True], ids=["at first", "rotated"])
def test_intermediates_that_are_repeated(programs, datacenters, service, rotated):
    """Ours are presented once, and a peer's are taken. One more may bridge a rotation of the primary."""
    primary, second = datacenters
    if rotated:  # for good: nothing comes after it
        rotate(primary)
        wait_until(lambda: active_root(second) == active_root(primary), "the new root")
    source = f"friend-{service}"
    server = programs.connect_server(service, config=programs.config(second))
    friend = repeated(second.leaf(source)).files(programs.folder, "friend")
    own = second.leaf(service)
    chain = certificates(own.certificate + own.intermediates)
    assert len(set(chain)) == 2 + rotated
    for version in VERSIONS:
        outcome = programs.talk(server, version, "-showcerts", *friend)
        assert outcome.talked, outcome
        assert presented(outcome) == list(dict.fromkeys(chain))

    peer = programs.server(*repeated(own).files(programs.folder, "server"))
    uri = f"consul:leaf/{source}"
    for version in VERSIONS:
        outcome = programs.talk(
            peer, version, "-showcerts", "-cert", uri, "-key", uri, "-servername", f"{service}.service.consul",
            config=programs.config(primary, datacenter="dc2"))
        assert outcome.talked and len(presented(outcome)) == 1 + 2 * len(chain[1:]), outcome
