# SPDX-License-Identifier: Apache-2.0
"""The other ends of an Envoy: servers and clients by the provider, and programs without TLS."""

import contextlib
import http.server
import os
import re
import socket
import sys
import threading
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import nginx
import stand_ins
from endpoints import Log
from processes import PATIENCE
from programs import TLS12, TLS13

VERSIONS = {TLS12: "TLSv1_2", TLS13: "TLSv1_3"}
REQUEST = b"GET / HTTP/1.0\r\n\r\n"
FROM_NGINX, FROM_BACKEND = "from-nginx", "from-the-backend"
DENIED = r".*connect_authz\.rbac\.denied"  # by Envoy


# -- programs without TLS --


def say(port):
    """Return the answer to a client of an upstream, or an empty text."""
    with socket.create_connection(("127.0.0.1", port), PATIENCE) as plain:
        try:
            plain.sendall(REQUEST)
            return b"".join(iter(lambda: plain.recv(65536), b"")).decode()
        except ConnectionResetError:
            return ""


class Answer(http.server.BaseHTTPRequestHandler):
    """Answers with its own name."""

    def do_GET(self):  # noqa: N802
        self.send_response(200)
        self.end_headers()
        self.wfile.write(FROM_BACKEND.encode())

    def log_message(self, *_):
        pass


@contextlib.contextmanager
def backend():
    """Return the port of an HTTP server that knows nothing of TLS."""
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Answer)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield server.server_port
    server.shutdown()
    thread.join()
    server.server_close()


# -- our servers --


@dataclass
class Native:
    """A server by the provider; `answers` is the answer to a served client, and names the version of TLS."""

    port: int
    answers: str
    process: Any
    log: Log


def start_s_server(programs, agent, service, **settings):
    log = Log(programs.path("connect.log"))
    server = programs.connect_server(service, "-www", config=programs.config(agent, log=log.path, **settings))
    return Native(server.port, r"Protocol *: TLSv(1\.\d)", server, log)


def start_nginx(programs, agent, service, **settings):
    log = Log(programs.path("connect.log"))
    files = stand_ins.make(programs, f"consul:leaf/{service}")
    server = nginx.start(
        programs, *files, [f"{FROM_NGINX} $ssl_protocol $ssl_client_serial"],
        programs.config(agent, log=log.path, **settings), "ssl_session_cache shared:sessions:1m;")
    return Native(server.ports[0], rf"{FROM_NGINX} TLSv(1\.\d)", server, log)


NATIVE = {"s_server": start_s_server, "nginx": start_nginx}


def served(native, sidecar, version, upstream):
    """Return whether a client of the sidecar is served, and check the version of TLS."""
    match = re.search(native.answers, say(sidecar.outbound[upstream]))
    assert not match or match[1] == version.removeprefix("-tls").replace("_", "."), match
    return bool(match)


# -- our clients --


def fetch_by_s_client(programs, config, port, host, version, path="/"):
    return programs.openssl(
        "s_client", "-connect", f"127.0.0.1:{port}", "-servername", host, "-ign_eof", version,
        config=config, stdin=f"GET {path} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n".encode())


def fetch_by_curl(programs, config, port, host, _, path="/"):
    return programs.run(
        ["curl", "--silent", "--show-error", "--include", "--insecure", "--connect-to", f"::127.0.0.1:{port}",
         f"https://{host}{path}"], config)


def fetch_by_python(programs, config, port, host, version, path="/"):
    script = Path(__file__).with_name("tls_client.py")
    return programs.run(
        [sys.executable, script, port, host, "check", VERSIONS[version], "", 1, path], config,
        programs.leaks_allowed())


CLIENTS = {"s_client": fetch_by_s_client, "curl": fetch_by_curl, "python": fetch_by_python}
if os.environ.get("CONSUL_PROVIDER_PRELOAD"):
    del CLIENTS["curl"]  # it does not start there


@dataclass
class Client:
    """A client by the provider, of the service of that name."""

    programs: Any
    fetch: Any
    config: Path
    log: Log
    version: str

    def get(self, sidecar, name=None):
        return self.ask(sidecar.inbound, name or sidecar.service)

    def ask(self, port, service, path="/"):
        return self.fetch(self.programs, self.config, port, f"{service}.service.consul", self.version, path)

    def served(self, sidecar, name=None):
        return FROM_BACKEND in self.get(sidecar, name).stdout


def client_of(programs, agent, source, fetch, version, **settings):
    log = Log(programs.path("client.log"))
    return Client(programs, fetch, programs.config(agent, service=source, log=log.path, **settings), log, version)
