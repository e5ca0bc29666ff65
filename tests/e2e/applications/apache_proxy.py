# SPDX-License-Identifier: Apache-2.0
"""Apache httpd as a client: ProxyPass to https."""

from applications import apache, documented, nginx
from applications.common import TEXT, get, kept, launch

NAME = "Apache httpd"
SERVER = nginx
SERVED = TEXT

# A connection for each request. SNI is the host of the request: names are not resolved here.
MORE = "SetEnv proxy-nokeepalive 1\nProxyPreserveHost on\n"


def start_proxy(programs, config, server, ca):
    checks = f"SSLProxyVerify require\n    SSLProxyCACertificateFile {ca}" if ca else "SSLProxyCheckPeerName off"

    def make(folder, port):
        return apache.command(folder, documented("apache_proxy/web.conf", {
            "Listen 8080": f"Listen 127.0.0.1:{port}",
            "*:8080": f"*:{port}",
            "SSLProxyCheckPeerName off": checks,
            "web.service.consul:8443": f"127.0.0.1:{server.port}",
        }), ["mpm_event", "authz_core", "env", "ssl", "proxy", "proxy_http"], MORE)

    return launch(programs, config, make, apache.READY)


def fetch(programs, config, server, host="localhost", ca=None):
    proxy = kept(programs, (NAME, config, server.port, ca), lambda: start_proxy(programs, config, server, ca))
    return get(proxy.port, host)
