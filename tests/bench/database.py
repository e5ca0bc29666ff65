# SPDX-License-Identifier: Apache-2.0
"""PostgreSQL, with a process for each connection, and pgbench, with a connection for each transaction (pgbench -C).

The ways are plain TCP, plain mutual TLS, ours, and an Envoy at each end. Ours has one more row, where a connection stays
open: its process watches for all others. Authentication is `trust`, so the connection is most of the work.
"""

import os
import re
import signal
import subprocess
import time
from pathlib import Path

import envoy
import slots
import sources
import stand_ins
from agent import LOCAL
from applications.databases import copy_of, launch_on_data
from applications.postgresql import as_user, binary, make_data
from peers import Meter
from processes import wait_until
from sidecar import PLAIN

CLIENTS = 4
INTERVAL = sources.constant("store/cache/family.c", "WATCH_INTERVAL_MS") / 1000
ENDLESS = 100000  # seconds
WARM = 2
TRANSACTION = "SELECT 1;\n"
SETTINGS = """\
listen_addresses = '127.0.0.1'
unix_socket_directories = ''
port = {port}
ssl = {ssl}
fsync = off
max_connections = 50
"""
FILES = """\
ssl_cert_file = '{0}'
ssl_key_file = '{1}'
ssl_ca_file = '{2}'
"""
TICKS = os.sysconf("SC_CLK_TCK")


