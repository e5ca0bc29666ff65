# SPDX-License-Identifier: Apache-2.0
"""Python's urllib, which leaves the check of its server's name to OpenSSL."""

from applications import documented, python_ssl
from programs import PYTHON

NAME = "Python (`urllib`)"
SERVER = python_ssl
SERVED = python_ssl.ANSWER
CORE = True

# In place of Consul's DNS.
RESOLVER = """\
import socket
resolve = socket.getaddrinfo
socket.getaddrinfo = lambda host, *more, **named: resolve("127.0.0.1", *more, **named)
"""


def run(programs, config, server, script, host, more):
    folder = programs.path("resolver")
    folder.mkdir()
    (folder / "sitecustomize.py").write_text(RESOLVER)
    file = programs.write(script, documented(f"urllib_client/{script}", {
        "web.service.consul": host, python_ssl.PORT: server.port,
    }))
    return programs.run(
        [PYTHON, file], config, {"PYTHONPATH": str(folder), **more, **programs.leaks_allowed()})


def fetch(programs, config, server, host="localhost", ca=None):
    """Fetch by the context that verifies no server, or by urllib's own context with that CA."""
    if ca:
        return run(programs, config, server, "client.py", host, {"SSL_CERT_FILE": str(ca)})
    return run(programs, config, server, "unverified.py", host, {})


def fetch_verified(programs, config, server, host):
    """Fetch by urllib's own context, as it stands."""
    return run(programs, config, server, "client.py", host, {})
