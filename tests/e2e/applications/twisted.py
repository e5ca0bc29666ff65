# SPDX-License-Identifier: Apache-2.0
"""Twisted, and with it all programs on pyOpenSSL: TLS in memory, callbacks in Python, one thread."""

from applications import documented
from applications.common import HTTP_REQUEST
from processes import Process

NAME = "Twisted"
PORT = "8443"
S_CLIENT = []
REQUEST = HTTP_REQUEST
ANSWER = "hello from Twisted"
RESUMES = False
RELEASED = True


def start(programs, config, certificate, key):
    script = programs.write("server.py", documented("twisted/server.py", {
        "ssl:8443": "ssl:0:interface=127.0.0.1",
        "/etc/consul-provider/web.pem": certificate,
        "/etc/consul-provider/web.key": key,
    }))
    process = programs.start(Process, ["/usr/bin/python3", script], config, programs.leaks_allowed())
    process.port = int(process.wait_for(r"listening on port (\d+)").group(1))
    return process
