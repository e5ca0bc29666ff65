# SPDX-License-Identifier: Apache-2.0
"""All that happens to services in months, in minutes: they decide rightly all the time, and do not grow.

Clients connect all the time to nginx and to another nginx that reloads. They connect also to a server with threads,
and to a server that forks for each connection. Meanwhile intentions flip, the CA is rotated, and the agent is killed,
hangs and comes back. The agent issues leaves that live for 5 minutes. Consul renews them as fast as it may sign.

CONSUL_PROVIDER_SOAK_MINUTES says for how long. CONSUL_PROVIDER_SOAK_SEED repeats an order of events. Each event
begins once all clients have met with the outcome of the one before.
"""

import bisect
import json
import os
import random
import signal
import time
from collections import Counter

import pytest

from agent import Agent
from ca import Authority
from conftest import programs_in
from endpoints import Log, dummy_files
from figures import publish
from processes import Process, wait_until
from programs import AS_SHIPPED
from slots import is_held_by
from test_live import CONNECTIONS_MAX, connections_of
from test_rotation import HASTY, reason
from traffic import Client, new_root, start_live_server, start_nginx

pytestmark = pytest.mark.load

MINUTES = float(os.environ.get("CONSUL_PROVIDER_SOAK_MINUTES", "1"))
SEED = int(os.environ.get("CONSUL_PROVIDER_SOAK_SEED", random.randrange(10**6)))
SERVERS = ("nginx", "reloaded", "threads", "forks")
FRIENDS = ("friend", "neutral")  # with the provider, and without it
WATCHING = ("nginx worker", "server with threads", "client")
FOES = ("foe", "foreign", "nobody")
PAUSE = 0.01
ROTATIONS = 12
DISTURBANCES = {
    "flip": "intentions flipped", "reload": "nginx reloaded", "rotate": "CA rotated",
    "kill": "agent killed and started again", "hang": "agent stopped and continued",
}
DECK = [*DISTURBANCES, "flip", "flip"]
QUIET_POLLS = 50
# Each process does the same again and again, so its memory at rest is to stay as it was. Heaps were seen to vary
# by 200 kB. Half a megabyte is 500 bytes for each handshake of a server in the last two thirds of two minutes. In
# half an hour it is 30 bytes for each. A certificate that is forgotten takes 4 kB.
GROWTH_MAX = 512  # kB
ROOT_SIZE = 24  # kB: a root more that Consul lists counts in two snapshots, the used one and the one before


class LocalAgent(Agent):
    """The agent of a host whose server is elsewhere: leaves and intentions outlive this agent.

    (A restarted server is without its intentions for some milliseconds: Consul 1.8.7 then allows every client.)
    """

    def __init__(self, folder, server):
        (folder / "data").mkdir(parents=True)
        port = json.loads(server.file.read_text())["ports"]["serf_lan"]
        super().__init__(
            folder, node_name="local", server=False, data_dir=str(folder / "data"), connect={"enabled": True},
            start_join=[f"127.0.0.1:{port}"])

    def launch(self):
        environment = {"PATH": os.environ.get("PATH", ""), "HOME": str(self.folder)}
        self.process = Process(
            [self.binary, "agent", "-log-level=warn", f"-config-file={self.file}"], environment,
            self.folder / "agent.log", cwd=self.folder)
        wait_until(self.leads, f"a leader at {self.address}")


class Timeline:
    """A value from each of some moments on, or None while the value is unknown."""

    def __init__(self, value):
        self.moments, self.values = [time.monotonic()], [value]

    def set(self, value):
        self.moments.append(time.monotonic())
        self.values.append(value)

    def during(self, began, ended):
        """Return the value from one moment to another, or None where it changes."""
        first, last = (bisect.bisect(self.moments, moment) for moment in (began, ended))
        return self.values[first - 1] if first == last and first > 0 else None


def children(pid):
    with open(f"/proc/{pid}/task/{pid}/children") as file:
        return [int(child) for child in file.read().split()]


def counts(pid):
    return len(os.listdir(f"/proc/{pid}/fd")), len(os.listdir(f"/proc/{pid}/task"))


def memory(pid):
    """Return a process's memory in kB. Anonymous pages are heaps and stacks, even if shared since a fork."""
    with open(f"/proc/{pid}/smaps_rollup") as file:
        fields = dict(line.split(":", 1) for line in file if line.endswith("kB\n"))
    return {name: int(fields[name].split()[0]) for name in ("Rss", "Pss", "Anonymous")}


