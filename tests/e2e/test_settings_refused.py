# SPDX-License-Identifier: Apache-2.0
"""Settings that cannot be right: the provider does not guess, and names the wrong setting.

OpenSSL ignores a provider that fails to start, whatever config_diagnostics says. The program would go on with TLS
that is not governed. So the provider is there, and refuses.
"""

import pytest

import stand_ins
from ca import self_signed
from processes import wait_until
from programs import TLS13, VERSIONS

pytestmark = pytest.mark.faults


def refused(programs, fake, *words, env=None, more="", **settings):
    """Check that a URI gives one error that has each of the words, without a request to the agent."""
    config = programs.config(fake, more, **settings)
    result = programs.storeutl("consul:roots", config=config, env=env)
    assert result.code != 0, result
    assert len(result.reasons) == 1, result.stderr
    for word in words:
        assert word in result.reasons[0], result.stderr
    assert fake.requests == []
    return result.reasons[0]


def test_good_settings_are_taken(programs, fake):
    """The control: the same URI with settings that are right."""
    config = programs.config(fake, request_timeout="2s", tls_verify="yes", token="x", service="web")
    assert programs.storeutl("consul:roots", "-noout", config=config).code == 0


@pytest.mark.parametrize("version", VERSIONS, ids=lambda option: option.lstrip("-"))
@pytest.mark.parametrize("settings, env, culprit", [
    ({"adress": "127.0.0.1"}, {}, "adress"), ({"address": "ftp://127.0.0.1"}, {}, "ftp://127.0.0.1"),
    ({"request_timeout": "soon"}, {}, "request_timeout"), ({"service": "null_provider"}, {}, "service"),
    ({}, {"CONSUL_HTTP_SSL_VERIFY": "garbage"}, "CONSUL_HTTP_SSL_VERIFY"),
    ({}, {"CONSUL_CLIENT_CERT": "a.pem"}, "client_cert"),
], ids=["name", "address", "duration", "section", "variable", "pair"])
def test_connections_are_refused(programs, fake, version, settings, env, culprit):
    """A server does not start, rather than serve every client, and says why."""
    files = fake.authority.service("web").files(programs.folder, "web")
    config = programs.config(**{"address": fake.address, **settings})
    started = programs.openssl("s_server", "-accept", "127.0.0.1:0", version, *files, config=config, env=env)
    assert started.code != 0 and culprit in started.stderr and "ACCEPT" not in started.stdout, started
    started = programs.openssl("s_client", "-connect", "127.0.0.1:1", version, *files, config=config, env=env)
    assert started.code != 0 and culprit in started.stderr, started
    server = programs.server(*files)
    outcome = programs.talk(server, version, config=config, env=env)
    assert outcome.silent, outcome
    assert culprit in outcome.client
    assert fake.requests == []


def test_all_tls_is_refused(programs, fake):
    """The intended setting is unknown, so all TLS is refused. Operations without TLS go on."""
    config = programs.config(fake, sevice="web")
    assert programs.openssl("rand", "-hex", "8", config=config).code == 0
    public = self_signed(subject="public").files(programs.folder, "public")
    started = programs.openssl("s_server", "-accept", "127.0.0.1:0", *public, config=config)
    assert started.code != 0 and "sevice" in started.stderr, started
    outcome = programs.talk(programs.server(*public), TLS13, config=config)
    assert outcome.silent and "sevice" in outcome.client


MISSING = "libjansson.so.9 cannot be loaded"


def without_a_library(programs, *agent, **settings):
    content, name = programs.module.read_bytes(), b"libjansson.so.4\0"
    assert name in content
    module = programs.path("consul.so")
    module.write_bytes(content.replace(name, b"libjansson.so.9\0"))
    config = programs.config(*agent, **settings)
    config.write_text(config.read_text().replace(str(programs.module), str(module)))
    return config


def test_without_a_library_a_service_has_no_tls(programs, fake):
    config = without_a_library(programs, fake, service="web")
    server = programs.server(*self_signed(subject="public").files(programs.folder, "public"))
    outcome = programs.talk(server, TLS13, config=config)
    assert outcome.silent and MISSING in outcome.client, outcome


def test_without_a_library_ordinary_tls_is_left_alone(programs, fake):
    """The library is missed with the first SSL_CTX, and the log says so."""
    log = programs.path("log")
    config = without_a_library(programs, fake, log=log)
    server = programs.server(*self_signed(subject="public").files(programs.folder, "public"))
    outcome = programs.talk(server, TLS13, config=config)
    assert not outcome.silent, outcome
    assert MISSING in log.read_text() and "services are refused" in log.read_text()


@pytest.mark.parametrize("version", VERSIONS)
def test_without_a_library_a_stand_in_serves_nobody(programs, fake, version):
    log = programs.path("log")
    config = without_a_library(programs, fake, log=log)
    certificate, key = stand_ins.make(programs, "consul:leaf/web")
    server = programs.server("-cert", certificate, "-key", key, config=config)
    outcome = programs.talk(server, version, *fake.authority.service("friend").files(programs.folder, "friend"))
    assert outcome.silent, outcome
    wait_until(lambda: f"no leaf to present: {MISSING}" in log.read_text(), "a refusal")
    assert not server.ended()


TWO = """\
[first_provider]
module = {module}
activate = 1
address = {agent}
service = a
inbound = off
log = off
[providers]
first = first_provider
"""


