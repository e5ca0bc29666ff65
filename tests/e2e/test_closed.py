# SPDX-License-Identifier: Apache-2.0
"""Closed by default: without the provider, an ordinary certificate lets no client in.

The file is openssl.cnf.example with `service = ...` appended. OpenSSL reports no error for a module that it cannot
load. So a program with any cryptography would go on by its own configuration.
"""

import re
from pathlib import Path

import pytest

import applications
import endpoints
from applications import curl, nginx, urllib_client
from applications.common import TEXT
from conftest import programs_in

ROOT = Path(__file__).resolve().parents[2]
SERVERS = ("nginx", "apache", "haproxy", "postgresql", "python_ssl")
ACTIVATE = "consul.so\nactivate = 1"


def example(programs, agent, service):
    """Return the example as a user would have it, with other paths of the module and the agent."""
    text = (ROOT / "openssl.cnf.example").read_text()
    lines, count = re.subn(r"(?m)^#address = .*$", f"address = {agent.address}", text)
    assert count == 1 and lines.endswith("\n") and ACTIVATE in lines
    return lines.replace("module = consul.so", f"module = {programs.module}") + f"service = {service}\nlog = off\n"


def other_module(programs, text, content):
    file = programs.path("consul.so")
    file.write_bytes(content(programs.module.read_bytes()))
    return text.replace(str(programs.module), str(file))


def wrong_path(programs, text):
    return text.replace(str(programs.module), "/nowhere/consul.so")


def unreadable(programs, text):
    return other_module(programs, text, lambda _: b"no module\n")


def another_architecture(programs, text):
    """Write a module whose ELF header names no machine: its e_machine is 0."""
    return other_module(programs, text, lambda module: module[:18] + b"\0\0" + module[20:])


def not_activated(programs, text):
    return text.replace(ACTIVATE, "consul.so")


def activated_by_0(programs, text):
    """Return the text with `activate = 0`: OpenSSL 3.0 and 3.1 activate the provider all the same."""
    return text.replace(ACTIVATE, "consul.so\nactivate = 0")


def misspelt(programs, text):
    return text.replace("consul = consul_sect", "consul = consul_sct")


def not_listed(programs, text):
    return text.replace("consul = consul_sect\n", "")


BREAKINGS = [wrong_path, unreadable, another_architecture, not_activated, activated_by_0, misspelt,
             not_listed]


def broken_file(programs, agent, service, breaking):
    text = example(programs, agent, service)
    broken = breaking(programs, text)
    assert broken != text
    return programs.write("openssl.cnf", broken)


@pytest.fixture(scope="module")
def shared(open_folders, module):
    with programs_in(open_folders("closed"), module) as one:
        yield one


@pytest.fixture(scope="module")
def plain(shared):
    """A server outside of the mesh, with a certificate that no client trusts."""
    return endpoints.start_plain(nginx, shared)


@pytest.fixture(params=endpoints.parameters([one for one in applications.servers()
                                             if applications.short_name(one) in SERVERS]))
def application(request):
    return request.param


@pytest.mark.applications
@pytest.mark.parametrize("breaking", BREAKINGS, ids=lambda one: one.__name__)
def test_a_server_lets_nobody_in(application, shared, agent, service, breaking):
    """It does not start, or refuses all TLS."""
    config = broken_file(shared, agent, service, breaking)
    try:
        process = application.start(shared, config, *endpoints.dummy_files(shared))
    except AssertionError as error:
        assert "ended with" in str(error)
        return
    try:
        answered = endpoints.Endpoint(application, shared, process).ask()
        assert not answered.served, answered
        assert breaking is activated_by_0 or "Cipher is (NONE)" in answered.result.stdout, answered
    finally:
        process.kill()


