# SPDX-License-Identifier: Apache-2.0
"""The provider's own login: an auth method of Consul gives it a token for a JWT. Real agents with ACLs."""

import os
import re
import signal

import pytest

import applications
import stand_ins
from applications import postgresql
from conftest import programs_in
from consul_tls import check
from processes import wait_until
from programs import PYTHON, TLS13, Server
from test_platforms import AUDIENCE, Issuer
from test_processes import SCRIPT
from test_secrets import core_dump, memory
from tls_agent import TlsAgent
from visitors import Visitor

pytestmark = pytest.mark.consul

METHOD = "workloads"
NO_FAREWELL = 56  # of a newer curl, where a server closes without a close_notify


class Workloads:
    """An auth method for JWTs of an issuer of its own. It gives a workload the token of the service of its name."""

    def __init__(self, agent, programs):
        self.agent, self.issuer = agent, Issuer()
        self.file = programs.path("jwt")
        agent.put("/v1/acl/auth-method", {"Name": METHOD, "Type": "jwt", "MaxTokenTTL": "10m", "Config": {
            "JWTValidationPubKeys": [self.issuer.pem], "JWTSupportedAlgs": ["RS256"], "BoundAudiences": [AUDIENCE],
            "ClaimMappings": {"workload": "workload"}}})
        agent.put("/v1/acl/binding-rule", {
            "AuthMethod": METHOD, "BindType": "service", "BindName": "${value.workload}",
            "Selector": 'value.workload != "unbound"'})

    def issue(self, workload):
        self.jwt = self.issuer.token(workload=workload)
        self.file.write_text(self.jwt)
        return self

    @property
    def settings(self):
        return {"login_method": METHOD, "login_bearer_file": self.file}

    @property
    def tokens(self):
        """Return the tokens that logins have made, by their accessors."""
        accessors = [one["AccessorID"] for one in self.agent.get("/v1/acl/tokens") if one.get("AuthMethod") == METHOD]
        return {accessor: self.agent.get(f"/v1/acl/token/{accessor}")["SecretID"] for accessor in accessors}

    def delete_tokens(self):
        for accessor in self.tokens:
            self.agent.request("DELETE", f"/v1/acl/token/{accessor}")
        assert not self.tokens


@pytest.fixture
def workloads(guarded, programs):
    one = Workloads(guarded, programs)
    yield one
    guarded.request("DELETE", f"/v1/acl/auth-method/{METHOD}")


def friend_of(programs, agent, service):
    agent.allow(f"friend-{service}", service)
    return agent.leaf(f"friend-{service}").files(programs.folder, "friend")


def visitor(programs, agent, name):
    return Visitor(programs.folder, agent.leaf(name), name)


def serve(programs, open_folders, agent, service, model, **settings):
    identity = stand_ins.make(programs, f"consul:leaf/{service}")
    return programs.start(Server, [PYTHON, SCRIPT, model, *identity, open_folders("empty")],
                          programs.config(agent, **settings), programs.leaks_allowed()).ready()


def test_a_server_logs_in_once(programs, guarded, service, workloads):
    """Its token lets it ask. A client that is denied stays out."""
    server = programs.connect_server(service, config=programs.config(guarded, **workloads.issue(service).settings))
    friend = friend_of(programs, guarded, service)
    other = guarded.leaf(f"other-{service}").files(programs.folder, "other")
    assert all(programs.talk(server, TLS13, *friend).talked for _ in range(3))
    outcome = programs.talk(server, TLS13, *other)
    assert outcome.refused and outcome.alert == 42, outcome
    assert len(workloads.tokens) == 1


def test_a_child_for_each_connection(programs, open_folders, guarded, service, workloads):
    """The parent asks for nothing. The first child makes the login, and the others have its token."""
    settings = workloads.issue(service).settings
    server = serve(programs, open_folders, guarded, service, "forks", **settings)
    guarded.allow(f"friend-{service}", service)
    friend, other = (visitor(programs, guarded, f"{name}-{service}") for name in ("friend", "other"))
    assert all(friend.visit(server.port).served for _ in range(5))
    assert not other.visit(server.port).served
    assert len(workloads.tokens) == 1
    workloads.delete_tokens()
    assert all(friend.visit(server.port).served for _ in range(5))
    assert len(workloads.tokens) == 1


