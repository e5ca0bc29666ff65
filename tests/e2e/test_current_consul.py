# SPDX-License-Identifier: Apache-2.0
"""Differences of newer Consul from 1.8, on a real agent: leaves, config entries, ACL rules, enterprise names."""

import pytest
from cryptography import x509

from agent import AgentError, consul_binary, consul_version
from fake_agent import INTENTIONS
from processes import wait_until
from programs import TLS13
from relay import Relay
from test_acl import refused
from test_decisions import World

pytestmark = pytest.mark.consul

VERSION = consul_version(consul_binary())
WATCHED = {INTENTIONS + "/match"} if VERSION >= (1, 9) else {INTENTIONS + "/match", INTENTIONS}

since_1_9 = pytest.mark.skipif(VERSION < (1, 9), reason="new in Consul 1.9: this agent is older")
since_1_14 = pytest.mark.skipif(VERSION < (1, 14), reason="new in Consul 1.14 or before: this agent is older")


def client(agent, programs, name):
    return agent.leaf(name).files(programs.folder, name)


# -- leaves --

@since_1_14
def test_leaves_without_a_subject(programs, ours, service):
    """The SAN is critical then; both sides show such a leaf, and take it."""
    leaf = ours.leaf(service).x509
    assert not list(leaf.subject)
    assert leaf.extensions.get_extension_for_class(x509.SubjectAlternativeName).critical
    source = f"client-{service}"
    ours.allow(source, service)
    server = programs.connect_server(service, config=programs.config(ours))
    uri = f"consul:leaf/{source}"
    outcome = programs.talk(server, TLS13, "-cert", uri, "-key", uri, config=programs.config(ours))
    assert outcome.talked, outcome
    assert programs.talk(server, TLS13).refused


# -- intentions as config entries --

class Entry:
    """The service-intentions of one destination."""

    def __init__(self, agent, destination):
        self.agent, self.destination = agent, destination

    def set(self, **actions):
        """Set the actions by source, where "any" means all of them."""
        self.write([{"Name": "*" if name == "any" else f"{name}-{self.destination}", "Action": action}
                    for name, action in actions.items()])

    def write(self, sources):
        assert self.agent.put("/v1/config", {
            "Kind": "service-intentions", "Name": self.destination, "Sources": sources})

    def remove(self):
        self.agent.request("DELETE", f"/v1/config/service-intentions/{self.destination}")


@pytest.fixture
def entry(ours, service):
    one = Entry(ours, service)
    yield one
    one.remove()


@pytest.fixture
def talks(programs, ours, service):
    """Return a function that checks whether a client is let in to this test's service, as the agent says too."""
    server = programs.connect_server(service, config=programs.config(ours))

    def outcome(source, wanted):
        name = f"{source}-{service}"
        wait_until(lambda: ours.allows(name, service) is wanted, f"{name} => {service} to be {wanted}")
        return programs.talk(server, TLS13, *client(ours, programs, name))

    return outcome


@since_1_9
def test_a_config_entry(entry, talks):
    entry.set(friend="allow", foe="deny")
    assert talks("friend", True).talked
    outcome = talks("foe", False)
    assert outcome.refused and "DENY" in outcome.server, outcome
    entry.set(friend="deny", foe="allow")
    assert talks("friend", False).refused
    assert talks("foe", True).talked


@since_1_9
def test_a_name_comes_before_a_wildcard(entry, talks):
    entry.set(any="deny", friend="allow")
    assert talks("friend", True).talked
    assert talks("foe", False).refused
    entry.set(any="allow", foe="deny")
    assert talks("friend", True).talked
    assert talks("foe", False).refused


@since_1_9
def test_the_destinations_entry_comes_before_that_of_all(ours, service, entry, talks):
    """It comes first even where the entry of all names the source."""
    everywhere = Entry(ours, "*")
    everywhere.write([{"Name": f"{source}-{service}", "Action": "deny"} for source in ("friend", "foe")])
    try:
        assert talks("foe", False).refused
        entry.set(friend="allow")
        assert talks("friend", True).talked
        assert talks("foe", False).refused
        entry.set(any="allow")
        assert talks("foe", True).talked
    finally:
        everywhere.remove()


@since_1_9
def test_layer_7_permissions_are_a_refusal(ours, service, entry, talks):
    """Even an intention that would allow everything is about requests, and we see connections."""
    ours.put("/v1/config", {"Kind": "service-defaults", "Name": service, "Protocol": "http"})
    entry.write([{"Name": f"friend-{service}",
                  "Permissions": [{"Action": "allow", "HTTP": {"PathPrefix": "/"}}]}])
    outcome = talks("friend", False)
    assert outcome.refused and outcome.alert == 42, outcome
    assert "L7" in outcome.server, outcome
    entry.set(friend="allow")
    assert talks("friend", True).talked