@pytest.mark.applications
@pytest.mark.parametrize("breaking", BREAKINGS, ids=lambda one: one.__name__)
@pytest.mark.parametrize("client", [curl, urllib_client], ids=applications.short_name)
def test_a_client_goes_nowhere(client, shared, plain, agent, service, breaking):
    config = broken_file(shared, agent, service, breaking)
    result = client.fetch(shared, config, plain.process, "web.service.consul")
    assert result.code != 0 and TEXT not in result.stdout, result
    if breaking not in (activated_by_0, misspelt):
        assert re.search("(?i)no.ciphers|insufficient randomness", result.output), result


@pytest.mark.applications
def test_the_unbroken_file_works(application, shared, agent, service):
    """The control: the same file as it is."""
    config = shared.write("openssl.cnf", example(shared, agent, service))
    process = application.start(shared, config, *endpoints.dummy_files(shared))
    server = endpoints.Endpoint(application, shared, process, service)
    try:
        assert server.ask(*agent.leaf("friend").files(shared.folder, "friend")).served
        assert not server.ask().served
    finally:
        process.kill()


@pytest.mark.applications
@pytest.mark.parametrize("client", [curl, urllib_client], ids=applications.short_name)
def test_the_unbroken_file_works_for_clients(client, shared, agent, service):
    config = shared.write("openssl.cnf", example(shared, agent, service))
    server = client.SERVER.start(shared, config, *endpoints.dummy_files(shared))
    result = client.fetch(shared, config, server, f"{service}.service.consul")
    assert re.search(client.SERVED, result.stdout), result
    server.kill()


def test_each_algorithm_is_there_once(programs, agent, service):
    """`base` beside `default` would make a handshake half as dear again."""
    config = programs.write("openssl.cnf", example(programs, agent, service))
    listed = programs.openssl("list", "-providers", config=config).stdout
    assert re.findall(r"(?m)^  (\w+)$", listed) == ["consul", "default", "null"]


def test_a_file_that_activates_default_goes_on_working(programs, agent, service):
    """Files from before the provider brought `default` along are like this."""
    for lines in ("default = more\nconsul = ", "consul = "):
        text = example(programs, agent, service).replace("consul = ", lines, 1)
        if "default" not in lines:
            text = text.replace("consul = consul_sect\n", "consul = consul_sect\ndefault = more\n")
        text = text.replace("null = null_sect\n", "").replace("[null_sect]", "[more]")
        config = programs.write("openssl.cnf", text)
        assert programs.storeutl("consul:leaf", "-noout", config=config).code == 0
        assert programs.openssl("list", "-providers", config=config).stdout.count("default\n") == 1


def test_off_brings_nothing(programs, fake):
    config = programs.config(fake, crypto="off")
    listed = programs.openssl("list", "-providers", config=config)
    assert "consul" in listed.stdout and "default" not in listed.stdout
    server = programs.run(["openssl", "s_client", "-connect", "127.0.0.1:1"], config)
    assert "library has no ciphers" in server.stderr


@pytest.mark.parametrize("value, said", [("fisp", "allowed are auto, fips and off"), ("", "has no value")])
def test_what_is_no_value_brings_nothing(programs, fake, value, said):
    config = programs.config(fake, crypto=value, log="stderr")
    listed = programs.openssl("list", "-providers", config=config)
    assert "default" not in listed.stdout and said in listed.stderr
    result = programs.openssl("s_client", "-connect", "127.0.0.1:1", config=config)
    assert result.code != 0 and "library has no ciphers" in result.stderr


def test_what_can_not_be_brought_is_said(programs, fake):
    """All TLS is refused then, even where the file brings cryptography of its own."""
    config = programs.config(fake, crypto="fips", log="stderr")
    text = config.read_text().replace("null = null_provider", "default = null_provider")
    config.write_text(text)
    env = {"OPENSSL_MODULES": str(programs.folder)}
    result = programs.openssl("storeutl", "consul:roots", config=config, env=env)
    assert result.code != 0
    assert 'OpenSSL cannot load its provider "fips"' in result.stderr
