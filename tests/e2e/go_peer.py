# SPDX-License-Identifier: Apache-2.0
"""Programs on Consul's own Go library (tests/consul/peer): a server, and a client that lives long."""

import os

from ca import service_uri
from processes import Process

WANTED = "CONNECT_PEER"  # in the environment; tools/check sets it when it has such a program compiled


def binary():
    path = os.environ.get(WANTED, "")
    assert os.access(path, os.X_OK), f"{WANTED} must name the program that tools/setup --consul=current makes"
    return path


def start(programs, agent, service, *arguments):
    """Start one process of a service; it goes on until its input ends."""
    return programs.start(Process, [binary(), agent.address, service, *arguments])


def server(programs, agent, service, *verb):
    """Start a process with a `port`."""
    one = start(programs, agent, service, *verb)
    one.port = int(one.wait_for(r"(?m)^(\d+)\n").group(1))
    return one


class Client:
    """Makes requests to chosen services, on connections of their own."""

    def __init__(self, programs, agent, service):
        self.agent = agent
        self.process = start(programs, agent, service, "fetch")
        self.process.wait_for("READY")

    def ask(self, port, service):
        """Ask a service there. Return a line that begins with SERVED or REFUSED."""
        mark = self.process.size()
        self.process.say(f"{port} {service_uri(self.agent.trust_domain, service)}")
        return self.process.wait_for(r"(?m)^(SERVED|REFUSED) .*\n", mark).group()
