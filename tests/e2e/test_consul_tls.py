# SPDX-License-Identifier: Apache-2.0
"""The command consul-tls: config, stand-in, show, register and deregister, on a real agent."""

import json
import os
import re
import subprocess
from pathlib import Path

import pytest

import stand_ins
from consul_tls import bad, good, run
from programs import TLS13

ROOT = Path(__file__).resolve().parents[2]


def settings(text):
    """Return the rows of the last section."""
    return dict(re.findall(r"(?m)^(\w+) = (.*)$", text.rpartition("]")[2]))


def test_config_is_closed_as_the_example(programs):
    """Both files have the same rows above the section of the provider."""
    def above(text):
        return [line for line in text.splitlines() if re.match(r"\w|\[", line)
                and not line.startswith("[upstreams")]

    printed = above(good(programs, "config", "web"))
    example = above((ROOT / "openssl.cnf.example").read_text())
    assert printed == example + ["service = web"]


def test_a_program_works_by_its_config(programs, agent, service):
    text = good(programs, "config", service, f"module={programs.module}", f"address={agent.address}")
    config = programs.write("openssl.cnf", text)
    assert settings(text)["service"] == service
    assert f"/svc/{service}" in programs.storeutl("consul:leaf", "-noout", "-text", "-certs", config=config).stdout
    server = programs.server("-nocert", config=config)
    assert programs.talk(server, TLS13, *agent.leaf("friend").files(programs.folder, "friend")).talked
    assert programs.talk(server, TLS13).refused


@pytest.mark.parametrize("value", ["a b", "a#b$c", "it's", 'say "x"', r"a\b"])
def test_config_escapes_a_value(programs, value):
    """OpenSSL reads the value that was given, or the command prints no file."""
    text = good(programs, "config", f"token_file=/etc/{value}", f"module={programs.module}")
    config = programs.write("openssl.cnf", text)
    assert f'token_file "/etc/{value}"' in programs.storeutl("consul:leaf/web", config=config).stderr


@pytest.mark.parametrize("operands, words", [
    (["web", "servise=x"], '"servise=x" is no SETTING=VALUE'),
    (["web", "timeout"], '"timeout" is no SETTING=VALUE'),
    (["web", "connect_timeout=never"], "allowed are 1ms to 10m"),
    (["consul_sect"], "OpenSSL would take the value for a section"),
    (["web", "ca_file=/etc/ca.pem"], "write https:// there"),
    (["web", "token_file= /etc/x"], "cannot read this value"),
    (["web", "upstreams=x"], "is no SETTING=VALUE"),
    (["--pem"], "has no option --pem"),
])
def test_config_refuses(programs, operands, words):
    assert words in bad(programs, "config", *operands)


def test_stand_in(programs, agent, service):
    """The pair governs a server, has the modes of a key and a certificate, and explains itself."""
    paths = good(programs, "stand-in", service, programs.folder).split()
    certificate, key = map(Path, paths)
    assert (certificate.name, key.name) == (f"{service}.pem", f"{service}.key")
    assert [path.stat().st_mode & 0o7777 for path in (certificate, key)] == [0o644, 0o600]
    assert f'A stand-in for the service "{service}". It holds no secret.' in certificate.read_text()
    assert key.read_text() == stand_ins.KEY
    server = programs.server("-cert", certificate, "-key", key, config=programs.config(agent))
    outcome = programs.talk(server, TLS13, *agent.leaf("friend").files(programs.folder, "friend"))
    assert outcome.talked and f"/svc/{service}" not in key.read_text()
    assert programs.talk(server, TLS13).refused
    unreadable = programs.openssl("pkey", "-in", key, "-noout")
    assert unreadable.code != 0


def test_stand_in_with_a_scope_and_an_owner(programs):
    good(programs, "stand-in", "web?dc=dc2", programs.folder, "--owner", "nobody")
    key = programs.folder / "web.key"
    shown = programs.openssl("x509", "-in", programs.folder / "web.pem", "-noout", "-ext", "subjectAltName").stdout
    assert "URI:consul:leaf/web?dc=dc2" in shown
    assert key.stat().st_uid != os.getuid() or os.getuid() != 0
    assert key.stat().st_mode & 0o777 == 0o600


