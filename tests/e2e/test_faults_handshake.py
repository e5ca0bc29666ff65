# SPDX-License-Identifier: Apache-2.0
"""A fault of the agent during a handshake lets no peer in. The refusal comes in time and says why."""

import re
from pathlib import Path

import pytest

from ca import Authority, TRADITIONAL, ec_key
from fake_agent import AUTHORIZE, ROOTS, TRUST_DOMAIN, FakeAgent, raw, silent, value
from faults import FAULTS, TIME
from newer_agent import NewerAgent
from processes import Process, wait_until
from programs import PYTHON, Server, SHORT, SHORT_TIMEOUTS, SLACK, TLS12, TLS13, reasons

pytestmark = pytest.mark.faults

FOLDER = Path(__file__).parent

ANSWERED_IN_LOSS = ("500", "599")  # by an agent without its servers

each_agent = pytest.mark.parametrize("fake", [FakeAgent, NewerAgent], indirect=True)

BAD_CERTIFICATE, UNKNOWN_CA, INTERNAL_ERROR = 42, 48, 80


@pytest.fixture
def server(programs, fake):
    return programs.connect_server("web", config=programs.config(fake, **SHORT_TIMEOUTS))


@pytest.fixture
def friend(programs, fake):
    return fake.authority.service("friend").files(programs.folder, "friend")


def refused(outcome, cause, alert=INTERNAL_ERROR):
    """Check that the handshake failed with this alert and one error that matches the cause."""
    assert outcome.refused, outcome
    assert outcome.alert == alert, outcome
    said = reasons(outcome.server)
    assert len(said) == 1, outcome
    assert re.search(cause, said[0]), outcome
    assert outcome.elapsed < SHORT + SLACK
    return said[0]


@pytest.fixture
def newcomer(programs, fake):
    """A server that has never asked the agent for anything: its leaf is in files."""
    leaf = fake.authority.service("web").files(programs.folder, "server")
    return programs.server(*leaf, config=programs.config(fake, **SHORT_TIMEOUTS))


@pytest.mark.parametrize("fault", FAULTS)
@pytest.mark.parametrize("kind", [ROOTS, AUTHORIZE], ids=["roots", "authorize"])
def test_an_agent_in_trouble_lets_nobody_in(programs, fake, newcomer, friend, kind, fault):
    """After the trouble, the same server goes on."""
    answer, cause = FAULTS[fault]
    fake.answer(kind, answer)
    said = refused(programs.talk(newcomer, TLS13, *friend), cause)
    assert fake.address in said and kind in said
    fake.answer(kind, None)
    wait_until(lambda: programs.talk(newcomer, TLS13, *friend).talked, "an end of the trouble")


@pytest.mark.parametrize("fault", FAULTS)
def test_known_roots_serve_a_server_only_while_the_agent_is_lost(programs, fake, server, friend, fault):
    """Any other fault may hide a withdrawn root. An agent that takes all the time is asked nothing more."""
    assert programs.talk(server, TLS13, *friend).talked
    answer, cause = FAULTS[fault]
    fake.answer(ROOTS, answer)
    asked = len(fake.seen(AUTHORIZE))
    outcome = programs.talk(server, TLS13, *friend)
    if fault in ANSWERED_IN_LOSS:
        assert outcome.talked, outcome
    else:
        assert TIME == cause or ROOTS in refused(outcome, cause)
    assert len(fake.seen(AUTHORIZE)) == asked + (fault in ANSWERED_IN_LOSS)
    other = Authority(TRUST_DOMAIN, "Other Root").service("stranger").files(programs.folder, "stranger")
    assert programs.talk(server, TLS13, *other).refused
    fake.answer(ROOTS, None)
    wait_until(lambda: programs.talk(server, TLS13, *friend).talked, "an end of the trouble")