def test_two_services_are_refused(programs, fake):
    """The laxer one was loaded first, and strangers were served."""
    first = TWO.format(module=programs.module, agent=fake.address)
    config = programs.config(fake, first, service="b", inbound="require")
    result = programs.openssl(
        "s_server", "-accept", "127.0.0.1:0", *self_signed().files(programs.folder, "dummy"), config=config)
    assert result.code != 0
    assert 'service is b for the provider "consul" and a for "first"' in result.stderr, result


@pytest.mark.parametrize("setting, value, allowed", [
    ("tls", "maybe", "yes"), ("tls_verify", "garbage", "yes"), ("tls_verify", "2", "yes"),
    ("connect_timeout", "soon", "500ms"), ("request_timeout", "5", "500ms"),
    ("request_timeout", "0s", "500ms"), ("request_timeout", "-1s", "500ms"),
    ("authorize_timeout", "1h", "500ms"), ("authorize_timeout", "1.5s", "500ms"),
    ("authorize_timeout", "99999999999999999999s", "500ms"), ("connect_timeout", "1s 2s", "500ms"),
])
def test_values_must_parse(programs, fake, setting, value, allowed):
    """The error names the setting, the value and the allowed values."""
    refused(programs, fake, setting, f'"{value}"', allowed, **{setting: value})


@pytest.mark.parametrize("variable, setting", [
    ("CONSUL_HTTP_SSL_VERIFY", "tls_verify"), ("CONSUL_HTTP_SSL", "tls"),
])
@pytest.mark.parametrize("value", ["garbage", "yess", " ", "2", "tru"])
def test_variables_must_parse(programs, fake, variable, setting, value):
    """Consul's own client turns verification off here, which is the wrong way to fail."""
    refused(programs, fake, variable, setting, env={variable: value})


@pytest.mark.parametrize("address", [
    "ftp://127.0.0.1:8500", "consul://127.0.0.1:8500", "unix://", "http://", "https://", "http:///path",
    "127.0.0.1:port", "127.0.0.1:99999", "http://user:word@127.0.0.1:8500",
    "http://127.0.0.1:8500/?token=x", "http://127.0.0.1:8500/\\#x", "://127.0.0.1",
])
def test_addresses_must_parse(programs, fake, address):
    refused(programs, fake, "address", "unix://", address=address)


def test_an_address_of_the_environment_must_parse(programs):
    env = {"CONSUL_HTTP_ADDR": "gopher://127.0.0.1"}
    result = programs.storeutl("consul:roots", config=programs.config(), env=env)
    assert result.code != 0
    assert len(result.reasons) == 1, result.stderr
    assert "gopher://127.0.0.1" in result.reasons[0]


@pytest.mark.parametrize("settings, env", [
    ({"client_cert": "a.pem"}, {}), ({"client_key": "a.key"}, {}),
    ({}, {"CONSUL_CLIENT_CERT": "a.pem"}), ({}, {"CONSUL_CLIENT_KEY": "a.key"}),
])
def test_a_certificate_needs_its_key(programs, fake, settings, env):
    refused(programs, fake, "client_cert", "client_key", env=env, **settings)


@pytest.mark.parametrize("name", ["adress", "Token", "ca-file", "http_proxy", "timeout"])
def test_unknown_settings_are_refused(programs, fake, name):
    """A misspelt setting is not silently none."""
    refused(programs, fake, name, **{name: "x"})


@pytest.mark.parametrize("value", ["web", "null_provider"])
def test_a_value_that_names_a_section_is_explained(programs, fake, value):
    """OpenSSL would expand it as that section."""
    said = refused(programs, fake, f"service = {value}", f"[{value}]", more="[web]\nx = y\n", service=value)
    assert "section" in said


def test_a_section_of_another_name_is_no_trouble(programs, fake):
    config = programs.config(fake, "[web]\nx = y\n", service="api")
    assert programs.storeutl("consul:leaf", "-noout", config=config).code == 0


@pytest.mark.parametrize("setting", ["service", "namespace", "partition", "datacenter"])
@pytest.mark.parametrize("value", [5000 * "x", ".."], ids=["long", "dots"])
def test_names_must_be_names(programs, fake, setting, value):
    refused(programs, fake, setting, **{setting: value})


def test_a_token_file_must_be_there(programs, fake):
    """When it is needed: a program that needs no agent starts without it."""
    missing = programs.folder / "missing"
    config = programs.config(fake, token_file=missing)
    assert programs.openssl("rand", "-hex", "8", config=config).code == 0
    result = programs.storeutl("consul:leaf/web", "-noout", config=config)
    assert result.code != 0
    assert "token_file" in result.reasons[0] and str(missing) in result.reasons[0]
    assert fake.requests == []


@pytest.mark.parametrize("content", ["two words", "two\nlines", 100000 * "x"], ids=["words", "lines", "long"])
def test_a_token_file_holds_one_word(programs, fake, content):
    """A text that is no token is not sent, and not shown either."""
    file = programs.write("token", content)
    result = programs.storeutl("consul:leaf/web", "-noout", config=programs.config(fake, token_file=file))
    assert result.code != 0
    assert "token_file" in result.reasons[0]
    assert content[:9] not in result.output.replace(str(file), "")
    assert fake.requests == []
