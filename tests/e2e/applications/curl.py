# SPDX-License-Identifier: Apache-2.0
"""curl, and with it all programs on libcurl."""

from applications import documented, nginx

NAME = "curl"
SERVER = nginx
SERVED = nginx.ANSWER
CORE = True
SANITIZABLE = False


def fetch(programs, config, server, host="localhost", ca=None):
    script = programs.write("curl.sh", documented("curl/curl.sh", {
        "web.service.consul": host,
        nginx.PORT: server.port,
        "--insecure": f"--cacert {ca}" if ca else "--insecure",
        "curl ": f"curl --silent --show-error --connect-to ::127.0.0.1:{server.port} ",
    }))
    return programs.run(["sh", script], config, programs.leaks_allowed())
