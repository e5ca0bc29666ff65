# SPDX-License-Identifier: Apache-2.0
"""PHP's streams, which compare the name after the handshake."""

from applications import documented, php

NAME = "PHP"
SERVER = php
SERVED = php.ANSWER
RELEASED = True

VERIFYING = """\
    "cafile" => "{ca}",
    "peer_name" => "{host}",
"""


def fetch(programs, config, server, host="localhost", ca=None):
    options = '    "verify_peer" => false,\n    "verify_peer_name" => false,\n'
    script = programs.write("client.php", documented("php_client/client.php", {
        options: VERIFYING.format(ca=ca, host=host) if ca else options + f'    "peer_name" => "{host}",\n',
        "web.service.consul": "127.0.0.1",
        php.PORT: server.port,
    }))
    return programs.run(["/usr/bin/php", script], config, programs.leaks_allowed())
