# SPDX-License-Identifier: Apache-2.0
"""nginx as a client: proxy_pass to https, with its session reuse, which is on by default."""

from applications import documented, nginx
from applications.common import TEXT, get, kept, launch

NAME = "nginx"
SERVER = nginx
SERVED = TEXT
RESUMES = True


def start_proxy(programs, config, server, host, ca):
    checks = f" proxy_ssl_verify on; proxy_ssl_trusted_certificate {ca};" if ca else ""

    def make(folder, port):
        return nginx.command(folder, documented("nginx_proxy/web.conf", {
            "listen 8080": f"listen 127.0.0.1:{port}",
            "web.service.consul:8443": f"127.0.0.1:{server.port}",
            "web.service.consul": host,
            "proxy_ssl_server_name on;": "proxy_ssl_server_name on;" + checks,
        }))

    return launch(programs, config, make, nginx.READY)


def fetch(programs, config, server, host="localhost", ca=None):
    proxy = kept(
        programs, (NAME, config, server.port, host, ca),
        lambda: start_proxy(programs, config, server, host, ca))
    return get(proxy.port)
