# SPDX-License-Identifier: Apache-2.0
"""OpenVPN as a client. It tells its server a word once the handshake is over, and ends where there is no connection."""

from applications import documented
from applications.common import program
from processes import Process

NAME = "OpenVPN"
OWN_TESTS = True
WORD = "UV_WORD=hello"
WRAPPER = f"""\
setenv {WORD.replace("=", " ")}
push-peer-info
tls-exit
connect-retry-max 1
verb 4
"""
CREDENTIALS = "cert /etc/consul-provider/api.pem\nkey /etc/consul-provider/api.key\n"


def fetch(programs, config, server, credentials, ca):
    """Start it with these lines for its certificate; return the process."""
    file = programs.write("client.conf", WRAPPER + documented("openvpn_client/client.conf", {
        "dev tun": "dev null",
        "ifconfig 10.8.0.2 10.8.0.1\n": "",
        "web.service.consul 1194": f"127.0.0.1 {server.port}",
        "/etc/ssl/certs/ca-certificates.crt": ca,
        CREDENTIALS: credentials,
    }))
    return programs.start(Process, [program("openvpn"), "--config", file], config)
