# SPDX-License-Identifier: Apache-2.0
"""PostgreSQL: a process for each connection, forked before its TLS."""

import os
import re
import shutil
import signal
import subprocess
from pathlib import Path

from applications import documented
from applications.databases import copy_of, launch_on_data

NAME = "PostgreSQL"
PORT = "5432"
S_CLIENT = ["-starttls", "postgres"]
ANSWER = "SCRAM-SHA-256"  # how it wants the password, which it asks of admitted clients only
CORE = True
RESUMES = False
SANITIZABLE = False

USER, PASSWORD = "postgres", "secret"


def message(kind, body):
    return kind + (4 + len(body)).to_bytes(4, "big") + body


# The user, and a farewell.
REQUEST = message(b"", b"\0\3\0\0user\0" + USER.encode() + b"\0\0") + message(b"X", b"")

# Root may not run PostgreSQL. Its own user may not read the files of the tests without a capability.
AS_USER = ["setpriv", f"--reuid={USER}", f"--regid={USER}", "--clear-groups",
           "--inh-caps=+dac_override", "--ambient-caps=+dac_override"]


def binary(name):
    """Debian keeps its programs away from PATH, as there may be several versions."""
    found = sorted(Path("/usr/lib/postgresql").glob(f"*/bin/{name}"))
    path = found[-1] if found else shutil.which(name)
    assert path, f"PostgreSQL's {name} is not installed: run tools/setup"
    return path


def major():
    """Return the first number of its version, like 17."""
    text = subprocess.run([binary("postgres"), "--version"], capture_output=True, text=True, check=True).stdout
    return int(re.search(r"\d+", text)[0])


def as_user(*argv):
    return [*AS_USER, *argv] if os.geteuid() == 0 else [*argv]


def make_data(programs, folder):
    if os.geteuid() == 0:
        shutil.chown(folder, USER)
    password = programs.write("password", PASSWORD)
    result = programs.run(as_user(
        binary("initdb"), "--pgdata", folder, "--username", USER, "--pwfile", password,
        "--auth=scram-sha-256", "--no-sync", "--wal-segsize=1", "--locale=C", "--encoding=UTF8"))
    assert result.code == 0, result


def start(programs, config, certificate, key, ca=None, method="cert", more=""):
    """Start it, with more settings. With `ca` the names of clients come from their certificates, by the CAs in that file."""
    key.chmod(0o600)  # it insists

    def make(folder, port):
        copy_of(programs, "postgresql", lambda target: make_data(programs, target), folder / "data")
        settings, access = folder / "postgresql.conf", folder / "pg_hba.conf"
        settings.write_text(documented("postgresql/postgresql.conf", {
            "'*'": "'127.0.0.1'",
            PORT: port,
            "/etc/consul-provider/web.pem": certificate,
            "/etc/consul-provider/web.key": key,
        }) + (f"ssl_ca_file = '{ca}'\n" if ca else "") + more)
        access.write_text(documented("postgresql/pg_hba.conf", {"scram-sha-256": method} if ca else {}))
        return as_user(
            binary("postgres"), "-D", folder / "data", "-c", f"config_file={settings}",
            "-c", f"hba_file={access}", "-c", "unix_socket_directories=", "-c", "fsync=off")

    # It would wait for its clients to leave at SIGTERM.
    return launch_on_data(programs, config, make, "ready to accept connections", signal.SIGINT)
