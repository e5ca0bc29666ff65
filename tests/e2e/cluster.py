# SPDX-License-Identifier: Apache-2.0
"""Real agents that keep their data: a server, and the client agents that have joined it."""

import json
import shutil

from agent import Agent, AgentError
from processes import wait_until


class Member(Agent):
    """An agent as on a host: stopped and launched again, it is the same one."""

    MODE = ()

    def __init__(self, folder, connect=None, **config):
        self.data = folder / "data"
        super().__init__(folder, data_dir=str(self.data), connect={"enabled": True, **(connect or {})}, **config)

    def launch(self):
        super().launch()
        self.wait_for_roots()

    def forget(self):
        """Make it another agent at the same address, while it is stopped."""
        shutil.rmtree(self.data)

    def limit(self):
        """Let it ask its servers next to nothing from its next start or reload on: one call, then no more."""
        self.set_limits({"rpc_rate": 0.001, "rpc_max_burst": 1})

    def unlimit(self):
        self.set_limits({})

    def set_limits(self, limits):
        self.file.write_text(json.dumps({**json.loads(self.file.read_text()), "limits": limits}))

    def reload(self):
        self.put("/v1/agent/reload", None)

    def is_limited(self):
        """Ask a server, so that no request is left. Return true where it refuses."""
        try:
            self.get("/v1/connect/ca/roots")
        except OSError:
            pass
        except AgentError as error:
            return error.status == 429
        return False


def server(folder, **config):
    return Member(folder, server=True, bootstrap_expect=1, performance={"raft_multiplier": 1},
                  node_name="server", **config)


def further_server(folder, of_server, number, **config):
    """Start one more server of a cluster."""
    return Member(folder, server=True, retry_join=[f"127.0.0.1:{of_server.ports['serf_lan']}"], retry_interval="1s",
                  performance={"raft_multiplier": 1}, node_name=f"server-{number}", **config)


def client(folder, of_server, **config):
    """Start the agent of another host, as it were. It leads no cluster, and knows its server's word."""
    return Member(folder, server=False, retry_join=[f"127.0.0.1:{of_server.ports['serf_lan']}"],
                  retry_interval="1s", node_name="local", **config)


class Federated(Member):
    """The server of a datacenter, which others can join."""

    PORTS = (*Member.PORTS, "serf_wan")


def datacenter(folder, name, primary=None, **config):
    """Start the server of a datacenter. The primary's CA signs its CA, unless this is the primary."""
    if primary is not None:
        config["retry_join_wan"] = [f"127.0.0.1:{primary.ports['serf_wan']}"]
        config["retry_interval_wan"] = "1s"
    return Federated(folder, server=True, bootstrap_expect=1, performance={"raft_multiplier": 1},
                     datacenter=name, primary_datacenter="dc1", node_name=f"server-{name}", **config)


def exhaust(agent, opener, most):
    """Take connections to the agent until it refuses one. Return the others."""
    held = []

    def is_full():
        assert len(held) <= most, "the agent takes any number of connections"
        one = opener()
        one.settimeout(0.2)
        try:
            one.recv(1)  # an end, or the refusal that a newer agent sends before it, unasked
        except TimeoutError:
            held.append(one)
            return False
        except OSError:
            pass
        one.close()
        return True

    wait_until(is_full, f"the last connection to {agent.address}")
    return held