@pytest.mark.parametrize("count", [1, 6], ids=["asks", "watches"])
def test_a_deleted_token_is_replaced(programs, open_folders, guarded, service, workloads, count):
    """No handshake fails for it, and the JWT of that moment counts."""
    settings = workloads.issue(service).settings
    server = serve(programs, open_folders, guarded, service, "one", **settings)
    guarded.allow(f"friend-{service}", service)
    friend = visitor(programs, guarded, f"friend-{service}")
    assert all(friend.visit(server.port).served for _ in range(count))
    first = workloads.tokens
    workloads.delete_tokens()
    workloads.issue(service)
    assert all(friend.visit(server.port).served for _ in range(count))
    assert len(workloads.tokens) == 1 and workloads.tokens != first


def test_a_refused_login_is_no_loss(programs, open_folders, guarded, service, workloads):
    """A client that was admitted before is refused, though on_agent_loss = last-known would admit it after a loss."""
    log = programs.path("log")
    settings = workloads.issue(service).settings
    server = serve(programs, open_folders, guarded, service, "one", on_agent_loss="last-known", **{"log": log, **settings})
    guarded.allow(f"friend-{service}", service)
    friend = visitor(programs, guarded, f"friend-{service}")
    assert friend.visit(server.port).served
    used = workloads.tokens
    workloads.delete_tokens()
    workloads.file.write_text(Issuer().token(workload=service))
    visits = [friend.visit(server.port) for _ in range(8)]
    assert not any(visit.served for visit in visits)
    assert not workloads.tokens
    text = log.read_text()
    assert "no known key successfully validated the token signature" in text, text
    assert "is lost" not in text, text
    for secret in [workloads.jwt, workloads.file.read_text(), *used.values()]:
        assert secret not in text


def test_a_token_in_memory(programs, open_folders, guarded, service, workloads):
    """The server keeps one copy of its token, and none of the JWT."""
    server = serve(programs, open_folders, guarded, service, "one", **workloads.issue(service).settings)
    guarded.allow(f"friend-{service}", service)
    assert visitor(programs, guarded, f"friend-{service}").visit(server.port).served
    token, = workloads.tokens.values()
    wait_until(lambda: memory(server.child.pid).count(token.encode()) == 1, "the end of a request")
    everything = memory(server.child.pid)
    signature = workloads.jwt.rsplit(".", 1)[1]
    assert signature.encode() not in everything
    assert workloads.jwt[:40].encode() not in everything


def test_a_token_in_a_core_dump(programs, open_folders, guarded, service, workloads):
    """The one copy of the token is in memory that the kernel leaves out."""
    server = serve(programs, open_folders, guarded, service, "one", **workloads.issue(service).settings)
    guarded.allow(f"friend-{service}", service)
    assert visitor(programs, guarded, f"friend-{service}").visit(server.port).served
    token, = workloads.tokens.values()
    wait_until(lambda: memory(server.child.pid).count(token.encode()) == 1, "the end of a request")
    dump = core_dump(programs, server)
    assert service.encode() in dump
    assert token.encode() not in dump


def test_a_program_logs_out_at_its_end(programs, open_folders, guarded, service, workloads):
    """A program that has forked does not, as its children may go on."""
    settings = workloads.issue(service).settings
    assert programs.storeutl(f"consul:leaf/{service}", config=programs.config(guarded, **settings)).code == 0
    assert not workloads.tokens
    guarded.allow(f"friend-{service}", service)
    friend = visitor(programs, guarded, f"friend-{service}")
    for model, left in (("one", 0), ("forks", 1)):
        server = serve(programs, open_folders, guarded, service, model, **settings)
        assert all(friend.visit(server.port).served for _ in range(3))
        assert len(workloads.tokens) == 1
        server.signal(signal.SIGTERM)
        assert server.wait() == 0
        assert len(workloads.tokens) == left


def test_a_child_goes_on_with_the_token_of_its_parent(programs, open_folders, guarded, service, workloads):
    """The parent has made the login, has forked, and ends first, as that of a daemon does."""
    server = serve(programs, open_folders, guarded, service, "prefork", **workloads.issue(service).settings)
    guarded.allow(f"friend-{service}", service)
    friend = visitor(programs, guarded, f"friend-{service}")
    assert all(friend.visit(server.port).served for _ in range(4))
    token = workloads.tokens
    parent = server.child.pid
    child = int(wait_until(lambda: set(re.findall(r"SERVED (\d+)", server.output())) - {str(parent)}, "the child").pop())
    assert len(token) == 1
    os.kill(parent, signal.SIGTERM)
    try:
        wait_until(server.ended, "the end of the parent")
        assert friend.visit(server.port).served
        assert workloads.tokens == token
    finally:
        os.kill(child, signal.SIGTERM)
    assert server.wait() == 0
    assert workloads.tokens == token


