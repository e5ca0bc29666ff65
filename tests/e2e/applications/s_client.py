# SPDX-License-Identifier: Apache-2.0
"""OpenSSL's own client, here without a certificate of its own."""

from applications import documented, s_server

NAME = "`openssl s_client`"
SERVER = s_server
SERVED = s_server.ANSWER
CORE = True


def fetch(programs, config, server, host="localhost", ca=None):
    checks = f" -verify_return_error -verify_hostname {host} -CAfile {ca}" if ca else ""
    script = programs.write("s_client.sh", documented("s_client/s_client.sh", {
        "web.service.consul:8443": f"127.0.0.1:{server.port} -servername {host}{checks}",
    }))
    return programs.run(["sh", script], config, stdin=s_server.REQUEST)