@each_agent
@pytest.mark.parametrize("fault", ["403", "429", "null", "closed"])
def test_known_roots_serve_a_client(programs, fake, fault):
    """No answer of the agent judges a server."""
    config = programs.config(fake, service="api", **SHORT_TIMEOUTS)
    client = programs.start(Process, [PYTHON, FOLDER / "live_client.py"], config, programs.leaks_allowed())
    identities = [one.service("db").files(programs.folder, name)
                  for name, one in (("db", fake.authority), ("evil", Authority(TRUST_DOMAIN, "Other Root")))]
    files = [file for _, certificate, _, key, *_ in identities for file in (certificate, key)]
    right, wrong = programs.start(Server, [PYTHON, FOLDER / "several.py", *files]).wait_for(r"PORTS (\d+) (\d+)").groups()

    def visit(port):
        mark = client.size()
        client.say(port)
        return client.wait_for(r"(SERVED|REFUSED).*\n", mark)[1]

    assert visit(right) == "SERVED"
    fake.answer(ROOTS, FAULTS[fault][0])
    assert visit(right) == "SERVED" and visit(wrong) == "REFUSED"


@each_agent
@pytest.mark.parametrize("fault", ["500", "null", "closed", "silence"])
@pytest.mark.parametrize("kind", [ROOTS, AUTHORIZE], ids=["roots", "authorize"])
def test_the_same_in_tls_1_2(programs, fake, newcomer, friend, kind, fault):
    answer, cause = FAULTS[fault]
    fake.answer(kind, answer)
    refused(programs.talk(newcomer, TLS12, *friend), cause)


@each_agent
def test_the_agent_goes_and_comes_back(programs, fake, server, friend):
    assert programs.talk(server, TLS13, *friend).talked
    fake.stop()
    assert fake.address in refused(programs.talk(server, TLS13, *friend), "unreachable")
    fake.start()
    assert programs.talk(server, TLS13, *friend).talked


@pytest.mark.parametrize("kind", [ROOTS, AUTHORIZE], ids=["roots", "authorize"])
def test_a_redirect_is_not_followed(programs, fake, newcomer, friend, kind):
    other = FakeAgent(fake.authority)
    try:
        for status in (301, 302, 307, 308):
            fake.answer(kind, raw(status, Location=f"http://{other.address}{kind}"))
            refused(programs.talk(newcomer, TLS13, *friend), f"HTTP status {status}")
        assert other.requests == []
    finally:
        other.stop()


def test_one_timeout_holds_for_the_whole_handshake(programs, fake, friend):
    """authorize_timeout, although request_timeout would allow more."""
    settings = {**SHORT_TIMEOUTS, "request_timeout": "30s"}
    server = programs.connect_server("web", config=programs.config(fake, **settings))
    for kind in (ROOTS, AUTHORIZE):
        fake.answer(kind, silent)
        refused(programs.talk(server, TLS13, *friend), "time")


# Only the JSON value true under Authorized, with status 200, is a yes.
NOT_A_YES = {
    "text": value({"Authorized": "true"}),
    "one": value({"Authorized": 1}),
    "null": value({"Authorized": None}),
    "array": value({"Authorized": [True]}),
    "object": value({"Authorized": {"Authorized": True}}),
    "missing": value({"Reason": "Authorized: true"}),
    "lower case": value({"authorized": True}),
    "within": value({"Result": {"Authorized": True}}),
    "in an array": value([{"Authorized": True}]),
    "yes and no": raw(200, '{"Authorized": true, "Authorized": false}'),
    "no and yes": raw(200, '{"Authorized": false, "Authorized": true}'),
    "more behind": raw(200, '{"Authorized": true} {"Authorized": false}'),
    "single quotes": raw(200, "{'Authorized': true}"),
    "capitals": raw(200, '{"Authorized": TRUE}'),
    "201": value({"Authorized": True}, status=201),
    "203": value({"Authorized": True}, status=203),
    "403": value({"Authorized": True}, status=403),
    "500": value({"Authorized": True}, status=500),
}


