# SPDX-License-Identifier: Apache-2.0
"""Squid as a client of its cache_peer, which it verifies by a callback of its own."""

from applications import documented, nginx, squid
from applications.common import TEXT, get, kept, launch

NAME = "Squid"
SERVER = nginx
SERVED = TEXT


def start_proxy(programs, config, server, host):
    def make(folder, port):
        return squid.command(folder, documented("squid_peer/web.conf", {
            "http_port 8080": f"http_port 127.0.0.1:{port}",
            "cache_peer web.service.consul parent 8443": f"cache_peer 127.0.0.1 parent {server.port}",
            "tls-domain=web.service.consul": f"tls-domain={host}",
        }))

    return launch(programs, config, make, squid.READY)


def fetch(programs, config, server, host="localhost"):
    proxy = kept(programs, (NAME, config, server.port, host), lambda: start_proxy(programs, config, server, host))
    return get(proxy.port)
