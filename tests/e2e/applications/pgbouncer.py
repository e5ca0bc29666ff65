# SPDX-License-Identifier: Apache-2.0
"""PgBouncer: one thread on libevent, with TLS by a copy of LibreSSL's libtls."""

import signal

from applications import documented
from applications.common import launch, program
from applications.postgresql import PASSWORD, USER, as_user, message

NAME = "PgBouncer"
PORT = "6432"
S_CLIENT = ["-starttls", "postgres"]
ANSWER = r"SCRAM-SHA-256"  # how it wants the password, which it asks of admitted clients only
RELEASED = True
RELOAD = (signal.SIGHUP, r"got SIGHUP, re-reading config")

# The user, the database, and a farewell.
REQUEST = (message(b"", b"\0\3\0\0user\0" + USER.encode() + b"\0database\0app\0\0") + message(b"X", b""))
READY = "process up"


def launch_as(programs, config, text):
    """Start one by these lines, with a password for its user. `text(port)` returns them."""
    def make(folder, port):
        users, settings = folder / "userlist.txt", folder / "pgbouncer.ini"
        users.write_text(f'"{USER}" "{PASSWORD}"\n')
        settings.write_text(text(port).replace(
            "/etc/pgbouncer/userlist.txt", str(users)) + "unix_socket_dir =\n")
        return as_user(program("pgbouncer"), settings)

    return launch(programs, config, make, READY)


def start(programs, config, certificate, key):
    return launch_as(programs, config, lambda port: documented("pgbouncer/pgbouncer.ini", {
        "listen_addr = *": "listen_addr = 127.0.0.1",
        PORT: port,
        "/etc/consul-provider/web.pem": certificate,
        "/etc/consul-provider/web.key": key,
    }))
