# SPDX-License-Identifier: Apache-2.0
"""OpenSSL's own server, with its page about each connection."""

from applications import documented
from applications.common import HTTP_REQUEST
from programs import Server

NAME = "`openssl s_server`"
PORT = "8443"
S_CLIENT = []
REQUEST = HTTP_REQUEST
ANSWER = "Ciphers supported in s_server binary"
CORE = True


def start(programs, config, certificate, key):
    script = documented("s_server/s_server.sh", {
        PORT: "127.0.0.1:0",
        "/etc/consul-provider/web.pem": certificate,
        "/etc/consul-provider/web.key": key,
    })
    line = script.splitlines()[-1]  # after its license
    return programs.start(Server, line.split(), config).ready()