class Soak:
    def __init__(self, programs, agent, folder):
        self.agent, self.programs, self.random = agent, programs, random.Random(SEED)
        self.log = Log(programs.path("connect.log"))
        self.done = Counter()
        self.next_rotation = 0
        self.start_servers(folder)
        for server in SERVERS:
            agent.deny("foe", server)
            agent.allow("fickle", server)
        self.fickle = Timeline(True)
        self.calm = Timeline(None)
        self.start_clients()
        self.settle()
        self.calm.set(True)

    def config(self, service=None):
        settings = {"service": service} if service else {}
        return self.programs.config(self.agent, log=self.log.path, **AS_SHIPPED, **settings)

    def start_servers(self, folder):
        files = dummy_files(self.programs)
        self.servers = {name: start_nginx(self.programs, self.config(name), *files) for name in SERVERS[:2]}
        self.servers.update({name: start_live_server(self.programs, self.config(), name, name, folder)
                             for name in SERVERS[2:]})

    def start_clients(self):
        _, *foreign = Authority(self.agent.trust_domain).service("friend").files(self.programs.folder, "foreign")
        self.clients = {
            "friend": self.client("friend", "connect", self.config("friend"), offers=False),
            **{name: self.client(name, "neutral", service=name) for name in ("neutral", "fickle", "foe")},
            "foreign": self.client("foreign", "files", files=[foreign[0], foreign[2]]),
            "nobody": self.client("nobody", "files"),
        }

    def client(self, name, kind, config=None, **more):
        return Client(
            self.programs, name, kind, self.servers, config, pause=PAUSE, address=self.agent.address, **more)

    # -- events --

    def settle(self):
        """Wait until each client has connected to every server, and each allowed client has been served."""
        now = time.monotonic()
        waiting = {(client, server) for client in self.clients for server in self.servers}

        def right(one):
            if one.client in FRIENDS:
                return one.served
            return one.client != "fickle" or self.fickle.values[-1] is one.served

        def all_right():
            for client in self.clients.values():
                waiting.difference_update(
                    (client.name, one.server) for one in client.news() if one.began > now and right(one))
            return not waiting

        try:
            wait_until(all_right, "all clients")
        except AssertionError as error:
            last = [next((c for c in reversed(self.clients[client].connections) if c.server == server), None)
                    for client, server in waiting]
            raise AssertionError(
                f"{error}, seed {SEED}:\n" + "\n".join(reason(self.servers, self.log, one) for one in last if one))

    def flip(self):
        allowed = not self.fickle.values[-1]
        self.fickle.set(None)
        for server in SERVERS:
            self.agent.intend("allow" if allowed else "deny", "fickle", server)
        self.fickle.set(allowed)

    def rotate(self):
        new_root(self.agent, HASTY)

    def reload(self):
        server = self.servers["reloaded"]
        old, mark = children(server.child.pid), server.size()
        server.child.send_signal(signal.SIGHUP)
        server.wait_for(r"(?s)start worker process .*start worker process ", mark)
        wait_until(lambda: not set(old) & set(children(server.child.pid)), "the end of the old workers")

    def kill(self):
        self.calm.set(None)
        self.agent.stop()
        self.outage()
        self.agent.launch()
        self.agent.wait_for_roots()

    def hang(self):
        self.calm.set(None)
        self.agent.process.signal(signal.SIGSTOP)
        try:
            self.outage()
        finally:
            self.agent.process.signal(signal.SIGCONT)

    def outage(self):
        """Wait until all clients have noticed. Meanwhile only a wrong admission counts."""
        now, waiting = time.monotonic(), {name for name in self.clients if name not in ("neutral", "fickle", "foe")}

        def noticed():
            for name in list(waiting):
                if any(one.began > now for one in self.clients[name].news()):
                    waiting.discard(name)
            return not waiting

        wait_until(noticed, "connections without the agent")

    def disturb(self, what, due):
        if what == "rotate" and due < self.next_rotation:
            return
        if what == "rotate":
            self.next_rotation = due + 1 / ROTATIONS
        getattr(self, what)()
        self.done[what] += 1
        for _ in range(self.random.randint(1, 3)):
            self.settle()
        self.calm.set(True)

    def run_until(self, share, began, seconds):
        while (due := (time.monotonic() - began) / seconds) < share:
            deck = list(DECK)
            self.random.shuffle(deck)
            for what in deck:
                if (time.monotonic() - began) / seconds < share:
                    self.disturb(what, due)

    # -- results --

    def processes(self):
        """Return the processes that live as long as the test, by name."""
        master = self.servers["nginx"].child.pid
        workers = {f"nginx worker {n}": pid for n, pid in enumerate(sorted(children(master)), 1)}
        return {
            "nginx master": master, **workers, "nginx master that reloads": self.servers["reloaded"].child.pid,
            "server with threads": self.servers["threads"].child.pid,
            "server that forks": self.servers["forks"].child.pid,
            "client": self.clients["friend"].process.child.pid,
        }

    def at_rest(self):
        """Return the memory, descriptors and threads of each process, once they stay as they are without clients.

        A process that is to watch does, but may not for some seconds after a kill, and then holds less. A process
        that gives up its watch after the last client begins no other one. So the clients are to come once more.
        """
        while True:
            wait_until(self.all_watch, "all watches")
            for client in self.clients.values():
                client.rest()
            numbers = self.quiet_numbers()
            result = {name: (memory(pid), *numbers[name]) for name, pid in self.processes().items()}
            all_watched = self.all_watch()
            for client in self.clients.values():
                client.go_on()
            if all_watched:
                return result

    def all_watch(self):
        return all(is_held_by(pid, self.agent.address)
                   for name, pid in self.processes().items() if name.startswith(WATCHING))

    def quiet_numbers(self):
        """Return the numbers of descriptors and threads, once they do not change any more.

        A watch may have a connection to the agent more or less, so its connections do not count.
        """
        seen = []

        def quiet():
            seen.append({name: counts(pid) for name, pid in self.processes().items()})
            return len(seen) > QUIET_POLLS and all(one == seen[-1] for one in seen[-QUIET_POLLS:])

        wait_until(quiet, "quiet")
        return {name: (fds - min(len(connections_of(pid, self.agent)), CONNECTIONS_MAX), threads)
                for (name, pid), (fds, threads) in zip(self.processes().items(), seen[-1].values())}

    def is_wrong(self, one):
        """Tell whether a client was wrongly let in, or wrongly refused while the agent could be asked."""
        calm = self.calm.during(one.began, one.ended)
        fickle = self.fickle.during(one.began, one.ended)
        if one.client in FOES:
            return one.served
        if one.client == "fickle":
            return (fickle is False and one.served) or (fickle is True and calm is True and not one.served)
        return calm is True and not one.served

    def judge(self):
        """Check all connections, and return their counts."""
        all_of_them = [one for client in self.clients.values() for one in client.connections]
        wrong = [one for one in all_of_them if self.is_wrong(one) or one.outcome == "resumed"]
        assert not wrong, f"seed {SEED}, {len(wrong)} wrong:\n" + "\n".join(
            reason(self.servers, self.log, one) for one in wrong[:10])
        served = sum(one.served for one in all_of_them)
        calm = sum(self.calm.during(one.began, one.ended) is True for one in all_of_them)
        return [("connections", len(all_of_them)), ("served", served), ("refused", len(all_of_them) - served),
                ("begun or ended while the agent was away", len(all_of_them) - calm),
                ("wrongly served, or wrongly refused while the agent was there", 0)]


