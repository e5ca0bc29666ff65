# SPDX-License-Identifier: Apache-2.0
"""stunnel as a client. It verifies no server by default, and it keeps the sessions of its servers."""

from applications import documented, nginx, stunnel
from applications.common import TEXT, get, kept, launch

NAME = "stunnel"
SERVER = nginx
SERVED = TEXT
RESUMES = True


def start_tunnel(programs, config, server, host, ca):
    checks = f"verifyChain = yes\nCAfile = {ca}\ncheckHost = {host}\n" if ca else ""

    def make(folder, port):
        return stunnel.command(folder, documented("stunnel_client/web.conf", {
            "accept = 127.0.0.1:8080": f"accept = 127.0.0.1:{port}",
            "web.service.consul:8443": f"127.0.0.1:{server.port}",
            "web.service.consul": host,
        }) + checks)

    return launch(programs, config, make, stunnel.READY)


def fetch(programs, config, server, host="localhost", ca=None):
    tunnel = kept(
        programs, (NAME, config, server.port, host, ca),
        lambda: start_tunnel(programs, config, server, host, ca))
    return get(tunnel.port)
