# SPDX-License-Identifier: Apache-2.0
"""Errors name the cause. Each of these faults has words of its own, and advice."""

import json
import shutil

import pytest

import nginx
import stand_ins
from ca import Authority, self_signed
from processes import wait_until
from programs import TLS12, TLS13
from tls_agent import TlsAgent


@pytest.fixture(scope="module")
def tls_agent(tmp_path_factory):
    one = TlsAgent(tmp_path_factory.mktemp("tls-agent"), verify_outgoing=False)
    wait_until(one.has_roots, "roots")
    yield one
    one.stop()


def said(programs, config, *parts, uri="consul://roots", env=None):
    result = programs.storeutl(uri, "-noout", config=config, env=env)
    assert result.code != 0
    for part in parts:
        assert part in result.stderr, (part, result.stderr)
    return result.stderr


def test_tls_faults_of_the_agent(programs, tls_agent):
    settings = tls_agent.settings()
    works = programs.storeutl("consul://roots", "-noout", config=programs.config(**settings))
    assert works.code == 0, works

    other = programs.write("other-ca.pem", Authority("other.example", "Another CA").pem)
    said(programs, programs.config(**{**settings, "ca_file": other}),
         'its issuer is "/CN=Root of Agents"', f'the CAs are those of ca_file "{other}"')
    without = {name: value for name, value in settings.items() if name != "ca_file"}
    said(programs, programs.config(**without),
         'its issuer is "/CN=Root of Agents"', "ca_file is not set, and so the CAs are the system's")
    said(programs, programs.config(**settings, tls_server_name="server.dc1.consul"),
         "set tls_server_name to a name of the agent's certificate")
    said(programs, programs.config(**{**settings, "ca_file": "/nonexistent/ca.pem"}),
         'ca_file "/nonexistent/ca.pem": No such file or directory')
    said(programs, programs.config(**{**settings, "client_key": "/nonexistent/key.pem"}),
         'client_key "/nonexistent/key.pem": No such file or directory')
    said(programs, programs.config(address=f"http://127.0.0.1:{tls_agent.ports['https']}"),
         "the agent speaks HTTPS there; write https:// in address")


def test_https_to_an_agent_of_plain_http(programs, agent):
    said(programs, programs.config(address=f"https://{agent.address}"),
         "the agent speaks plain HTTP there; write http:// in address")


@pytest.fixture
def stepped(programs):
    """Return the environment of a program whose clock is off by some seconds."""
    def at(seconds):
        clock = programs.module.parents[1] / "tests" / "stepped_clock.so"
        preload = " ".join(filter(None, [programs.preload, str(clock)]))
        return {"LD_PRELOAD": preload, "STEPPED_CLOCK": str(programs.write("clock", f"{seconds}\n"))}

    return at


@pytest.mark.parametrize("days, word", [(-30, "is not valid yet"), (30, "has expired")])
def test_a_wrong_clock(programs, own_agent, tls_agent, stepped, days, word):
    """Both dates, and the clock."""
    wait_until(lambda: own_agent.signs("web"), "a leaf")
    env = stepped(days * 86400)
    said(programs, programs.config(own_agent), f'the leaf of "web" {word}: it is valid from 20', " until 20",
         ", and here it is 20", "check this host's clock", uri="consul://leaf/web", env=env)
    said(programs, programs.config(**tls_agent.settings()), "it is valid from 20", "check this host's clock", env=env)


def test_no_token(programs, guarded):
    """The error says that no token was sent, and names an empty file."""
    text = said(programs, programs.config(guarded), "HTTP status 403", "no ACL token was sent", uri="consul://leaf/web")
    assert "token needs" not in text
    empty = programs.write("token", " \n")
    said(programs, programs.config(guarded, token_file=empty), f'token_file "{empty}" is empty, and no ACL token was sent',
         uri="consul://leaf/web")
    other = guarded.token_of("other")
    text = said(programs, programs.config(guarded, token=other), "the ACL token needs service:write", uri="consul://leaf/web")
    assert other not in text


