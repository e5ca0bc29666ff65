# SPDX-License-Identifier: Apache-2.0
"""Redis: one thread, and a verify mode that it sets on each connection after that is made."""

from applications import documented
from applications.common import launch

NAME = "Redis"
PORT = "6379"
S_CLIENT = []
REQUEST = b"PING\r\nQUIT\r\n"
ANSWER = r"\+PONG"


def start(programs, config, certificate, key):
    def make(folder, port):
        file = folder / "redis.conf"
        file.write_text(documented("redis_server/redis.conf", {
            "bind *": "bind 127.0.0.1",
            PORT: port,
            "/etc/consul-provider/web.pem": certificate,
            "/etc/consul-provider/web.key": key,
        }))
        return ["redis-server", file, "--save", "", "--dir", folder]

    return launch(programs, config, make, "Ready to accept connections")
