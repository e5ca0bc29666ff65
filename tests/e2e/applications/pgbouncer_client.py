# SPDX-License-Identifier: Apache-2.0
"""PgBouncer before PostgreSQL. It makes an SSL_CTX for each connection, and names no host."""

from applications import documented, pgbouncer, postgresql, psql
from applications.postgresql import PASSWORD, USER

NAME = "PgBouncer"
SERVER = postgresql
SERVED = psql.SERVED
RELEASED = True

QUERY = "SELECT 'served by ' || split_part(version(), ' ', 1)"
IMPATIENT = "server_login_retry = 1\nquery_wait_timeout = 5\n"


def fetch(programs, config, server):
    """Ask one of its own each time, as it keeps its connections."""
    proxy = pgbouncer.launch_as(programs, config, lambda port: documented("pgbouncer_client/pgbouncer.ini", {
        "host=db.service.consul port=5432 dbname=app":
            f"host=127.0.0.1 port={server.port} dbname=postgres user={USER} password={PASSWORD}",
        pgbouncer.PORT: port,
    }) + IMPATIENT)
    try:
        return programs.run(
            ["psql", "--no-psqlrc", "--tuples-only", "--no-align", "--command", QUERY,
             f"host=127.0.0.1 port={proxy.port} user={USER} dbname=app sslmode=disable"],
            None, {"PGPASSWORD": PASSWORD})
    finally:
        proxy.kill()
