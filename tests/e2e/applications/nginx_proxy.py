# SPDX-License-Identifier: Apache-2.0
"""nginx as a client: proxy_pass to https, with its session reuse, which is on by default."""

import re

from applications import documented, nginx
from applications.common import TEXT, get, kept, launch, program

NAME = "nginx"
SERVER = nginx
SERVED = TEXT
RESUMES = True


def one_request_each(programs):
    """Return the line for a connection to each request, where nginx keeps connections by default."""
    numbers = re.search(r"nginx/(\d+)\.(\d+)\.(\d+)", programs.run([program("nginx"), "-v"]).stderr).groups()
    return " keepalive 0;" if tuple(map(int, numbers)) >= (1, 29, 7) else ""


def start_proxy(programs, config, server, host, ca):
    checks = f" proxy_ssl_verify on; proxy_ssl_trusted_certificate {ca};" if ca else ""

    def make(folder, port):
        return nginx.command(folder, documented("nginx_proxy/web.conf", {
            "listen 8080": f"listen 127.0.0.1:{port}",
            "web.service.consul:8443;": f"127.0.0.1:{server.port};{one_request_each(programs)}",
            "web.service.consul": host,
            "proxy_ssl_server_name on;": "proxy_ssl_server_name on;" + checks,
        }))

    return launch(programs, config, make, nginx.READY)


def fetch(programs, config, server, host="localhost", ca=None):
    proxy = kept(
        programs, (NAME, config, server.port, host, ca),
        lambda: start_proxy(programs, config, server, host, ca))
    return get(proxy.port)
