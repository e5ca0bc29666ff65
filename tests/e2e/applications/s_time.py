# SPDX-License-Identifier: Apache-2.0
"""OpenSSL's own stopwatch: one connection after the other for a second, and no host named in any."""

from applications import documented, s_server

NAME = "`openssl s_time`"
SERVER = s_server
SERVED = r"(?m)^\d+ connections in .* [1-9]\d* bytes read per connection"


def fetch(programs, config, server):
    script = programs.write("s_time.sh", documented("s_time/s_time.sh", {
        "web.service.consul:8443": f"127.0.0.1:{server.port}",
        "-time 10": "-time 1",
    }))
    return programs.run(["sh", script], config)