@pytest.mark.applications
def test_one_login_for_all_connections_of_postgresql(open_folders, module, guarded, service, workloads):
    """Its parent asks the agent for nothing, and each connection is a process."""
    if not applications.can_run(postgresql):
        pytest.skip("does not start with the sanitizer")
    with programs_in(open_folders("login"), module) as programs:
        jwt = programs.write("jwt", workloads.issue(service).jwt)
        jwt.chmod(0o644)  # for the user of PostgreSQL
        config = programs.config(guarded, login_method=METHOD, login_bearer_file=jwt)
        process = postgresql.start(programs, config, *stand_ins.make(programs, f"consul:leaf/{service}"))
        guarded.allow(f"friend-{service}", service)
        _, certificate, _, key, *_ = guarded.leaf(f"friend-{service}").files(programs.folder, "friend")
        connection = {"PGHOST": "127.0.0.1", "PGPORT": str(process.port), "PGUSER": postgresql.USER, "PGSSLMODE": "require",
                      "PGDATABASE": "postgres", "PGSSLCERT": certificate, "PGSSLKEY": key, "PGPASSWORD": postgresql.PASSWORD}
        for _ in range(5):
            done = programs.run(["psql", "--no-psqlrc", "-Atc", "SELECT 41 + 1"], env=connection)
            assert done.code == 0 and done.stdout == "42\n", done
        assert len(workloads.tokens) == 1


@pytest.fixture(scope="module")
def guarded_by_tls(tmp_path_factory):
    one = TlsAgent(tmp_path_factory.mktemp("tls") / "agent", acl={"enabled": True, "default_policy": "deny"})
    one.wait_for_roots()
    one.bootstrap()
    yield one
    one.stop()


def test_curl_over_https(programs, open_folders, guarded_by_tls, service):
    """The agent speaks HTTPS. The server watches it, and its client logs out as libcurl and libcrypto end, too."""
    agent = guarded_by_tls
    workloads = Workloads(agent, programs).issue(service)
    settings = {**agent.settings(), **workloads.settings}
    server = serve(programs, open_folders, None, service, "one", **settings)
    api = f"api-{service}"
    agent.allow(api, service)
    friend = visitor(programs, agent, api)
    assert all(friend.visit(server.port).served for _ in range(3))
    assert len(workloads.tokens) == 1
    workloads.issue(api)
    client = programs.config(None, service=api, outbound="require", **settings)
    done = programs.run(["curl", "-sk", "--http0.9", f"https://127.0.0.1:{server.port}/"], config=client)
    assert done.code in (0, NO_FAREWELL) and "GET / HTTP" in done.stdout, done
    assert len(workloads.tokens) == 1
    server.signal(signal.SIGTERM)
    assert server.wait() == 0
    assert not workloads.tokens


def breaks(programs, agent, workloads, words, cure):
    config = programs.config(agent, service="web", **workloads.settings)
    check(programs, config).breaks("token", "the login fails", *words, cure=cure)


def test_the_check_names_the_link(programs, guarded, workloads):
    guarded.allow("friend", "web")
    config = programs.config(guarded, service="web", **workloads.issue("web").settings)
    chain = check(programs, config).is_good("leaf")
    assert f"the token of the auth method {METHOD} has service:write" in chain.links["token"][1]

    workloads.issue("unbound")
    breaks(programs, guarded, workloads, ["403", "no binding rule of the auth method"], "acl binding-rule create")
    workloads.file.write_text(Issuer().token(workload="web"))
    breaks(programs, guarded, workloads, ["has not taken the JWT", "signature"], "acl auth-method read")
    workloads.file.unlink()
    breaks(programs, guarded, workloads, ["cannot be opened: No such file"], "let the user of the program read that file")
    workloads.issue("web")
    config = programs.config(guarded, service="web", **{**workloads.settings, "login_method": "other"})
    check(programs, config).breaks("token", 'Consul has no auth method "other"', cure="acl auth-method list")
    workloads.issue("db")
    config = programs.config(guarded, service="web", **workloads.settings)
    check(programs, config).breaks("token", f"the token of the auth method {METHOD}", "has no service:write", cure="binding rules")


def test_without_acls(programs, agent, service, workloads):
    config = programs.config(agent, service=service, **workloads.issue(service).settings)
    check(programs, config).breaks("token", "ACLs are off in Consul", cure="take login_method and login_bearer_file out")
    refused = programs.storeutl(f"consul:leaf/{service}", config=config)
    assert refused.code != 0 and "ACL support disabled" in refused.stderr, refused
