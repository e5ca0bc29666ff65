# SPDX-License-Identifier: Apache-2.0
"""The same client and server programs with a proxy at each end, with ours, and with neither.

Another proxy is one more way: an object with a name, start(), stop(), and a `port` for the client. It
also has the client's way to do so, and the proxies that run besides the two programs.
"""

import os
import subprocess
import time

import envoy
import stand_ins
from agent import free_ports
from peers import Holder, Meter, Server, Side, Trickle, load, memory
from processes import Process, wait_until

SERVER_THREADS = 300
THREADS = 4
CONNECTIONS_A_SECOND = 50  # at which latency is measured
REQUESTS_A_SECOND = 1000
HELD = 200

PLAIN = "mutual TLS with files, no authorization"


class Way:
    """Both programs, configured the same way, without a proxy."""

    trickle = None
    server_proxies = client_proxies = ()  # pids

    def __init__(self, name, runtime, server, client):
        self.name, self.runtime = name, runtime
        self.server_side, self.client_side = server, client

    def start(self):
        self.server = Server(self.runtime, self.server_side, SERVER_THREADS)
        self.port = self.server.port

    def stop(self):
        self.server.stop()


class Ours(Way):
    """A busy server: some connections a second keep it so while others are measured."""

    def start(self):
        super().start()
        self.trickle = Trickle(self.runtime, self.client_side, self.port)

    def stop(self):
        self.trickle.stop()
        super().stop()


class Proxied(Way):
    """A proxy at both ends, and plain TCP between each of them and its program."""

    def __init__(self, name, runtime, agent):
        super().__init__(name, runtime, Side(), Side())
        self.agent, self.running = agent, []

    def start(self):
        super().start()
        self.start_proxies()
        wait_until(self.serves, f"a connection by {self.name}")

    def serves(self):
        argv, environment = self.runtime.peer("connect", self.client_side, self.port, 1, 0.01, 0)
        done = subprocess.run(argv, env=environment, capture_output=True, text=True)
        return done.returncode == 0 and done.stdout.split()[2] == "0" and int(done.stdout.split()[0])

    def stop(self):
        for one in reversed(self.running):
            one()
        super().stop()


class BuiltInProxy(Proxied):
    """`consul connect proxy`."""

    def proxy(self, service, *arguments):
        environment = {"PATH": os.environ["PATH"], "CONSUL_HTTP_ADDR": self.agent.address}
        log = self.runtime.programs.path(f"{service}.log")
        one = Process([self.agent.binary, "connect", "proxy", "-service", service, *arguments], environment, log)
        self.running.append(one.kill)
        return one.child.pid

    def start_proxies(self):
        inbound, self.port = free_ports(2)
        self.server_proxies = self.proxy(
            "echo", "-service-addr", f"127.0.0.1:{self.server.port}", "-listen", f"127.0.0.1:{inbound}", "-register"),
        self.client_proxies = self.proxy("caller", "-upstream", f"echo:{self.port}"),


class Envoys(Proxied):
    """Envoy with the agent's configuration, and with a thread for each core, as it comes."""

    def envoy(self, service, **more):
        folder = self.runtime.programs.path(service)
        one = envoy.Sidecar(self.agent, folder, service, threads=os.cpu_count(), **more)
        self.running.append(one.stop)
        return one

    def start_proxies(self):
        server = self.envoy("echo-by-envoy", port=self.server.port)
        client = self.envoy("caller-by-envoy", upstreams=["echo-by-envoy"])
        client.wait_for_endpoint("echo-by-envoy", server.inbound)
        self.port = client.outbound["echo-by-envoy"]
        self.server_proxies, self.client_proxies = (server.pid,), (client.pid,)


def ways(runtime, agent):
    programs = runtime.programs
    roots = programs.write("roots.pem", "\n".join(agent.root_pems))

    def side(service, config=None):
        if config:
            return Side(config, (*stand_ins.make(programs, f"consul:leaf/{service}"), roots))
        leaf = agent.leaf(service)
        return Side(None, (programs.write(f"{service}.pem", leaf.certificate + leaf.intermediates),
                           programs.write(f"{service}.key", leaf.key), roots))

    ours = programs.config(agent)
    return [
        Way("plain TCP", runtime, Side(), Side()),
        Way(PLAIN, runtime, side("echo"), side("caller")),
        Ours("ours", runtime, side("echo", ours), side("caller", ours)),
        BuiltInProxy("Consul's built-in proxy", runtime, agent),
        *([] if envoy.missing(agent.binary) else [Envoys("Envoy", runtime, agent)]),
    ]


def under_load(way, agent, verb, threads, seconds, rate=0):
    """Return a client's results, and the CPU seconds of each party for one connection or request."""
    with (Meter(way.server.pid, *way.server_proxies) as serving, Meter(*way.client_proxies) as connecting,
          Meter(agent.process.child.pid) as agents):
        found = load(way.runtime, verb, way.client_side, way.port, threads, seconds, rate)
    all_of_them = found.count + found.before + (Trickle.RATE * serving.seconds if way.trickle else 0)
    server, client = serving.cpu / all_of_them, found.cpu / found.count + connecting.cpu / all_of_them
    return {"rate": found.rate, "median": found.median, "p90": found.p90, "p99": found.p99,
            "cpu": server + client, "server cpu": server, "agent cpu": agents.cpu / all_of_them}


def measure(way, agent, seconds):
    """Measure one round, and return {figure: ...}."""
    return {
        "connect": under_load(way, agent, "connect", THREADS, seconds),
        "request": under_load(way, agent, "request", THREADS, seconds),
        "connect at a rate": under_load(way, agent, "connect", THREADS, 2 * seconds, CONNECTIONS_A_SECOND),
        "request at a rate": under_load(way, agent, "request", THREADS, seconds, REQUESTS_A_SECOND),
    }


def measure_memory(way):
    """Return kB of the server's end and of all at both ends, with one connection, and for each further one."""
    server, both = [], []
    for count in (1, HELD):
        holder = Holder(way.runtime, way.client_side, way.port, count)
        server.append(sum(memory(pid) for pid in (way.server.pid, *way.server_proxies)))
        both.append(server[-1] + sum(memory(pid) for pid in (holder.pid, *way.client_proxies)))
        holder.stop()
    return {"server with one": server[0], "with one": both[0], "for each": (both[1] - both[0]) / (HELD - 1)}


def compare(ways, agent, rounds, seconds, warm):
    """Return [{way, rounds: [results], memory}], with all ways side by side."""
    started, rows = [], []
    try:
        for way in ways:
            way.start()
            started.append(way)
            rows.append({"way": way.name, "rounds": [], "memory": measure_memory(way)})
        time.sleep(warm)
        for _ in range(rounds):
            for way, row in zip(started, rows):
                row["rounds"].append(measure(way, agent, seconds))
    finally:
        for way in reversed(started):
            way.stop()
    return rows
