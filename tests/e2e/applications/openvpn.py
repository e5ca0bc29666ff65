# SPDX-License-Identifier: Apache-2.0
"""OpenVPN between two hosts, over TCP. Its TLS runs in records of its own, without a network device here."""

from applications import documented
from applications.common import launch, program

NAME = "OpenVPN"
OWN_TESTS = True
LISTENS = "Listening for incoming TCP connection"
NO_DEVICE = {"dev tun": "dev null", "ifconfig 10.8.0.1 10.8.0.2\n": "connect-retry 1 1\n"}


def start(programs, config, certificate, key, ca=None):
    def make(folder, port):
        file = folder / "server.conf"
        file.write_text(documented("openvpn/server.conf", {
            **NO_DEVICE,
            "port 1194": f"port {port}\nlocal 127.0.0.1",
            "ca /etc/consul-provider/web.pem": f"ca {ca or certificate}",
            "/etc/consul-provider/web.pem": certificate,
            "/etc/consul-provider/web.key": key,
        }))
        return [program("openvpn"), "--config", file, "--verb", "4"]

    return launch(programs, config, make, LISTENS)
