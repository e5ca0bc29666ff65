# SPDX-License-Identifier: Apache-2.0
"""Envoys that the real agent configures, each the sidecar of one service, on free ports.

They get what `consul connect envoy -bootstrap` prints, as it is. From then on the agent tells them the rest by xDS:
ports, upstreams, leaf, roots and intentions. News counts for an Envoy when it has arrived. So a test waits for what
the Envoy then knows or does.
"""

import json
import os
import re
import shutil
import subprocess
from pathlib import Path

from agent import LOCAL, consul_version, free_ports
from processes import PATIENCE, Process, wait_until

ATTEMPTS = 5
ANSWER = 10  # seconds within which it answers its administrator
FIRST_CONSUL = (1, 10)  # the first that speaks xDS v3, and no Envoy of today speaks v2
INBOUND = "public_listener"
LIVES, UNLUCKY = "lives", "unlucky"


def binary():
    """Return the program, or None without it. A program that the environment names has to be there."""
    named = os.environ.get("ENVOY_BINARY")
    assert not named or os.access(named, os.X_OK), f"ENVOY_BINARY is not a program: {named}"
    built = Path(__file__).resolve().parents[2] / "build" / "setup" / "envoy"
    return named or (str(built) if os.access(built, os.X_OK) else shutil.which("envoy"))


def missing(consul):
    """Return the reason against an Envoy beside this Consul, or an empty text."""
    major, minor = consul_version(consul)
    if (major, minor) < FIRST_CONSUL:
        return f"Consul {major}.{minor} cannot configure an Envoy of today: it speaks xDS v2 only"
    return "" if binary() else "no Envoy: tools/setup --consul=current fetches one"


def register(agent, service, port, **more):
    """Register a service of this host, in the place of any service of that name."""
    agent.put("/v1/agent/service/register", {
        "Name": service, "Address": "127.0.0.1", "Port": port, **more})


def register_native(agent, service, port):
    """Register a service that is a Connect endpoint by itself. So the sidecars of others find it."""
    register(agent, service, port, Connect={"Native": True})


class Sidecar:
    """The Envoy beside a service, started and configured.

    `port` is where the service itself listens, without TLS; 0 if it is a client only. Others reach it at
    `inbound`, by Connect; it reaches the upstreams, to which it connects without TLS, at `outbound[name]`.
    `options` are more for `consul connect envoy`.
    """

    def __init__(self, agent, folder, service, port=0, upstreams=(), threads=1, options=()):
        self.agent, self.folder, self.service, self.service_port = agent, folder, service, port
        self.upstreams, self.threads, self.options = upstreams, threads, options
        folder.mkdir()
        for _ in range(ATTEMPTS):
            self.launch()
            found = ""
            try:
                found = wait_until(lambda: self.unlucky() or self.lives(), f"the Envoy of {service}")
            finally:
                if found != LIVES:
                    self.stop()
            if found == LIVES:
                return
        raise AssertionError(f"no free ports in {ATTEMPTS} attempts:\n{self.process.output()}")

    def launch(self):
        self.admin_port, self.inbound, *ports = free_ports(2 + len(self.upstreams))
        self.outbound = dict(zip(self.upstreams, ports))
        register(self.agent, self.service, self.service_port, Connect={"SidecarService": {
            "Address": "127.0.0.1",
            "Port": self.inbound,
            "Proxy": {"LocalServiceAddress": "127.0.0.1", "Upstreams": [
                {"DestinationName": name, "LocalBindAddress": "127.0.0.1", "LocalBindPort": port}
                for name, port in self.outbound.items()]},
            # By default it is taken for dead until it has been looked at, some seconds later.
            "Checks": [{"Name": "as the service", "AliasService": self.service}],
        }})
        file = self.folder / "bootstrap.json"
        file.write_text(self.bootstrap())
        self.process = Process(
            [binary(), "--config-path", file, "--concurrency", self.threads, "--log-level", "warning",
             "--disable-hot-restart", "--use-dynamic-base-id"],
            {"PATH": os.environ["PATH"]}, self.folder / "envoy.log", cwd=self.folder)

    def bootstrap(self):
        return subprocess.run(
            [self.agent.binary, "connect", "envoy", "-bootstrap", "-sidecar-for", self.service,
             *self.agent.access(), *self.options, "-admin-bind", f"127.0.0.1:{self.admin_port}"],
            env={"PATH": os.environ["PATH"], "HOME": str(self.folder)}, timeout=PATIENCE,
            check=True, stdout=subprocess.PIPE, text=True).stdout

    def unlucky(self):
        """Return true where another program has taken one of its ports."""
        if re.search("(?i)address already in use", self.process.output()):
            return UNLUCKY
        assert not self.process.ended(), f"Envoy ended:\n{self.process.output()}"
        return ""

    def lives(self):
        """Return true where it has all its listeners."""
        try:
            if self.ask("/ready").strip() != "LIVE":
                return ""
            listeners = {one["name"].partition(":")[0] for one in self.know("/listeners")["listener_statuses"]}
        except OSError:
            return ""
        return LIVES if listeners >= {INBOUND, *self.upstreams} else ""

    @property
    def pid(self):
        return self.process.child.pid

    def stop(self):
        self.process.kill()

    # -- its knowledge --

    def ask(self, path):
        with LOCAL.open(f"http://127.0.0.1:{self.admin_port}{path}", timeout=ANSWER) as answer:
            return answer.read().decode()

    def know(self, path):
        return json.loads(self.ask(f"{path}?format=json") or "{}")

    def endpoints(self, upstream):
        """Return the ports of an upstream. It may take a new one for dead at first."""
        return [
            host["address"]["socket_address"]["port_value"]
            for cluster in self.know("/clusters").get("cluster_statuses", [])
            if cluster["name"].startswith(f"{upstream}.")
            for host in cluster.get("host_statuses", [])
            if host["health_status"].get("eds_health_status") == "HEALTHY"
        ]

    def wait_for_endpoint(self, upstream, port):
        wait_until(lambda: self.endpoints(upstream) == [port], f"{port} as the only endpoint of {upstream}")

    def count(self, pattern):
        """Return the sum of its counters whose whole name matches."""
        return sum(one["value"] for one in self.know("/stats")["stats"]
                   if "value" in one and re.fullmatch(pattern, one["name"]))
