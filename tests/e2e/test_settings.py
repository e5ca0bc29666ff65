# SPDX-License-Identifier: Apache-2.0
"""The settings from openssl.cnf and the environment, as they reach the agent."""

import base64

import pytest

from ca import PKCS8, service_uri
from fake_agent import AUTHORIZE, LATEST, LEAF, TRUST_DOMAIN, value
from programs import TLS13

SCOPED = f"spiffe://{TRUST_DOMAIN}/ap/red/ns/red/dc/red/svc/web"


def fetch(programs, fake, uri="consul:leaf/web", env=None, **settings):
    """Fetch a leaf, and return the request for it."""
    fake.requests.clear()
    result = programs.storeutl(uri, "-noout", config=programs.config(fake, **settings), env=env)
    assert result.code == 0, result
    (request,) = fake.seen(LEAF)
    return request


def token(request):
    return request.headers.get("x-consul-token")


def query(name):
    return lambda request: request.query.get(name)


def credentials(request):
    kind, _, text = request.headers.get("authorization", " ").partition(" ")
    return (kind, base64.b64decode(text).decode()) if kind else None


def as_it_is(text):
    return text


def basic(user):
    return ("Basic", user + ":")


# setting, environment variable, its place in the request, the form of a value there
OBSERVED = [
    ("token", "CONSUL_HTTP_TOKEN", token, as_it_is),
    ("http_auth", "CONSUL_HTTP_AUTH", credentials, basic),
    ("namespace", "CONSUL_NAMESPACE", query("ns"), as_it_is),
    ("partition", "CONSUL_PARTITION", query("partition"), as_it_is),
]


@pytest.fixture
def anywhere(fake):
    """The fake agent with a leaf that fits every scope that these tests ask for."""
    fake.answer(LEAF, value(fake.leaf(identity=fake.authority.issue([SCOPED], form=PKCS8))))
    return fake


@pytest.mark.parametrize("setting, variable, shown, form", OBSERVED, ids=[row[0] for row in OBSERVED])
def test_configuration_environment_nothing(programs, anywhere, setting, variable, shown, form):
    """The first of these that says something, in this order."""
    config, env = {setting: "red"}, {variable: "red"}
    assert shown(fetch(programs, anywhere)) is None
    assert shown(fetch(programs, anywhere, **config)) == form("red")
    assert shown(fetch(programs, anywhere, env=env)) == form("red")
    assert shown(fetch(programs, anywhere, env={variable: "blue"}, **config)) == form("red")
    assert shown(fetch(programs, anywhere, env={variable: ""})) is None


def test_the_datacenter_is_configured(programs, anywhere):
    assert query("dc")(fetch(programs, anywhere)) is None
    assert query("dc")(fetch(programs, anywhere, datacenter="red")) == "red"


@pytest.mark.parametrize("setting, parameter", [
    ("namespace", "ns"), ("partition", "partition"), ("datacenter", "dc"),
])
def test_a_uri_beats_the_configuration(programs, anywhere, setting, parameter):
    uri = f"consul:leaf/web?{parameter}=red"
    assert query(parameter)(fetch(programs, anywhere, uri, **{setting: "blue"})) == "red"


def test_nothing_else_is_sent(programs, fake):
    """No scope, no token, no credentials, no cookie, no referrer where none is set."""
    request = fetch(programs, fake)
    assert request.target == f"{LEAF}web?{LATEST}"
    assert set(request.headers) <= {"host", "user-agent", "accept", "content-type", "connection"}


@pytest.mark.parametrize("text", ["user", "user:", "user:pass:word", "user:p@ss/word?#%"])
def test_credentials_may_have_any_form(programs, fake, text):
    wanted = text if ":" in text else text + ":"
    variable = {"CONSUL_HTTP_AUTH": text}
    assert credentials(fetch(programs, fake, env=variable)) == ("Basic", wanted)


@pytest.mark.parametrize("where", ["configuration", "environment"])
def test_a_token_file_beats_the_token(programs, fake, where):
    """Trimmed, and only while there is something in it."""
    file = programs.write("token", "  from-the-file\n\n")
    if where == "configuration":
        both = {"settings": {"token": "plain", "token_file": file}, "env": {}}
    else:
        both = {"settings": {}, "env": {"CONSUL_HTTP_TOKEN": "plain", "CONSUL_HTTP_TOKEN_FILE": str(file)}}
    assert token(fetch(programs, fake, env=both["env"], **both["settings"])) == "from-the-file"
    file.write_text(" \n")
    assert token(fetch(programs, fake, env=both["env"], **both["settings"])) == "plain"


def test_a_configured_token_file_beats_a_token_of_the_environment(programs, fake):
    file = programs.write("token", "from-the-file")
    assert token(fetch(programs, fake, env={"CONSUL_HTTP_TOKEN": "env"}, token_file=file)) == "from-the-file"


def test_a_configured_token_beats_a_token_file_of_the_environment(programs, fake):
    file = programs.write("token", "from-the-file")
    env = {"CONSUL_HTTP_TOKEN_FILE": str(file)}
    assert token(fetch(programs, fake, env=env, token="configured")) == "configured"


def test_a_changed_token_file_is_read_again(programs, fake):
    """A running server reads it for its next connection."""
    file = programs.write("token", "first\n")
    friend = fake.authority.service("friend").files(programs.folder, "friend")
    server = programs.connect_server("web", config=programs.config(fake, token_file=file))
    for word in ("first", "second", "third"):
        file.write_text(word + "\n")
        assert programs.talk(server, TLS13, *friend).talked
        assert token(fake.seen(AUTHORIZE)[-1]) == word


