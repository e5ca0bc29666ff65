# SPDX-License-Identifier: Apache-2.0
"""MariaDB: a thread for each connection."""

import os
import signal

from applications import documented
from applications.common import program
from applications.databases import copy_of, launch_on_data

NAME = "MariaDB"
PORT = "3306"
S_CLIENT = ["-starttls", "mysql"]
ANSWER = "-MariaDB"

USER = "root"  # a new installation lets this user in from this host, without a password


def packet(number, body):
    return len(body).to_bytes(3, "little") + bytes([number]) + body


# The user, with the capabilities that s_client has announced. Then a question, and a farewell.
LOGIN = b"".join([
    (0x7fae85).to_bytes(4, "little"), (1 << 24).to_bytes(4, "little"), bytes([33]), bytes(23),
    USER.encode(), b"\0", b"\0", b"mysql_native_password\0", b"\0"])
REQUEST = packet(2, LOGIN) + packet(0, b"\3SELECT VERSION()") + packet(0, b"\1")

SMALL = ["--innodb-log-file-size=4M", "--innodb-buffer-pool-size=8M", "--innodb-use-native-aio=0"]


def as_root():
    """Return the option that MariaDB wants for a run as root."""
    return ["--user=root"] if os.geteuid() == 0 else []


def make_data(programs, folder):
    result = programs.run([
        "mariadb-install-db", "--no-defaults", f"--datadir={folder}", "--skip-test-db",
        "--skip-name-resolve", "--auth-root-authentication-method=normal", *SMALL, *as_root()])
    assert result.code == 0, result


def start(programs, config, certificate, key):
    def make(folder, port):
        copy_of(programs, "mariadb", lambda target: make_data(programs, target), folder / "data")
        file = folder / "server.cnf"
        file.write_text(documented("mariadb/server.cnf", {
            "bind-address = *": "bind-address = 127.0.0.1",
            PORT: port,
            "/etc/consul-provider/web.pem": certificate,
            "/etc/consul-provider/web.key": key,
        }))
        return [
            program("mariadbd"), f"--defaults-file={file}", f"--datadir={folder / 'data'}",
            "--socket=socket", "--pid-file=pid", "--skip-name-resolve", *SMALL, *as_root()]

    return launch_on_data(programs, config, make, "ready for connections", signal.SIGTERM)