def cpu_of_family(pid):
    """Return the CPU seconds of a process and of its children that have ended."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return sum(map(int, fields[11:15])) / TICKS


def asked(agent):
    """Return the number of requests that the agent has answered, but for those for its metrics."""
    with LOCAL.open(f"{agent.url}/v1/agent/metrics?format=prometheus") as answer:
        text = answer.read().decode()
    return sum(float(value) for path, value in re.findall(r'(?m)^consul_api_http_count\{.*?path="(\w+)"\} (\S+)$', text)
               if path != "v1_agent_metrics")


class Way:
    """PostgreSQL and pgbench without a proxy."""

    proxies = ()
    warm = WARM  # seconds of the same load before a measurement

    def __init__(self, name, programs, server=None, client=None, config=None):
        self.name, self.programs, self.config = name, programs, config
        self.server, self.client = server, client  # (certificate, key, CA), or None for plain TCP

    def start(self):
        def make(folder, port):
            copy_of(self.programs, "postgresql", lambda target: make_data(self.programs, target), folder / "data")
            settings, access = folder / "postgresql.conf", folder / "pg_hba.conf"
            settings.write_text(SETTINGS.format(port=port, ssl="on" if self.server else "off")
                                + (FILES.format(*self.server) if self.server else ""))
            access.write_text("hostssl all all all trust clientcert=verify-ca\n" if self.server
                              else "host all all all trust\n")
            return as_user(binary("postgres"), "-D", folder / "data", "-c", f"config_file={settings}",
                           "-c", f"hba_file={access}")

        self.process = launch_on_data(self.programs, self.config, make, "ready to accept connections", signal.SIGINT)
        self.port = self.process.port
        self.script = self.programs.write("transaction.sql", TRANSACTION)

    def begin(self, program, *options):
        """Begin a client program, and return its process."""
        environment = {**self.programs.environment(self.config), "PGSSLMODE": "disable", "PGHOST": "127.0.0.1",
                       "PGPORT": str(self.port), "PGUSER": "postgres", "PGDATABASE": "postgres"}
        if self.client:
            certificate, key, roots = self.client
            key.chmod(0o600)
            environment |= {"PGSSLMODE": "verify-ca", "PGSSLCERT": str(certificate), "PGSSLKEY": str(key),
                            "PGSSLROOTCERT": str(roots)}
        argv = list(map(str, (binary(program), *options)))
        return subprocess.Popen(argv, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)

    def pgbench(self, seconds):
        """Return (transactions, transactions a second, CPU seconds of pgbench)."""
        child = self.begin("pgbench", "-n", "-C", "-c", CLIENTS, "-j", CLIENTS, "-T", int(seconds), "-f", self.script)
        text = child.stdout.read()
        _, status, used = os.wait4(child.pid, 0)
        child.returncode = os.waitstatus_to_exitcode(status)
        child.stdout.close()
        count = int(re.search(r"actually processed: (\d+)", text).group(1)) if child.returncode == 0 else 0
        assert count, text
        return count, float(re.search(r"tps = ([\d.]+)", text).group(1)), used.ru_utime + used.ru_stime


class Stay(Way):
    """
    Ours with a connection that stays open. One process in two seconds is to watch for its family, and this is one. It
    watches the intentions once its last query has ended.
    """

    def __init__(self, agent, warm, *of_way):
        super().__init__(*of_way)
        self.agent, self.warm = agent, warm

    def start(self):
        super().start()
        self.pgbench(1)
        time.sleep(INTERVAL)
        self.stays = self.begin("psql", "-c", f"SELECT pg_sleep({ENDLESS})")
        self.programs.started.insert(0, self)
        wait_until(lambda: any(slots.is_held_by(child, self.agent.address) for child in self.children()), "a watch")

    def children(self):
        pid = self.process.child.pid
        return map(int, Path(f"/proc/{pid}/task/{pid}/children").read_text().split())

    def kill(self):
        self.stays.kill()
        self.stays.communicate()


class Envoys(Way):
    """An Envoy at each end, and plain TCP between each of them and its program."""

    def __init__(self, programs, agent):
        super().__init__("Envoy", programs)
        self.agent, self.running = agent, []

    def envoy(self, service, **more):
        one = envoy.Sidecar(self.agent, self.programs.path(service), service, threads=os.cpu_count(), **more)
        self.programs.started.insert(0, Stopped(one))
        return one

    def start(self):
        super().start()
        server = self.envoy("database-by-envoy", port=self.port)
        client = self.envoy("visitor-by-envoy", upstreams=["database-by-envoy"])
        client.wait_for_endpoint("database-by-envoy", server.inbound)
        self.port, self.proxies = client.outbound["database-by-envoy"], (server.pid, client.pid)
        wait_until(self.serves, "a connection by Envoy")

    def serves(self):
        try:
            return self.pgbench(1)[0] > 0
        except AssertionError:
            return False


class Stopped:
    """A sidecar that ends with the other programs."""

    def __init__(self, sidecar):
        self.sidecar = sidecar

    def kill(self):
        self.sidecar.stop()


def ways(programs, agent, warm):
    roots = programs.write("roots.pem", "\n".join(agent.root_pems))

    def files(service, ours):
        if ours:
            certificate, key = stand_ins.make(programs, f"consul:leaf/{service}")
        else:
            leaf = agent.leaf(service)
            certificate = programs.write(f"{service}.pem", leaf.certificate + leaf.intermediates)
            key = programs.write(f"{service}.key", leaf.key)
        key.chmod(0o600)
        return certificate, key, roots

    ours = files("database", True), files("visitor", True), programs.config(agent)
    return [
        Way("plain TCP", programs),
        Way(PLAIN, programs, files("database", False), files("visitor", False)),
        Way("ours", programs, *ours),
        Stay(agent, warm, "ours, and a connection stays", programs, *ours),
        *([] if envoy.missing(agent.binary) else [Envoys(programs, agent)]),
    ]


def measure(way, agent, seconds):
    way.pgbench(way.warm)
    pid, asked_before, used_before = way.process.child.pid, asked(agent), cpu_of_family(way.process.child.pid)
    with Meter(*way.proxies) as proxies, Meter(agent.process.child.pid) as agents:
        count, rate, client = way.pgbench(seconds)
    server = cpu_of_family(pid) - used_before
    return {"rate": rate, "server cpu": server / count, "client cpu": client / count, "proxies cpu": proxies.cpu / count,
            "agent cpu": agents.cpu / count, "cpu": (server + client + proxies.cpu) / count,
            "questions": (asked(agent) - asked_before) / count}


def compare(programs, agent, rounds, seconds, warm):
    """Return [{way, rounds: [figures]}]. The ways take turns."""
    all_ways = ways(programs, agent, warm)
    for way in all_ways:
        way.start()
    rows = [{"way": way.name, "rounds": []} for way in all_ways]
    for _ in range(rounds):
        for way, row in zip(all_ways, rows):
            row["rounds"].append(measure(way, agent, seconds))
    return rows
