# SPDX-License-Identifier: Apache-2.0
"""PHP's streams, which read certificate and key anew for an SSL_CTX of each connection."""

from applications import documented
from applications.common import HTTP_REQUEST
from processes import Process

NAME = "PHP"
PORT = "8443"
S_CLIENT = []
REQUEST = HTTP_REQUEST
ANSWER = "hello from PHP"
RELEASED = True
RESUMES = False
SHUT = True


def start(programs, config, certificate, key):
    script = programs.write("server.php", documented("php/server.php", {
        "0.0.0.0": "127.0.0.1",
        "8443": "0",
        "/etc/consul-provider/web.pem": certificate,
        "/etc/consul-provider/web.key": key,
    }))
    process = programs.start(Process, ["/usr/bin/php", script], config, programs.leaks_allowed())
    process.port = int(process.wait_for(r"listening on port (\d+)").group(1))
    return process
