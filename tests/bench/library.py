# SPDX-License-Identifier: Apache-2.0
"""Ours beside Consul's own Go library: each of them at both ends, and each at one end.

The program on the library is tests/consul/peer. It has the verbs of peer.c, and asks the agent about each handshake.
"""

import os
from dataclasses import dataclass
from pathlib import Path

import stand_ins
from ca import service_uri
from peers import Side
from sidecar import Ours, Way

PROGRAM = Path(__file__).resolve().parents[2] / "build" / "setup" / "connect-peer"


def is_there():
    return os.access(PROGRAM, os.X_OK)


@dataclass
class Service:
    """An end that is a service by the library."""

    name: str
    server: str = ""  # the SPIFFE ID of its server


class Either:
    """In the place of a runtime: the end says which of the two programs it is."""

    def __init__(self, runtime, agent):
        self.runtime, self.agent, self.programs = runtime, agent, runtime.programs

    def peer(self, verb, side, *more, version=None):
        if not isinstance(side, Service):
            return self.runtime.peer(verb, side, *more, version=version)
        if verb == "serve":
            more = ()  # it has as many threads as it likes
        else:
            port, *rest = more
            more = (port, side.server, *rest)
        argv = [PROGRAM, self.agent.address, side.name, verb, *more]
        return [str(argument) for argument in argv], self.programs.environment(None)


def ways(runtime, agent):
    assert is_there(), f"no {PROGRAM}: tools/setup --consul=current makes it"
    runtime = Either(runtime, agent)
    config = runtime.programs.config(agent)
    roots = runtime.programs.write("roots.pem", "\n".join(agent.root_pems))

    def ours(service):
        return Side(config, (*stand_ins.make(runtime.programs, f"consul:leaf/{service}"), roots))

    server, client = Service("echo"), Service("caller", service_uri(agent.trust_domain, "echo"))
    return [
        Way("plain TCP", runtime, Side(), Side()),
        Ours("ours", runtime, ours("echo"), ours("caller")),
        Way("Consul's Go library", runtime, server, client),
        Ours("the library's client, our server", runtime, ours("echo"), client),
        Way("our client, the library's server", runtime, server, ours("caller")),
    ]
