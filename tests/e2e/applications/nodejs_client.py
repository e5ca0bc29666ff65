# SPDX-License-Identifier: Apache-2.0
"""Node.js as a client. It looks for the host name by itself when the handshake is over."""

from applications import documented, nginx, nodejs

NAME = "Node.js"
SERVER = nginx
SERVED = nginx.ANSWER
CORE = True
is_there = nodejs.is_there

# In place of Consul's DNS.
RESOLVER = """\
const dns = require("dns");
const lookup = dns.lookup;
dns.lookup = (host, ...more) => lookup("127.0.0.1", ...more);
"""
TRUSTING = "rejectUnauthorized: false,"
BY_CHAIN = "checkServerIdentity: () => undefined,"


def run(programs, config, server, host, checks):
    resolver = programs.write("resolver.js", RESOLVER)
    script = programs.write("client.js", documented("nodejs_client/client.js", {
        "web.service.consul": host, nginx.PORT: server.port, TRUSTING: checks,
    }))
    more = {**nodejs.SHARED, **programs.leaks_allowed()}
    return programs.run([nodejs.NODE, "--require", resolver, script], config, more)


def fetch(programs, config, server, host="localhost", ca=None):
    checks = f'ca: require("fs").readFileSync("{ca}"),' if ca else TRUSTING
    return run(programs, config, server, host, checks)


def fetch_by_chain(programs, config, server, host):
    """Fetch with Node.js's own verification of the chain."""
    return run(programs, config, server, host, BY_CHAIN)


if not nodejs.goes_by_its_cas():
    fetch_verified = fetch_by_chain
