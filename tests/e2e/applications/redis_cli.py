# SPDX-License-Identifier: Apache-2.0
"""redis-cli."""

from applications import documented, redis_server

NAME = "redis-cli"
SERVER = redis_server
SERVED = r"(?m)^PONG$"


def fetch(programs, config, server, host="localhost"):
    script = programs.write("redis-cli.sh", documented("redis_cli/redis-cli.sh", {
        "-h web.service.consul": "-h 127.0.0.1",
        "web.service.consul": host,
        redis_server.PORT: server.port,
    }))
    return programs.run(["sh", script], config, programs.leaks_allowed())
