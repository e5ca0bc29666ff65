# SPDX-License-Identifier: Apache-2.0
"""psql, and with it all programs on libpq."""

from applications import documented, postgresql

NAME = "psql"
SERVER = postgresql
SERVED = r"(?m)^served by PostgreSQL$"
CORE = True
SANITIZABLE = False


def fetch(programs, config, server, host="localhost", ca=None):
    services = programs.write("pg_service.conf", documented("psql/pg_service.conf", {
        "web.service.consul": host,
        postgresql.PORT: server.port,
        "user=app": f"user={postgresql.USER}",
        "dbname=app": "dbname=postgres",
        "sslmode=require": f"sslmode=verify-full\nsslrootcert={ca}" if ca else "sslmode=require",
    }))
    environment = {
        "PGSERVICEFILE": str(services), "PGHOSTADDR": "127.0.0.1", "PGPASSWORD": postgresql.PASSWORD,
        **programs.leaks_allowed(),
    }
    return programs.run(
        ["psql", "--no-psqlrc", "--tuples-only", "--no-align", "--command",
         "SELECT 'served by ' || split_part(version(), ' ', 1)", "service=web"], config, environment)
