# SPDX-License-Identifier: Apache-2.0
"""Twisted's Agent: its usual policy compares the name within the handshake, in an info callback."""

from applications import documented, twisted
from applications.urllib_client import RESOLVER

NAME = "Twisted"
SERVER = twisted
SERVED = twisted.ANSWER
RELEASED = True

USUAL = """\
ssl.trustRootFromCertificates(
    [ssl.Certificate.loadPEM("-----BEGIN" + one) for one in open("{ca}").read().split("-----BEGIN")[1:]])"""


def fetch(programs, config, server, host="localhost", ca=None):
    """Fetch by the documented policy, or by the usual one with that CA."""
    folder = programs.path("resolver")
    folder.mkdir()
    (folder / "sitecustomize.py").write_text(RESOLVER)
    script = programs.write("client.py", documented("twisted_client/client.py", {
        "web.service.consul:8443": f"{host}:{server.port}",
        "Agent(reactor, Policy())":
            f"Agent(reactor, BrowserLikePolicyForHTTPS({USUAL.format(ca=ca)}))" if ca else "Agent(reactor, Policy())",
        "import Agent,": "import Agent, BrowserLikePolicyForHTTPS,",
    }))
    return programs.run(
        ["/usr/bin/python3", script], config, {"PYTHONPATH": str(folder), **programs.leaks_allowed()})