def test_stand_in_replaces_no_key(programs):
    """A second pair needs --force, and a real key stays even then."""
    good(programs, "stand-in", "web", programs.folder)
    assert "add --force" in bad(programs, "stand-in", "web", programs.folder)
    good(programs, "stand-in", "web", programs.folder, "--force")
    key = programs.folder / "web.key"
    key.write_text('Only the OpenSSL provider "consul" reads this key. "unsupported"?\n-----BEGIN CONSUL URI-----\n')
    good(programs, "stand-in", "web", programs.folder, "--force")  # the key of version 0.1.0
    key.write_text("-----BEGIN PRIVATE KEY-----\nprecious\n")
    assert "is no stand-in, and is not replaced" in bad(programs, "stand-in", "web", programs.folder, "--force")
    assert "precious" in key.read_text()
    assert not list(programs.folder.glob("*.new"))


@pytest.mark.parametrize("operands, words", [
    (["a/b"], "is no name of a file"),
    (["a%2Fb"], "is no name of a file"),
    (["web?x=y"], 'unknown parameter "x"'),
    ([], "takes a service and a folder"),
    (["web", "/nowhere"], "No such file or directory"),
    (["web", ".", "--owner", "no-such-user"], 'no user has the name "no-such-user"'),
])
def test_stand_in_refuses(programs, operands, words):
    error = bad(programs, "stand-in", *operands)
    assert words in error, error


def test_show_leaf(programs, agent, service):
    config = programs.config(agent, service=service)
    for operand in ([service], []):
        text = good(programs, "show", "leaf", *operand, config=config)
        assert f"/svc/{service}\n" in text and re.search(r"valid until  \S+Z \(\d+ (days|hours) left\)", text)
        assert re.search(r"chain +\d+ intermediates, ends at a root", text)
    pem = good(programs, "show", "leaf", service, "--pem", config=config)
    assert "BEGIN CERTIFICATE" in pem and "PRIVATE" not in pem + text


def test_show_roots(programs, agent):
    text = good(programs, "show", "roots", env={"CONSUL_HTTP_ADDR": agent.address})
    assert f"trust domain {agent.trust_domain}\n" in text
    assert len(re.findall("(?m)^root ", text)) == len(agent.root_pems)
    pem = good(programs, "show", "roots", "--pem", config=programs.config(agent))
    assert pem.count("BEGIN CERTIFICATE") == len(agent.root_pems)


def test_show_intentions(programs, agent, service):
    config = programs.config(agent)
    agent.deny("enemy", service)
    agent.allow("friend", service)
    text = good(programs, "show", "intentions", service, config=config)
    assert f"deny   enemy => {service}" in text and f"allow  friend => {service}" in text
    assert text.endswith("allow  every other service\n")
    agent.deny("*", service)
    assert good(programs, "show", "intentions", service, config=config).endswith("deny   every other service\n")


def test_register(programs, agent, service):
    """The catalog lists the service as native, and no longer after it was taken out."""
    config = programs.config(agent)
    good(programs, "register", service, "--port", "8443", "--tag", "blue", config=config)
    entry, = agent.get(f"/v1/catalog/connect/{service}")
    assert entry["ServicePort"] == 8443 and entry["ServiceConnect"]["Native"] is True
    assert entry["ServiceTags"] == ["blue"]
    assert agent.get(f"/v1/agent/service/{service}")["Port"] == 8443
    good(programs, "deregister", service, config=config)
    assert agent.get(f"/v1/catalog/connect/{service}") == []


