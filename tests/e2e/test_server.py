# SPDX-License-Identifier: Apache-2.0
"""s_server with a Connect leaf and no verify option, on a real agent, and the clients that get in."""

import pytest
from cryptography.hazmat.primitives.serialization import load_pem_private_key

import outages
from ca import Authority, SERVER_ONLY, self_signed, service_uri
from programs import SHORT, SHORT_TIMEOUTS, SLACK, VERSIONS

pytestmark = pytest.mark.core

BAD_CERTIFICATE, CERTIFICATE_EXPIRED, UNKNOWN_CA, INTERNAL_ERROR = 42, 45, 48, 80
NO_CERTIFICATE = {"-tls1_2": 40, "-tls1_3": 116}  # handshake failure, certificate required


@pytest.fixture(params=VERSIONS, ids=lambda option: option.lstrip("-"))
def version(request):
    return request.param


@pytest.fixture
def server(programs, agent, service):
    return programs.connect_server(service, config=programs.config(agent))


def issued(agent, path, host=None):
    return agent.authority.issue([f"spiffe://{host or agent.trust_domain}{path}"])


def foreign(agent):
    return Authority(agent.trust_domain, "Adopted Root")


# Certificates of a client that are not from the agent or from a root that it lists.
NOT_FROM_OUR_ROOTS = {
    "self-signed": lambda agent: self_signed(),
    "self-signed service": lambda agent: self_signed([service_uri(agent.trust_domain, "friend")]),
    "foreign CA": lambda agent: foreign(agent).service("friend"),
    "foreign intermediate": lambda agent: foreign(agent).intermediate().service("friend"),
    "a leaf as CA": lambda agent: issued_by_leaf(agent),
}
NOT_A_SERVICE = {
    "client agent": lambda agent: issued(agent, "/agent/client/dc/dc1/id/e2e"),
    "server agent": lambda agent: issued(agent, "/agent/server/dc/dc1"),
    "mesh gateway": lambda agent: issued(agent, "/gateway/mesh/dc/dc1"),
    "trust domain": lambda agent: issued(agent, ""),
    "other trust domain": lambda agent: issued(agent, "/ns/default/dc/dc1/svc/friend", "other.consul"),
    "longer trust domain": lambda agent: issued(
        agent, "/ns/default/dc/dc1/svc/friend", agent.trust_domain + ".example"),
    "port": lambda agent: issued(agent, "/ns/default/dc/dc1/svc/friend", agent.trust_domain + ":80"),
    "user": lambda agent: issued(agent, "/ns/default/dc/dc1/svc/friend", "user@" + agent.trust_domain),
    "trailing slash": lambda agent: issued(agent, "/ns/default/dc/dc1/svc/friend/"),
    "no service": lambda agent: issued(agent, "/ns/default/dc/dc1/svc/"),
    "no datacenter": lambda agent: issued(agent, "/ns/default/svc/friend"),
    "capitals": lambda agent: issued(agent, "/NS/default/DC/dc1/SVC/friend"),
    "query": lambda agent: issued(agent, "/ns/default/dc/dc1/svc/friend?x=y"),
    "fragment": lambda agent: issued(agent, "/ns/default/dc/dc1/svc/friend#x"),
    "other scheme": lambda agent: agent.authority.issue(
        [f"https://{agent.trust_domain}/ns/default/dc/dc1/svc/friend"]),
    "no SAN": lambda agent: agent.authority.issue([]),
    "DNS only": lambda agent: agent.authority.issue([], dns=["friend.service.consul"]),
    "two URIs": lambda agent: agent.authority.issue(
        [service_uri(agent.trust_domain, name) for name in ("friend", "guest")]),
    "twice the same URI": lambda agent: agent.authority.issue(
        2 * [service_uri(agent.trust_domain, "friend")]),
    "CA": lambda agent: agent.authority.service("friend", ca=True),
}
OUT_OF_ITS_TIME = {
    "expired": (CERTIFICATE_EXPIRED, lambda agent: agent.authority.service("friend", begins=-5, ends=-1)),
    "not yet valid": (BAD_CERTIFICATE, lambda agent: agent.authority.service("friend", begins=1, ends=5)),
}


def issued_by_leaf(agent):
    """Signed with a real service's leaf, which is no CA."""
    leaf = agent.leaf("friend")
    signer = Authority(agent.trust_domain)
    signer.name = leaf.x509.subject
    signer.key = load_pem_private_key(leaf.key.encode(), None)
    signer.chain = leaf.certificate + leaf.intermediates
    return signer.service("friend")


def reaches(programs, server, version, identity):
    return programs.talk(server, version, *identity.files(programs.folder, "client"))


