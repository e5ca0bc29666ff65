# SPDX-License-Identifier: Apache-2.0
"""Node.js, where it is on the system's OpenSSL. It looks at the result of the verification after the handshake."""

import functools
import shutil
import subprocess

from applications import documented
from applications.common import HTTP_REQUEST, TICKET_KEY
from processes import Process

NAME = "Node.js"
PORT = "8443"
S_CLIENT = []
REQUEST = HTTP_REQUEST
ANSWER = "hello from Node.js"
CORE = True

NODE = shutil.which("node", path="/usr/bin")
SHARED = {"NODE_OPTIONS": "--openssl-shared-config"}
TICKETS = f'    ticketKeys: Buffer.from("{TICKET_KEY[:48].hex()}", "hex"),\n'


@functools.cache
def version():
    """Return the major version of a Node.js on the system's OpenSSL, or 0. Others are not reached."""
    question = "process.config.variables.node_shared_openssl ? parseInt(process.versions.node) : 0"
    if NODE is None:
        return 0
    result = subprocess.run([NODE, "-p", question], capture_output=True)
    return int(result.stdout) if result.returncode == 0 else 0


def is_there():
    return version() > 0


def goes_by_its_cas():
    """Return true where it verifies in the place of OpenSSL, and looks at its own result after the handshake."""
    return version() >= 24


def start(programs, config, certificate, key, more=""):
    script = programs.write("server.js", documented("nodejs/server.js", {
        "const options = {\n": "const options = {\n" + TICKETS + more,
        "listen(8443": 'listen(0, "127.0.0.1"',
        "/etc/consul-provider/web.pem": certificate,
        "/etc/consul-provider/web.key": key,
    }))
    process = programs.start(Process, [NODE, script], config, {**SHARED, **programs.leaks_allowed()})
    process.port = int(process.wait_for(r"listening on port (\d+)").group(1))
    return process