def test_intentions_are_waited_for(programs, ours, service):
    """A busy server waits for its own service's intentions where it can, and with Consul 1.8 for all of them."""
    source = f"friend-{service}"
    ours.allow(source, service)
    relay = Relay(ours)
    relay.watchable = True  # its indexes are the real agent's
    try:
        world = World(programs, relay, service, ours.leaf(source), watch_wait="5s").settle()
        assert {request.path for request in relay.seen(INTENTIONS)} == WATCHED
        other = world.keep_busy(ours.leaf(f"other-{service}"))
        relay.await_told(INTENTIONS, lambda: ours.deny(source, service), other)
        assert not world.served()
        ours.allow(source, service)
        assert world.served()
    finally:
        relay.stop()


# -- ACL rules --

def rule(name, policy="write", intentions=None):
    more = f' intentions = "{intentions}"' if intentions else ""
    return f'service "{name}" {{ policy = "{policy}"{more} }}'


def test_a_service_needs_to_write_itself_and_no_more(programs, guarded, service):
    """Server and client alike; with that the server may also wait for its intentions."""
    source = f"client-{service}"
    guarded.allow(source, service)
    config, peer = (
        programs.config(guarded, token=guarded.make_token(name, rule(name))) for name in (service, source))
    server = programs.connect_server(service, config=config)
    uri = f"consul:leaf/{source}"
    for _ in range(3):
        assert programs.talk(server, TLS13, "-cert", uri, "-key", uri, config=peer).talked


@pytest.mark.parametrize("rules", [
    lambda name: rule(name, "read"),
    lambda name: rule(name, "read", "write"),
    lambda name: rule(f"not-{name}"),
    lambda name: 'agent_prefix "" { policy = "write" } node_prefix "" { policy = "write" }',
    lambda name: 'operator = "write"',
], ids=["read", "read, intentions write", "another", "agent and node", "operator"])
def test_fewer_rules_are_refused_a_leaf(programs, guarded, service, rules):
    secret = guarded.make_token(service, rules(service))
    result = programs.storeutl(f"consul:leaf/{service}", config=programs.config(guarded, token=secret))
    refused(result, "403", "Permission denied", "service:write on the service")
    assert secret not in result.output


def test_fewer_rules_are_refused_a_decision(programs, guarded, service):
    """A server that has its leaf by another token than the one that authorizes."""
    file = programs.write("token", guarded.make_token(service, rule(service)))
    server = programs.connect_server(service, config=programs.config(guarded, token_file=file))
    source = f"client-{service}"
    guarded.allow(source, service)
    peer = client(guarded, programs, source)
    assert programs.talk(server, TLS13, *peer).talked
    file.write_text(guarded.make_token(f"less-{service}", rule(service, "read")))
    outcome = programs.talk(server, TLS13, *peer)
    assert outcome.refused and outcome.alert == 80, outcome
    assert "403" in outcome.server and "service:write" in outcome.server, outcome


def test_to_write_a_service_is_to_read_its_intentions(programs, guarded, service):
    """A busy server waits for these intentions."""
    source = f"friend-{service}"
    guarded.allow(source, service)
    relay = Relay(guarded)
    relay.watchable = True
    try:
        settings = {"token": guarded.make_token(service, rule(service)), "watch_wait": "5s"}
        world = World(programs, relay, service, guarded.leaf(source), **settings).settle()
        other = world.keep_busy(guarded.leaf(f"other-{service}"))
        relay.await_told(INTENTIONS, lambda: guarded.deny(source, service), other)
        assert not world.served()
    finally:
        relay.stop()


def test_a_service_whose_intentions_are_taken_away(programs, guarded, service):
    """Then the agent decides nothing, though it issues the leaf."""
    config = programs.config(guarded, token=guarded.make_token(service, rule(service, intentions="deny")))
    server = programs.connect_server(service, config=config)
    source = f"client-{service}"
    guarded.allow(source, service)
    outcome = programs.talk(server, TLS13, *client(guarded, programs, source))
    assert outcome.refused and outcome.alert == 80, outcome
    assert "403" in outcome.server and "intentions:read" in outcome.server, outcome


# -- Consul Enterprise alone --

def test_a_namespace_is_refused(programs, ours):
    for uri, settings in (("consul:leaf/web?ns=team", {}), ("consul:leaf/web", {"namespace": "team"})):
        result = programs.storeutl(uri, config=programs.config(ours, **settings))
        refused(result, "400", "Enterprise feature")


def test_a_partition_is_refused(programs, ours):
    """An agent with partitions refuses the request. Another agent gives a leaf without a partition."""
    said = ("400", "Enterprise feature") if VERSION >= (1, 14) else ("not for the service of the request",)
    for uri, settings in (("consul:leaf/web?partition=part", {}), ("consul:leaf/web", {"partition": "part"})):
        result = programs.storeutl(uri, config=programs.config(ours, **settings))
        refused(result, *said)


def test_the_agent_knows_better(ours):
    """The enterprise error is the agent's own."""
    with pytest.raises(AgentError, match="Enterprise"):
        ours.get("/v1/agent/connect/ca/leaf/web?ns=team")
