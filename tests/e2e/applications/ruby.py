# SPDX-License-Identifier: Apache-2.0
"""Ruby's openssl: a thread for each connection, and callbacks of its own on each context."""

from applications import documented
from applications.common import HTTP_REQUEST
from processes import Process

NAME = "Ruby"
PORT = "8443"
S_CLIENT = []
REQUEST = HTTP_REQUEST
ANSWER = "hello from Ruby"
RELEASED = True


def start(programs, config, certificate, key):
    script = programs.write("server.rb", documented("ruby/server.rb", {
        "0.0.0.0": "127.0.0.1",
        "8443": "0",
        "/etc/consul-provider/web.pem": certificate,
        "/etc/consul-provider/web.key": key,
    }))
    process = programs.start(Process, ["/usr/bin/ruby", script], config, programs.leaks_allowed())
    process.port = int(process.wait_for(r"listening on port (\d+)").group(1))
    return process