@pytest.fixture
def soak(make_agent, tmp_path_factory, open_folders, module):
    server = make_agent(connect={"enabled": True, "ca_config": HASTY})
    server.wait_for_roots()
    agent = LocalAgent(tmp_path_factory.mktemp("agent") / "local", server)
    folder = open_folders("soak")
    try:
        agent.wait_for_roots()
        with programs_in(folder, module) as programs:
            yield Soak(programs, agent, folder)
    finally:
        agent.stop()
        server.stop()


def has_grown(before, after, allowed):
    return after[0]["Anonymous"] - before[0]["Anonymous"] > allowed or after[1] > before[1] or after[2] > before[2]


def row(before, after):
    (heap, fds, threads), (heap_after, fds_after, threads_after) = before, after
    return (f"{heap['Anonymous']} → {heap_after['Anonymous']} kB "
            f"({heap_after['Rss']} resident, {heap_after['Pss']} proportional), "
            f"{fds} → {fds_after} descriptors beside connections to the agent, {threads} → {threads_after} threads")


def test_soak(soak):
    print(f"seed {SEED}, {MINUTES:g} minutes")
    began, seconds = time.monotonic(), MINUTES * 60
    soak.run_until(1 / 3, began, seconds)
    first, first_roots = soak.at_rest(), len(soak.agent.has_roots())
    soak.run_until(1, began, seconds)
    last, last_roots = soak.at_rest(), len(soak.agent.has_roots())
    rows = soak.judge()
    assert set(first) == set(last), "a process that was to stay has ended"
    publish("soak", f"{MINUTES:g} minutes of disturbances", [
        ("seed", SEED),
        *((text, soak.done[what]) for what, text in DISTURBANCES.items()),
        *rows,
        ("roots that Consul lists, after a third and at the end", f"{first_roots} → {last_roots}"),
        *((f"{name}: heaps and stacks, after a third → at the end", row(first[name], last[name])) for name in first),
    ])
    allowed = GROWTH_MAX + ROOT_SIZE * (last_roots - first_roots)
    grown = {name: row(first[name], last[name]) for name in first if has_grown(first[name], last[name], allowed)}
    assert not grown, f"seed {SEED}, more than {allowed} kB, or in number: {grown}"