def test_an_agent_that_blocks_paths(programs, make_agent):
    blocked = make_agent(http_config={"block_endpoints": ["/v1/agent/connect/ca/roots"]})
    said(programs, programs.config(blocked), "HTTP status 403", "http_config.block_endpoints of the agent")


def test_an_agent_that_takes_no_writes(programs, make_agent, service):
    """The question is a POST; leaf and roots are there."""
    restricted = make_agent(http_config={"allow_write_http_from": ["192.0.2.0/24"]})
    restricted.wait_for_roots()
    wait_until(lambda: restricted.signs(service), "a leaf")
    server = programs.connect_server(service, config=programs.config(restricted))
    outcome = programs.talk(server, *restricted.leaf("friend").files(programs.folder, "friend"))
    assert outcome.refused and "http_config.allow_write_http_from of the agent" in outcome.server, outcome.server


def test_a_second_copy_of_the_module(programs, agent):
    """Two files, in two sections of one process."""
    copy = programs.path("consul-copy.so")
    shutil.copy(programs.module, copy)
    second = f"[second_provider]\nmodule = {copy}\nactivate = 1\naddress = {agent.address}\nlog = off\n" \
             "[providers]\nsecond = second_provider\n"
    config = programs.config(agent, second)
    result = programs.openssl("s_server", "-accept", "127.0.0.1:0",
                              *self_signed().files(programs.folder, "dummy"), config=config)
    assert result.code != 0
    assert f"another copy of this module is loaded from {programs.module}" in result.stderr, result


@pytest.mark.parametrize("form", ["text", "json"])
def test_outbound_without_a_service(programs, agent, form):
    """It is a refused setting, and the log tells."""
    log = programs.path("log")
    config = programs.config(agent, outbound="require", log=log, log_format=form)
    server = programs.server(*self_signed().files(programs.folder, "any"))
    assert programs.talk(server, TLS13, config=config).silent
    assert "outbound is for the connections of a service, and service is not set" in log.read_text()
    assert form == "text" or json.loads(log.read_text().splitlines()[0])["event"] == "configuration_refused"


@pytest.mark.applications
@pytest.mark.parametrize("form", ["text", "json"])
@pytest.mark.parametrize("ours", ["key", "certificate"])
def test_half_a_stand_in(programs, agent, service, ours, form):
    """nginx starts with an RSA key beside it, and has no certificate to present. The log names the files."""
    certificate, key = stand_ins.make(programs, f"consul:leaf/{service}")
    rsa_certificate, rsa_key = programs.path("rsa.pem"), programs.path("rsa.key")
    made = programs.openssl("req", "-x509", "-newkey", "rsa:2048", "-nodes", "-subj", "/CN=web", "-keyout", rsa_key,
                            "-out", rsa_certificate, env={"OPENSSL_CONF": "/etc/ssl/openssl.cnf"})
    assert made.code == 0, made
    log = programs.path("log")
    config = programs.config(agent, log=log, log_format=form)
    pair = (rsa_certificate, key) if ours == "key" else (certificate, rsa_key)
    server = nginx.start(programs, *pair, ["hello"], config)
    said = f"the {ours} is a stand-in's, and its {'certificate' if ours == 'key' else 'key'} is missing or an ordinary one"
    for number, version in enumerate((TLS12, TLS13)):
        assert programs.openssl("s_client", version, "-connect", f"127.0.0.1:{server.ports[0]}").code != 0
        wait_until(lambda: log.read_text().count(said) == number + 1, "the line")
    server.wait_for(said)
    if form == "json":
        line = json.loads(log.read_text().splitlines()[0])
        assert line["event"] == "peer_refused" and line["role"] == "server"
        assert line["reason"] == "own certificate is not a usable Connect leaf"
