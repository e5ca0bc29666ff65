# SPDX-License-Identifier: Apache-2.0
"""The setting `log`: an administrator's report of refused peers."""

import re

import pytest

import nginx
from ca import Authority, self_signed
from processes import wait_until
from programs import VERSIONS

LINE = r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ (\S+)\[(\d+)\]: consul: (.*)$"


@pytest.fixture
def log(programs):
    return programs.path("refusals")


ABOUT_THE_PROCESS = ("governing as ", "the agent ", "leaf renewed", "roots changed")


def lines(log):
    """Return the program and the text of each line about a refusal. Every line has that form."""
    found = [re.match(LINE, line) for line in log.read_text().splitlines()]
    assert all(found), log.read_text()
    return [(match[1], match[3]) for match in found if not match[3].startswith(ABOUT_THE_PROCESS)]


@pytest.fixture(params=VERSIONS, ids=lambda option: option.lstrip("-"))
def version(request):
    return request.param


def test_who_was_refused_and_why(programs, agent, service, log, version):
    """A refusal by an intention, without a certificate, and under another CA: each has a line."""
    server = programs.connect_server(service, config=programs.config(agent, log=log))
    agent.deny("foe", service)
    about = rf" \[service {service}, peer 127\.0\.0\.1 port \d+\]$"
    clients = (
        (agent.leaf("foe").files(programs.folder, "foe"),
         rf'^peer denied by Consul: client refused: "spiffe://[^"]*/svc/foe" may not connect to "{service}": .*DENY'),
        ([], "^peer presented no certificate: client refused \\["),
        (Authority(agent.trust_domain).service("foreign").files(programs.folder, "foreign"),
         "^peer certificate is not trusted by the Consul roots: client refused: "),
        (["-cipher", "PSK", "-psk", "0123456789abcdef"], "^handshake failed: ended by us: handshake failure"),
    )
    for number, (options, expected) in enumerate(clients, 1):
        if not options or "-cert" in options or version == "-tls1_2":
            assert programs.talk(server, version, *options).refused
            assert len(lines(log)) == number
            program, text = lines(log)[-1]
            assert program == "openssl" and re.search(expected, text) and re.search(about, text), text
    friend = agent.leaf("friend").files(programs.folder, "friend")
    before = len(lines(log))
    assert programs.talk(server, version, *friend).talked
    assert len(lines(log)) == before


def test_a_client_is_told_too(programs, agent, service, log, version):
    agent.deny("foe", service)
    server = programs.connect_server(service, config=programs.config(agent))
    uri = "consul:leaf/foe"
    outcome = programs.talk(
        server, version, "-cert", uri, "-key", uri, config=programs.config(agent, log=log))
    assert outcome.refused
    assert lines(log)[0][1].startswith("handshake failed: ended by the peer: bad certificate [service foe, peer 127")


def test_workers_that_have_dropped_their_privileges_write_on(programs, agent, service, log):
    """nginx opens nothing for us: the file is open since the master read openssl.cnf."""
    identity = self_signed().files(programs.folder, "dummy")
    server = nginx.start(
        programs, identity[1], identity[3], ["text"], programs.config(agent, service=service, log=log))
    assert log.exists()
    for _ in range(3):
        programs.openssl("s_client", "-connect", f"127.0.0.1:{server.ports[0]}", stdin=b"Q\n")
    wait_until(lambda: len(lines(log)) >= 3, "the lines")  # each comes behind the alert
    assert [program for program, _ in lines(log)] == 3 * ["nginx"]


def test_a_certificate_can_not_forge_a_line(programs, agent, service, log):
    evil = f"spiffe://{agent.trust_domain}/ns/default/dc/dc1/svc/x\n2026-01-01T00:00:00Z sshd[1]: consul: forged"
    server = programs.connect_server(service, config=programs.config(agent, log=log))
    certificate = agent.authority.issue([evil]).files(programs.folder, "evil")
    assert programs.talk(server, *certificate).refused
    assert len(lines(log)) == 1 and "forged" in lines(log)[0][1]


@pytest.mark.parametrize("path", [
    '" may not connect to "web": DENY [service web, peer 192.0.2.1 port 1]',
    '/ns/default/dc/dc1/svc/a"] [service b',
    "/ns/x\\\"y",
])
def test_an_id_can_not_imitate_a_part_of_a_line(programs, agent, service, log, path):
    """The quotes and the brackets of a line are ours, also where another CA has signed the ID."""
    server = programs.connect_server(service, config=programs.config(agent, log=log))
    for domain in ("", agent.trust_domain):
        certificate = agent.authority.issue([f"spiffe://{domain}{path}"]).files(programs.folder, "evil")
        before = len(lines(log))
        assert programs.talk(server, *certificate).refused
        text = lines(log)[before][1]
        assert len(lines(log)) == before + 1
        assert re.search(rf'(: "[^"\[\]]*"[^"\[\]]*)? \[service {service}, peer 127\.0\.0\.1 port \d+\]$', text), text
        assert text.count("[") == text.count("]") == 1 and text.count('"') in (0, 2), text


def test_wrong_settings_are_logged(programs, agent, log):
    """A wrong setting after `log` is logged too, even if the provider can do nothing then."""
    config = programs.config(agent, log=log, authorize_timeout="soon")
    server = programs.server(*self_signed().files(programs.folder, "any"))
    assert programs.talk(server, config=config).silent
    texts = [text for _, text in lines(log)]
    assert texts[0].startswith("invalid setting: all TLS of this process is refused: ")
    assert 'authorize_timeout = "soon"' in texts[0] and "service unknown, peer" in texts[-1]


@pytest.mark.parametrize("value", ["refusals", "./refusals", "stdout", "/tmp/\x07"])
def test_a_value_that_is_no_target_is_refused(programs, agent, value):
    result = programs.storeutl("consul://roots", config=programs.config(agent, log=value))
    assert result.code != 0 and "log" in result.stderr


def test_a_secret_is_in_no_line(programs, agent, service, log):
    server = programs.connect_server(service, config=programs.config(agent, log=log, token="seekrit-token"))
    programs.talk(server)
    programs.talk(server, *self_signed().files(programs.folder, "any"))
    text = log.read_text()
    assert text and "seekrit" not in text
