# SPDX-License-Identifier: Apache-2.0
"""A server that knows its users by their certificates, PostgreSQL's `cert`: no service chooses its user."""

from pathlib import Path

import pytest

import applications
import endpoints
from applications import postgresql
from conftest import programs_in

pytestmark = pytest.mark.skipif(not applications.can_run(postgresql), reason="does not start with the sanitizer")


@pytest.fixture
def programs(open_folders, module):
    with programs_in(open_folders("users"), module) as one:
        yield one


def ask(programs, server, agent, source, **options):
    """Ask by a psql without the provider, which has this leaf and would be the administrator."""
    leaf = agent.authority.service(source, **options)
    _, certificate, _, key, *_ = leaf.files(programs.folder, "client")
    return programs.run(
        ["psql", "--no-psqlrc", "--tuples-only", "--no-align", "--command", "SELECT current_user"],
        env={"PGHOST": "127.0.0.1", "PGPORT": str(server.port), "PGUSER": postgresql.USER, "PGSSLMODE": "require",
             "PGDATABASE": "postgres", "PGSSLCERT": certificate, "PGSSLKEY": key})


def test_no_service_is_the_administrator_by_its_subject(programs, agent, service):
    """Vault and AWS sign any subject of a leaf, where they are Consul's CA."""
    source = f"client-{service}"
    config, log, certificate, key = endpoints.identity(programs, agent, "service", service)
    roots = programs.write("roots.pem", "".join(agent.root_pems))
    agent.allow(source, service)
    leaf = agent.leaf(service).files(programs.folder, "server")
    plain = postgresql.start(programs, None, Path(leaf[1]), Path(leaf[3]), roots)
    assert ask(programs, plain, agent, source, subject=postgresql.USER).stdout == f"{postgresql.USER}\n"
    server = postgresql.start(programs, config, certificate, key, roots)
    result = ask(programs, server, agent, source, subject=postgresql.USER)
    assert result.code != 0 and not result.stdout
    log.wait_for(f"client refused: .*svc/{source}.* has a subject", 0)
    honest = ask(programs, server, agent, source)
    assert "certificate authentication failed" in honest.stderr, honest  # Connect lets it in, PostgreSQL does not
