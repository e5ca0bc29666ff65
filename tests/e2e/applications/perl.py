# SPDX-License-Identifier: Apache-2.0
"""Perl's IO::Socket::SSL: one connection at a time, with a session id context of its own."""

from applications import documented
from applications.common import HTTP_REQUEST
from processes import Process

NAME = "Perl"
PORT = "8443"
S_CLIENT = []
REQUEST = HTTP_REQUEST
ANSWER = "hello from Perl"
RELEASED = True


def start(programs, config, certificate, key):
    script = programs.write("server.pl", documented("perl/server.pl", {
        "0.0.0.0": "127.0.0.1",
        "8443": "0",
        "/etc/consul-provider/web.pem": certificate,
        "/etc/consul-provider/web.key": key,
    }))
    process = programs.start(Process, ["/usr/bin/perl", script], config, programs.leaks_allowed())
    process.port = int(process.wait_for(r"listening on port (\d+)").group(1))
    return process
