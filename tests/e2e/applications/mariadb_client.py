# SPDX-License-Identifier: Apache-2.0
"""MariaDB's own client, which names no host in its TLS."""

from applications import documented, mariadb

NAME = "MariaDB"
SERVER = mariadb
SERVED = r"(?m)^Ssl_version\tTLSv1"


def fetch(programs, config, server, ca=None):
    file = programs.write("client.cnf", documented("mariadb_client/client.cnf", {
        "web.service.consul": "127.0.0.1",
        mariadb.PORT: server.port,
        "app": mariadb.USER,
        "disable-ssl-verify-server-cert":
            f"ssl-ca = {ca}\nssl-verify-server-cert" if ca else "disable-ssl-verify-server-cert",
    }))
    return programs.run(
        ["mariadb", f"--defaults-file={file}", "--batch", "--skip-column-names", "--execute",
         "SHOW STATUS LIKE 'Ssl_version'"], config, programs.leaks_allowed())
