# SPDX-License-Identifier: Apache-2.0
"""Pairs of servers of the same program and CA for foreign peers: one plain, one with the provider.

The plain one has its leaf and the roots from files, and verifies clients as its own options have it.
"""

from dataclasses import dataclass

import nginx
import stand_ins

TEXT = "hello from the server"
ORDINARY = "ssl_verify_client on; ssl_client_certificate {roots}; ssl_verify_depth 3;"
SIDES = ("plain", "governed")


@dataclass
class Pair:
    """Two servers by their side: the ports, and the access logs where the program has one."""

    name: str
    ports: dict
    logs: dict
    answered: int = 0  # the requests that a test has seen answered by the governed one

    def requests(self, side):
        """Return how many requests the application has answered with its page."""
        log = self.logs.get(side)
        return log.read_text().count('" 200 ') if log and log.exists() else 0


def files(programs, agent, service):
    """Write the leaf of a service, with its chain, as programs on files want it. Return certificate and key."""
    leaf = agent.leaf(service)
    certificate, key = programs.path(f"{service}.pem"), programs.path(f"{service}.key")
    certificate.write_text(leaf.certificate + leaf.intermediates)
    key.write_text(leaf.key)
    return certificate, key


def roots_file(programs, agent):
    return programs.write("roots.pem", "".join(agent.root_pems))


def nginx_pair(programs, agent, service):
    ports, logs = {}, {side: programs.path(f"{side}-access.txt") for side in SIDES}
    for side in SIDES:
        options = f"access_log {logs[side]} combined;"
        if side == "plain":
            identity, config = files(programs, agent, service), None
            options += ORDINARY.format(roots=roots_file(programs, agent))
        else:
            identity = stand_ins.make(programs, f"consul:leaf/{service}")
            config = programs.config(agent)
        ports[side] = nginx.start(programs, *identity, [TEXT], config, options).ports[0]
    return Pair("nginx", ports, logs)


def s_server_pair(programs, agent, service, *options):
    plain = programs.server(
        *agent.leaf(service).files(programs.folder, service), "-verifyCAfile", roots_file(programs, agent),
        "-Verify", "3", "-verify_return_error", "-www", *options)
    governed = programs.connect_server(service, "-www", *options, config=programs.config(agent))
    return Pair(" ".join(["s_server", *options]), {"plain": plain.port, "governed": governed.port}, {})


MAKERS = (nginx_pair, s_server_pair)
