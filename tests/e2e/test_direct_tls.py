# SPDX-License-Identifier: Apache-2.0
"""PostgreSQL 17 and its clients may begin with TLS, without a word of their own protocol before."""

from types import SimpleNamespace

import pytest

import applications
import endpoints
from applications import postgresql
from ca import Authority
from conftest import programs_in
from programs import VERSIONS

pytestmark = [
    pytest.mark.applications,
    pytest.mark.skipif(not applications.can_run(postgresql) or postgresql.major() < 17, reason="new in PostgreSQL 17"),
]

DIRECT = SimpleNamespace(S_CLIENT=["-alpn", "postgresql"], REQUEST=postgresql.REQUEST, ANSWER=postgresql.ANSWER)
ASK = ["psql", "--no-psqlrc", "-Atc", "SELECT 41 + 1"]


@pytest.fixture(scope="module")
def shared(open_folders, module):
    with programs_in(open_folders("direct"), module) as one:
        yield one


@pytest.fixture(scope="module", params=endpoints.IDENTITIES)
def server(request, shared, agent):
    one = endpoints.start(postgresql, shared, agent, request.param, f"direct-{request.param}")
    return endpoints.Endpoint(DIRECT, shared, one.process, one.service, one.log)


@pytest.mark.parametrize("version", VERSIONS)
def test_a_server(server, agent, service, version):
    client = agent.leaf(service).files(server.programs.folder, service)
    foreign = Authority(agent.trust_domain).service(service).files(server.programs.folder, f"foreign-{service}")
    agent.allow(service, server.service)
    assert server.ask(version, *client).served
    for stranger in ([], foreign):
        mark = server.log.size()
        assert not server.ask(version, *stranger).served
        server.log.wait_for("client refused", mark)
    agent.deny(service, server.service)
    mark = server.log.size()
    assert not server.ask(version, *client).served
    server.log.wait_for("client refused: .* may not connect to", mark)


@pytest.mark.parametrize("name", ["service", "address"])
def test_a_client(server, agent, service, name):
    """It demands the service that it names, or with `outbound = require` one of the mesh."""
    programs = server.programs
    config = programs.config(agent, service=service, outbound="require")
    host = f"{server.service}.service.consul" if name == "service" else "127.0.0.1"
    where = {"PGHOST": host, "PGHOSTADDR": "127.0.0.1", "PGUSER": postgresql.USER, "PGPASSWORD": postgresql.PASSWORD,
             "PGDATABASE": "postgres", "PGSSLMODE": "require", "PGSSLNEGOTIATION": "direct", **programs.leaks_allowed()}
    plain = endpoints.start_plain(postgresql, programs)

    def ask(one):
        return programs.run(ASK, config, {**where, "PGPORT": str(one.process.port)})

    agent.allow(service, server.service)
    done = ask(server)
    assert done.code == 0 and done.stdout == "42\n", done
    assert ask(plain).code != 0
    agent.deny(service, server.service)
    assert ask(server).code != 0
    anybody = programs.run(ASK, None, {**where, "PGPORT": str(plain.process.port)})
    assert anybody.stdout == "42\n", anybody