def test_an_allowed_service_gets_in(programs, agent, service, server, version):
    """Data goes both ways, and nothing is left on the server's error queue."""
    agent.allow(f"friend-{service}", service)
    outcome = reaches(programs, server, version, agent.leaf(f"friend-{service}"))
    assert outcome.talked, outcome
    assert "error:" not in outcome.server


def test_a_leaf_of_the_elder_root_gets_in(programs, agent, server, version):
    """Every listed root is trusted, not the active one alone."""
    assert reaches(programs, server, version, agent.elder).talked


def test_a_denied_service_stays_out(programs, agent, service, server, version):
    """The reason names both services, as the agent gave it."""
    agent.deny(f"foe-{service}", service)
    outcome = reaches(programs, server, version, agent.leaf(f"foe-{service}"))
    assert outcome.refused, outcome
    assert outcome.alert == BAD_CERTIFICATE
    assert f"foe-{service}" in outcome.server
    assert "DENY" in outcome.server


def test_a_client_without_a_certificate_stays_out(programs, server, version):
    outcome = programs.talk(server, version)
    assert outcome.refused, outcome
    assert outcome.alert == NO_CERTIFICATE[version]


@pytest.mark.parametrize("kind", NOT_FROM_OUR_ROOTS)
def test_another_root_is_not_ours(programs, agent, server, version, kind):
    outcome = reaches(programs, server, version, NOT_FROM_OUR_ROOTS[kind](agent))
    assert outcome.refused, outcome
    assert outcome.alert == UNKNOWN_CA or kind == "a leaf as CA"


@pytest.mark.parametrize("kind", NOT_A_SERVICE)
def test_only_services_get_in(programs, agent, server, version, kind):
    """A listed root is not enough: one service SPIFFE ID in this trust domain is."""
    outcome = reaches(programs, server, version, NOT_A_SERVICE[kind](agent))
    assert outcome.refused, outcome
    assert outcome.alert is not None


@pytest.mark.parametrize("kind", OUT_OF_ITS_TIME)
def test_a_leaf_has_its_time(programs, agent, server, version, kind):
    alert, identity = OUT_OF_ITS_TIME[kind]
    outcome = reaches(programs, server, version, identity(agent))
    assert outcome.refused, outcome
    assert outcome.alert == alert


def test_a_leaf_for_servers_is_no_client(programs, agent, server, version):
    outcome = reaches(programs, server, version, agent.authority.service("friend", usage=SERVER_ONLY))
    assert outcome.refused, outcome


def test_an_intermediate_may_issue(programs, agent, server, version):
    """Vault and secondary datacenters issue from intermediates."""
    outcome = reaches(programs, server, version, agent.authority.intermediate().service("friend"))
    assert outcome.talked, outcome


def test_a_flipped_intention_counts_for_the_next_connection(programs, agent, service, server, version):
    source = f"fickle-{service}"
    leaf = agent.leaf(source)
    for _ in range(2):
        agent.deny(source, service)
        assert reaches(programs, server, version, leaf).refused
        agent.allow(source, service)
        assert reaches(programs, server, version, leaf).talked


def test_with_the_agent_stopped_nobody_gets_in(programs, make_agent, service, version):
    """A client that was allowed a moment ago does not get in, either."""
    own = make_agent()
    own.wait_for_roots()
    leaf = own.leaf("friend")
    server = programs.connect_server(service, config=programs.config(own, **SHORT_TIMEOUTS))
    assert reaches(programs, server, version, leaf).talked
    own.stop()
    for client in (leaf.files(programs.folder, "client"), []):
        outcome = programs.talk(server, version, *client)
        assert outcome.refused, outcome
    outcome = reaches(programs, server, version, leaf)
    assert outcome.alert == INTERNAL_ERROR
    assert own.address in outcome.server


def test_with_the_agent_hung_nobody_gets_in_until_it_answers(programs, make_agent, service, version):
    """Bounded by the timeouts, and the server recovers without a restart."""
    own = make_agent()
    own.wait_for_roots()
    leaf = own.leaf("friend")
    server = programs.connect_server(service, config=programs.config(own, **SHORT_TIMEOUTS))
    with outages.hung(own):
        outcome = reaches(programs, server, version, leaf)
    assert outcome.refused, outcome
    assert outcome.alert == INTERNAL_ERROR
    assert outcome.elapsed < 2 * SHORT + SLACK
    assert reaches(programs, server, version, leaf).talked


def test_services_talk_to_each_other(programs, agent, service, version):
    """Both sides by the provider: the commands that the documentation shows."""
    config = programs.config(agent)
    server = programs.connect_server(service, config=config)
    client = f"consul:leaf/client-{service}"
    agent.deny(f"client-{service}", service)
    assert programs.talk(server, version, "-cert", client, "-key", client, config=config).refused
    agent.allow(f"client-{service}", service)
    outcome = programs.talk(server, version, "-cert", client, "-key", client, config=config)
    assert outcome.talked, outcome