@pytest.mark.parametrize("case", NOT_A_YES)
def test_only_true_is_a_yes(programs, fake, server, friend, case):
    fake.answer(AUTHORIZE, NOT_A_YES[case])
    refused(programs.talk(server, TLS13, *friend), "HTTP status" if case.isdigit() else "invalid answer")


@pytest.mark.parametrize("version", [TLS12, TLS13], ids=lambda option: option.lstrip("-"))
@pytest.mark.parametrize("body, reason", [
    ({"Authorized": False, "Reason": "Matched intention: DENY x"}, "Matched intention: DENY x"),
    ({"Authorized": False}, "denied by Consul"),
    ({"Authorized": False, "Reason": None}, "denied by Consul"),
    ({"Authorized": False, "Reason": 7}, "denied by Consul"),
    ({"Authorized": False, "Reason": "two\r\nlines \x1b[31m\u00e9"}, r"two  ?lines [ -~]*$"),
    ({"Authorized": False, "Reason": 100000 * "long "}, "long long"),
    ({"Authorized": False, "Reason": "%s%n%x"}, "%s%n%x"),
], ids=["why", "no why", "null", "number", "control characters", "long", "format"])
def test_a_no_is_a_no(programs, fake, server, friend, version, body, reason):
    """The agent's reason is shown as one printable line."""
    fake.answer(AUTHORIZE, value(body))
    said = refused(programs.talk(server, version, *friend), reason, BAD_CERTIFICATE)
    assert "svc/friend" in said and "web" in said
    assert len(said) < 2000


def test_a_reason_is_not_needed_for_a_yes(programs, fake, server, friend):
    fake.answer(AUTHORIZE, value({"Authorized": True}))
    assert programs.talk(server, TLS13, *friend).talked


def test_a_withdrawn_root_is_gone_at_once(programs, fake, server, friend):
    other = Authority(TRUST_DOMAIN, "Other Root")
    newcomer = other.service("newcomer").files(programs.folder, "newcomer")
    refused(programs.talk(server, TLS13, *newcomer), "not trusted", UNKNOWN_CA)
    fake.answer(ROOTS, value({**fake.roots(), "Roots": [fake.root(), fake.root(other)]}))
    assert programs.talk(server, TLS13, *newcomer).talked
    fake.answer(ROOTS, value({**fake.roots(), "Roots": [fake.root(other)]}))
    fake.leaves["web"] = other.service("web", key=ec_key(), form=TRADITIONAL)
    assert programs.talk(server, TLS13, *newcomer).talked
    refused(programs.talk(server, TLS13, *friend), "not trusted", UNKNOWN_CA)


@each_agent
def test_another_trust_domain_is_another_mesh(programs, fake, server, friend):
    """When the agent's trust domain is no longer the leaf's, it decides about no service of this mesh."""
    fake.answer(ROOTS, value({**fake.roots(), "TrustDomain": "other.consul"}))
    assert programs.talk(server, TLS13, *friend).refused
    stranger = fake.authority.issue(["spiffe://other.consul/ns/default/dc/dc1/svc/friend"])
    assert programs.talk(server, TLS13, *stranger.files(programs.folder, "stranger")).refused
    assert fake.seen(AUTHORIZE) == []


def test_a_client_refuses_a_server_it_can_not_verify(programs, fake):
    """s_client on the other side, for each kind of fault on the roots."""
    server = programs.server(*fake.authority.service("web").files(programs.folder, "server"))
    client = fake.authority.service("client").files(programs.folder, "client")
    config = programs.config(fake, **SHORT_TIMEOUTS)
    assert programs.talk(server, TLS13, *client, config=config).talked
    for fault, (answer, cause) in FAULTS.items():
        fake.answer(ROOTS, answer)
        outcome = programs.talk(server, TLS13, *client, config=config)
        assert outcome.silent, f"{fault}: {outcome}"
        assert any(re.search(cause, line) for line in reasons(outcome.client)), f"{fault}: {outcome}"
        assert outcome.elapsed < SHORT + SLACK
    assert fake.seen(AUTHORIZE) == []