@pytest.mark.parametrize("one", [False, True])
def test_register_a_file(programs, agent, service, one):
    """A file of consul services register serves, and each service of it becomes native."""
    first = {"name": service, "port": 8443, "connect": {"native": False}, "meta": {"a": "b"}}
    second = {"name": f"{service}-2", "port": 8444, "tags": ["x"]}
    file = programs.write("services.json", json.dumps({"service": first} if one else {"services": [first, second]}))
    good(programs, "register", file, config=programs.config(agent))
    for definition in [first] if one else [first, second]:
        entry, = agent.get(f"/v1/catalog/connect/{definition['name']}")
        assert entry["ServicePort"] == definition["port"] and entry["ServiceConnect"]["Native"] is True
    good(programs, "deregister", file, config=programs.config(agent))
    assert agent.get(f"/v1/catalog/connect/{service}") == []


@pytest.mark.parametrize("content, words", [
    ("{", "line 1"),
    ("{}", "has no service"),
    ('{"service": {"port": 1}}', "has no name"),
    ('{"service": {"name": "web", "connect": {"sidecar_service": {}}}}', "a native service has none"),
])
def test_register_refuses_a_file(programs, agent, content, words):
    file = programs.write("services.json", content)
    assert words in bad(programs, "register", file, config=programs.config(agent))


@pytest.mark.parametrize("operands, words", [
    (["web"], "add --port"),
    (["web", "--port", "70000"], "add --port"),
    (["web", "--port"], "--port has no value"),
    (["x.json", "--port", "1"], "a file has its own port"),
    ([], "takes the name of one service"),
])
def test_register_refuses(programs, operands, words):
    assert words in bad(programs, "register", *operands)


def test_the_words_of_the_agent(programs, guarded):
    """An error shows them, and not the token."""
    token = "deadbeef-0000-4000-8000-00000badc0de"
    config = programs.config(guarded, token=token)
    for operands in (["register", "web", "--port", "1"], ["show", "leaf", "web"]):
        error = bad(programs, *operands, config=config)
        assert "403" in error and "ACL not found" in error and token not in error


def commands(programs):
    """Return the options of each command, by its own help."""
    lines = re.findall(r"(?m)^  consul-tls ([\w-]+)(.*)$", good(programs, "--help"))
    return {name: re.findall(r"--[\w-]+", rest) for name, rest in lines}


def complete(*words):
    """Return the words that bash offers in the place of the last one."""
    script = 'source "$1"; shift; COMP_WORDS=("$@"); COMP_CWORD=$(($# - 1)); _consul_tls; printf "%s\\n" "${COMPREPLY[@]}"'
    argv = ["bash", "-c", script, "bash", ROOT / "cli" / "completion" / "consul-tls", "consul-tls", *words]
    done = subprocess.run(argv, capture_output=True, text=True, check=True, cwd=ROOT / "examples")
    assert done.stderr == ""
    return done.stdout.split()


def test_completion_has_each_command_and_option(programs):
    known = commands(programs)
    assert sorted(complete("")) == sorted([*known, "--help", "--version"])
    for command, options in known.items():
        assert sorted(complete(command, "--")) == sorted(options)
    assert complete("show", "r") == ["roots"]
    assert complete("check", "--config", "stand") == ["stand-in"]
    assert complete("check", "--user", "nobod") == ["nobody"]
    assert complete("register", "stand") == ["stand-in"]


def test_man_page_has_each_command_and_option(programs):
    page = (ROOT / "doc" / "man" / "consul-tls.1.in").read_text()
    synopsis = page.partition(".Sh SYNOPSIS")[2].partition(".Sh DESCRIPTION")[0]
    listed = {}
    for block in synopsis.split(".Nm\n")[1:]:
        name = re.search(r"\.Cm ([\w-]+)", block)[1]
        listed.setdefault(name, set()).update("-" + option for option in re.findall(r"Fl (-[\w-]+)", block))
    assert {name: options | {"--application"} if "--config" in options else options for name, options in listed.items()} \
        == {name: set(options) for name, options in commands(programs).items()}


def test_usage(programs):
    assert run(programs, "nonsense").code == run(programs).code == 2
    assert "usage:" in bad(programs, "nonsense")
    assert good(programs, "--help").startswith("usage:")
    assert good(programs, "--version").startswith("consul-tls ")
