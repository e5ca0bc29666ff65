# SPDX-License-Identifier: Apache-2.0
"""HAProxy as a client: it reuses the sessions of its ssl servers by default."""

from applications import documented, haproxy, nginx
from applications.common import TEXT, get, kept, launch

NAME = "HAProxy"
SERVER = nginx
SERVED = TEXT
RESUMES = True


def start_proxy(programs, config, server, host, ca):
    checks = f"verify required ca-file {ca} verifyhost {host}" if ca else "verify none"

    def make(folder, port):
        return haproxy.command(folder, documented("haproxy_backend/haproxy.cfg", {
            "127.0.0.1:8080": f"127.0.0.1:{port}",
            "web.service.consul:8443": f"127.0.0.1:{server.port}",
            "web.service.consul": host,
            "verify none": checks,
        }))

    return launch(programs, config, make, haproxy.READY)


def fetch(programs, config, server, host="localhost", ca=None):
    proxy = kept(
        programs, (NAME, config, server.port, host, ca),
        lambda: start_proxy(programs, config, server, host, ca))
    return get(proxy.port)