def test_the_environment_is_read_at_load(programs, anywhere):
    """The settings hold for a server's every request, not only for its first."""
    friend = anywhere.authority.service("friend").files(programs.folder, "friend")
    server = programs.connect_server(
        "web", config=programs.config(anywhere), env={"CONSUL_HTTP_TOKEN": "early"})
    assert programs.talk(server, TLS13, *friend).talked
    assert {token(request) for request in anywhere.requests} == {"early"}


ADDRESSES = {
    "host and port": "{host}", "http": "http://{host}", "capitals": "HTTP://{host}",
    "slash": "http://{host}/", "name": "localhost:{port}", "http and name": "http://localhost:{port}",
}


@pytest.mark.parametrize("form", ADDRESSES)
@pytest.mark.parametrize("where", ["configuration", "environment"])
def test_addresses_have_several_forms(programs, fake, form, where):
    address = ADDRESSES[form].format(host=fake.address, port=fake.port)
    settings = {"address": address} if where == "configuration" else {}
    env = {} if settings else {"CONSUL_HTTP_ADDR": address}
    result = programs.storeutl("consul:roots", "-noout", config=programs.config(**settings), env=env)
    assert result.code == 0, result
    assert [request.target for request in fake.requests] == ["/v1/agent/connect/ca/roots"]


@pytest.mark.parametrize("prefix", ["/consul", "/a/b/c/", "/with%20space"])
def test_an_address_may_have_a_path(programs, fake, prefix):
    config = programs.config(f"http://{fake.address}{prefix}")
    assert programs.storeutl("consul:leaf/web?dc=dc1", "-noout", config=config).code == 0
    assert fake.requests[0].target == f"{prefix.rstrip('/')}{LEAF}web?dc=dc1&{LATEST}"


def test_a_configured_address_beats_the_environment(programs, fake):
    env = {"CONSUL_HTTP_ADDR": "127.0.0.1:1"}
    assert programs.storeutl("consul:roots", "-noout", config=programs.config(fake), env=env).code == 0


@pytest.mark.parametrize("variable", [
    "http_proxy", "HTTP_PROXY", "https_proxy", "HTTPS_PROXY", "all_proxy", "ALL_PROXY",
])
def test_proxies_are_not_for_the_agent(programs, fake, variable):
    """A token does not go to the proxy of an application."""
    env = {variable: "http://127.0.0.1:1", "no_proxy": "", "NO_PROXY": ""}
    assert fetch(programs, fake, env=env).target == f"{LEAF}web?{LATEST}"


def test_other_peoples_credentials_are_not_sent(programs, fake):
    """curl's own files in the home directory say nothing here."""
    (programs.folder / ".netrc").write_text("machine 127.0.0.1 login user password word\n")
    (programs.folder / ".curlrc").write_text('header = "X-Consul-Token: curl"\nuser = "a:b"\n')
    request = fetch(programs, fake)
    assert token(request) is None and credentials(request) is None


@pytest.mark.parametrize("written, sent", [
    ("a%2Fb%3Fc%26d", "a%2Fb%3Fc%26d"), ("%2e%2e%2Fx", "..%2Fx"), ("a%23b", "a%23b"),
    ("a%25b", "a%25b"), ("a b", "a%20b"), ("%C3%A9", "%C3%A9"), ("a;b", "a%3Bb"), ("a+b", "a%2Bb"),
    ("web%3Fdc=dc2", "web%3Fdc%3Ddc2"),
])
def test_hostile_names_stay_names(programs, fake, written, sent):
    """A service name is one segment of the path, with any characters."""
    config = programs.config(fake)
    programs.storeutl(f"consul:leaf/{written}", "-noout", config=config)
    assert fake.seen(LEAF)[0].target.upper() == f"{LEAF}{sent}?{LATEST}".upper()


@pytest.mark.parametrize("name", ["%2e%2e", "%2E", ".", "..", "a%0d%0aX-Consul-Token: b", "a%0Ab", "%7f"])
def test_names_that_can_not_be_sent_are_refused(programs, fake, name):
    result = programs.storeutl(f"consul:leaf/{name}", "-noout", config=programs.config(fake))
    assert result.code != 0 and len(result.reasons) == 1
    assert fake.requests == []


@pytest.mark.parametrize("parameter", ["dc", "ns", "partition"])
def test_hostile_parameters_stay_parameters(programs, fake, parameter):
    programs.storeutl(f"consul:roots?{parameter}=a%26token%3Db%23c%20d", "-noout", config=programs.config(fake))
    (request,) = fake.requests
    assert request.query == {parameter: "a&token=b#c d"}


def test_the_configured_service_is_sent_as_one_segment(programs, fake):
    programs.storeutl("consul:leaf", "-noout", config=programs.config(fake, service="a/b?c"))
    assert fake.seen(LEAF)[0].target.upper() == f"{LEAF}a%2Fb%3Fc?{LATEST}".upper()


def test_a_scoped_leaf_is_checked_against_its_scope(programs, anywhere):
    """dc, ns and partition of the answer must be the requested ones."""
    config = programs.config(anywhere)
    for wanted in ("ns=red", "dc=red&ns=red&partition=red"):
        assert programs.storeutl(f"consul:leaf/web?{wanted}", "-noout", config=config).code == 0
    for other in ("ns=blue", "dc=blue", "partition=blue"):
        result = programs.storeutl(f"consul:leaf/web?{other}", "-noout", config=config)
        assert result.code != 0
        assert service_uri(TRUST_DOMAIN, "web").split("/ns/")[0] in result.reasons[0]
