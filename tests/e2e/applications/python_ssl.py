# SPDX-License-Identifier: Apache-2.0
"""A server on Python's ssl module: a thread for each connection."""

from applications import documented
from applications.common import HTTP_REQUEST
from processes import Process
from programs import PYTHON

NAME = "Python (`ssl`)"
PORT = "8443"
S_CLIENT = []
REQUEST = HTTP_REQUEST
ANSWER = "hello from Python"
CORE = True


def start(programs, config, certificate, key):
    script = programs.write("server.py", documented("python_ssl/server.py", {
        '"", 8443': '"127.0.0.1", 0',
        "/etc/consul-provider/web.pem": certificate,
        "/etc/consul-provider/web.key": key,
    }))
    process = programs.start(Process, [PYTHON, script], config, programs.leaks_allowed())
    process.port = int(process.wait_for(r"listening on port (\d+)").group(1))
    return process
