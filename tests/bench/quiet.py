# SPDX-License-Identifier: Apache-2.0
"""One handshake with a quiet server. A client comes each 2.5 seconds, so no kept decision and no kept roots count."""

import time
from concurrent.futures import ThreadPoolExecutor

from handshakes import CASES, SERVER_THREADS
from peers import Server, load

RATE = 0.4  # visits a second, fewer than kept roots and verdicts last
NAMES = ("plain", "ours, server only", "ours, both sides", "ours, server only, asking")


def measure(runtime, sides, visits):
    """Return {case: seconds of a connection and a request, in the median}. The visits are as far apart as they can be."""
    of = sides.of(runtime)
    servers = {name: Server(runtime, of[CASES[name][0]], SERVER_THREADS) for name in NAMES}

    def visit(name):
        time.sleep(NAMES.index(name) / len(NAMES) / RATE)
        return load(runtime, "connect", of[CASES[name][1]], servers[name].port, 1, visits / RATE, RATE, version="1.3")

    try:
        with ThreadPoolExecutor(len(NAMES)) as pool:
            found = dict(zip(NAMES, pool.map(visit, NAMES)))
    finally:
        for server in servers.values():
            server.stop()
    return {name: {"median": one.median, "p90": one.p90, "count": one.count} for name, one in found.items()}
