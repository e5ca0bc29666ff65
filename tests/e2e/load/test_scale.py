# SPDX-License-Identifier: Apache-2.0
"""A process that is a thousand services, and hundreds of processes that are one each, on a default agent.

The tests run with few of them, and tools/scale runs them with all. The connections to the agent are counted by TCP
in this network namespace. It should be the tests' own, as tools/scale has it.
"""

import os
import time

import pytest

import figures
from fleet import (
    Host, Leaves, Log, Meter, Neighbour, client, connections, descriptors, ordinary_file, stand_in_file,
    together,
)
from processes import wait_until
from programs import CONFIG, PLAIN_CONFIG
from test_live import rotate

pytestmark = pytest.mark.load

FULL = os.environ.get("CONSUL_PROVIDER_SCALE") == "full"
SERVICES = 1000 if FULL else 60  # of one process
PROCESSES = 300 if FULL else 40
CLIENTS = 8  # at a time, by default
LIMIT = 200  # connections that an agent takes from a host
SLOTS = 32  # processes that watch
MOST_HELD = 3  # connections of a process that is busy
TRIES = 3  # of a watch to connect, in the first second without an agent; then fewer
MOST_ASKED = 5  # connection attempts for a handshake, where there is room
PATIENCE = 180  # seconds for all services to be done with something


class World:
    """An agent, clients that it allows and denies, and the processes that run on it."""

    def __init__(self, make_agent, folder, module):
        self.folder, self.hosts = folder, []
        self.binary = module.parents[1] / "tests" / "load_host"
        self.agent = make_agent()
        self.agent.wait_for_roots()
        self.log = Log(folder / "log")
        settings = f"address = {self.agent.address}\nlog = {self.log.path}\nlog_level = warning"
        self.config = folder / "openssl.cnf"
        self.config.write_text(CONFIG.format(module=module, settings=settings, more=""))
        self.plain = folder / "plain.cnf"
        self.plain.write_text(PLAIN_CONFIG)
        self.quiet = descriptors(self.agent.process.child.pid)
        self.meet_clients()

    def meet_clients(self):
        self.friend, self.foe, self.picked = (
            client(self.agent, name, self.folder) for name in ("friend", "foe", "picked"))
        self.intend("foe", "*")

    def intend(self, source, destination):
        """Deny, and return the moment at which the agent has acknowledged it."""
        self.agent.request("POST", "/v1/connect/intentions", {
            "SourceName": source, "DestinationName": destination, "Action": "deny"})
        return time.monotonic()

    def start(self, services, threads=1, plain=False):
        make = ordinary_file if plain else stand_in_file
        files = [make(self.folder, service) for service in services]
        environment = {"OPENSSL_CONF": str(self.plain if plain else self.config), "PATH": os.environ["PATH"]}
        host = Host(self.binary, environment, files, threads)
        self.hosts.append(host)
        return host

    def stop(self):
        for host in self.hosts:
            host.kill()
        self.agent.stop()

    def held(self, meter):
        return meter.most_held - self.quiet


def visit_all(targets, context, clients=CLIENTS):
    return together(lambda target: target[0].visit(context, target[1]), targets, clients)


def all_served(visits):
    return all(visit.served for visit in visits)


def none_served(visits):
    return not any(visit.served for visit in visits)


def asked(meter, visits):
    """Connection attempts at the agent for each handshake."""
    return (meter.attempts - len(visits)) / len(visits)


def times(visits):
    return figures.lag([visit.took for visit in visits])


def wait_for_first_leaves(targets, context):
    """Count the handshakes refused meanwhile, and the seconds. The agent signs 50 leaves a second."""
    began, refused, left = time.monotonic(), 0, targets
    while left:
        visits = visit_all(left, context, 32)
        left = [target for target, visit in zip(left, visits) if not visit.served]
        refused += len(left)
        assert time.monotonic() < began + PATIENCE, f"{len(left)} services do not serve"
    return refused, time.monotonic() - began


def follow_rotation(world, targets):
    """Rotate the CA. All serve all the time, and present a new leaf once the agent is known to have it.

    Return the handshakes that presented the old one after that, and the seconds of each service.
    """
    leaves = Leaves(world.agent)
    old = dict(zip(targets, together(lambda target: leaves.get(target[1])[0], targets, CLIENTS)))
    presented = visit_all(targets, world.friend)
    assert all(visit.presented == old[target] for target, visit in zip(targets, presented))
    rotate(world.agent)
    stale, lags, end = [], [], time.monotonic() + PATIENCE

    def follow(mine):
        waiting = list(mine)
        while waiting:
            assert time.monotonic() < end, f"{len(waiting)} leaves are not renewed"
            for number, target in enumerate(list(waiting)):
                leaf, known = leaves.get(target[1])
                if leaf == old[target]:
                    # A part is busy meanwhile, the others are idle.
                    assert number % 4 or target[0].visit(world.friend, target[1]).served
                    continue
                visit = target[0].visit(world.friend, target[1])
                while visit.presented != leaf:
                    assert visit.served and visit.presented == old[target] and time.monotonic() < end
                    stale.append(visit)
                    visit = target[0].visit(world.friend, target[1])
                assert visit.served
                lags.append(visit.ended - known)
                waiting.remove(target)

    together(follow, [targets[first::CLIENTS] for first in range(CLIENTS)], CLIENTS)
    assert len(lags) == len(targets)
    return stale, lags


# -- one process --


@pytest.fixture(scope="module")
def crowd(make_agent, tmp_path_factory, module):
    world = World(make_agent, tmp_path_factory.mktemp("one"), module)
    yield world
    world.stop()


def test_one_process(crowd):
    """Each service decides by its own intentions and presents its own leaf, the new one after a rotation."""
    names = [f"s{number}" for number in range(SERVICES)]
    plain = crowd.start([f"plain{number}" for number in range(SERVICES)], threads=4, plain=True)
    visit_all([(plain, name) for name in plain.services[:4]], crowd.friend)
    plain_before = plain.memory()
    visit_all([(plain, name) for name in plain.services], crowd.friend)
    plain_growth = (plain.memory() - plain_before) / SERVICES

    host = crowd.start(names, threads=4)
    targets = [(host, name) for name in names]
    visit_all(targets[:4], crowd.friend)
    before = host.memory()
    refused, seconds = wait_for_first_leaves(targets, crowd.friend)
    growth = (host.memory() - before) / SERVICES

    together(lambda name: crowd.intend("picked", name), names[::2], CLIENTS)
    visit_all(targets, crowd.picked)  # from here on the agent has the intentions of all
    with Meter(crowd.agent) as meter:
        allowed = visit_all(targets, crowd.friend)
        assert all_served(allowed) and none_served(visit_all(targets, crowd.foe))
        picked = visit_all(targets, crowd.picked)
    assert [visit.served for visit in picked] == [number % 2 == 1 for number in range(SERVICES)]
    per_handshake = asked(meter, allowed * 3)
    held = host.connections(crowd.agent)
    assert held <= MOST_HELD and host.threads() == 5 and per_handshake < MOST_ASKED

    stale, lags = follow_rotation(crowd, targets)
    assert host.connections(crowd.agent) <= MOST_HELD and host.threads() == 5
    assert not set(crowd.log.since()) - {"peer denied by Consul", "Consul agent refused the request"}
    figures.publish("scale-one-process", f"One process that is {SERVICES} services", [
        ("memory for each service that has served (PSS)", f"{growth:.1f} kB"),
        ("the same without the provider", f"{plain_growth:.1f} kB"),
        ("the whole process, with contexts; without the provider",
         f"{host.memory() / 1024:.0f} MB; {plain.memory() / 1024:.0f} MB"),
        ("threads of the provider", host.threads() - 4),
        ("connections held to the agent", held),
        ("connections to the agent for a handshake", f"{per_handshake:.2f}"),
        ("first leaves of all (the agent signs 50 a second)", f"{seconds:.1f} s"),
        ("handshakes refused because of that limit", refused),
        ("handshake, p50 / p99, 8 clients on these cores", times(allowed)),
        ("after a rotation: handshakes that still presented an old leaf", len(stale)),
        ("from the agent's new leaf to the handshake that has presented it, p50 / p99", figures.lag(lags)),
    ])


# -- many processes --


@pytest.fixture(scope="module")
def fleet(make_agent, tmp_path_factory, module):
    """Processes that are a service each; all have served."""
    world = World(make_agent, tmp_path_factory.mktemp("many"), module)
    world.rows = []
    plain = [world.start([f"plain{number}"], plain=True) for number in range(PROCESSES)]
    for _ in range(3):
        visit_all([(host, host.services[0]) for host in plain], world.friend)
    world.plain_memory = [host.memory() for host in plain]
    world.stop_plain = [host.kill() for host in plain]
    world.hosts = []
    world.targets = [(world.start([f"s{number}"]), f"s{number}") for number in range(PROCESSES)]
    world.first = wait_for_first_leaves(world.targets, world.friend)
    world.log.since()
    yield world
    world.stop()
    figures.publish("scale-many-processes", f"{PROCESSES} processes that are one service each", world.rows)


def watching(world):
    all_of_them = connections(world.agent)
    return [target for target in world.targets if target[0].connections(world.agent, all_of_them)]


def decided_rightly(world, clients=CLIENTS):
    """Visit every process as a client that it serves, and as a client that it refuses."""
    allowed = visit_all(world.targets, world.friend, clients)
    denied = visit_all(world.targets, world.foe, clients)
    wrong = sum(not visit.served for visit in allowed), sum(visit.served for visit in denied)
    assert wrong == (0, 0), (wrong, world.log.since())
    assert set(world.log.since()) <= {"peer denied by Consul"}
    return allowed + denied


def test_every_process_decides_rightly(fleet):
    with Meter(fleet.agent) as meter:
        visits = [visit for _ in range(3) for visit in decided_rightly(fleet)]
    wait_until(lambda: decided_rightly(fleet) and len(watching(fleet)) >= min(SLOTS, PROCESSES), "watches")
    watchers = watching(fleet)
    others = [target for target in fleet.targets if target not in watchers]
    assert len(watchers) == SLOTS
    assert all(host.connections(fleet.agent) <= MOST_HELD for host, _ in watchers)
    assert asked(meter, visits) < MOST_ASKED and fleet.held(meter) <= LIMIT + 1
    of_watchers, of_others = (visit_all(some * 3, fleet.friend, 1) for some in (watchers, others[:SLOTS]))
    mean = [sum(host.memory() for host, _ in fleet.targets) / PROCESSES, sum(fleet.plain_memory) / PROCESSES]
    refused, seconds = fleet.first
    fleet.rows += [
        ("first leaves of all (the agent signs 50 a second)", f"{seconds:.1f} s"),
        ("handshakes refused because of that limit", refused),
        ("handshakes a second, 8 clients on these cores", f"{len(visits) / meter.seconds:.0f}"),
        ("connections to the agent a second meanwhile", f"{(meter.attempts - len(visits)) / meter.seconds:.0f}"),
        ("connections to the agent for a handshake", f"{asked(meter, visits):.2f}"),
        ("processes that watch", len(watchers)),
        ("the agent's connections, at most", fleet.held(meter)),
        ("a handshake with a process that watches, p50 / p99", times(of_watchers)),
        ("with one that asks", times(of_others)),
        ("memory for each process (PSS); without the provider", f"{mean[0]:.0f} kB; {mean[1]:.0f} kB"),
    ]


def test_all_at_once(fleet):
    """More handshakes at a time than the agent takes connections."""
    with Meter(fleet.agent) as meter:
        visits = [visit for _ in range(3) for visit in decided_rightly(fleet, PROCESSES)]
    fleet.rows += [
        (f"{PROCESSES} handshakes at once, three times allowed and denied: refused wrongly", 0),
        ("a handshake then, p50 / p99", times(visits)),
        ("the agent's connections then, at most", fleet.held(meter)),
        ("connections to the agent for a handshake then", f"{asked(meter, visits):.2f}"),
    ]


def test_a_deny_reaches_all(fleet):
    """The time runs from the agent's acknowledgement. Every process is visited at once, and until it obeys."""
    late = client(fleet.agent, "late", fleet.folder)
    assert all_served(visit_all(fleet.targets, late))
    acknowledged = fleet.intend("late", "*")

    def obeyed(target):
        stale, visit = 0, target[0].visit(late, target[1])
        while visit.served:
            stale += 1
            assert time.monotonic() < acknowledged + PATIENCE
            visit = target[0].visit(late, target[1])
        return stale, visit.ended - acknowledged

    found = together(obeyed, fleet.targets, CLIENTS)
    stale, lags = zip(*found)
    fleet.rows += [
        ("a deny: handshakes that began after it was acknowledged and were served", sum(stale)),
        ("from that to a process's first refusal, 8 clients in turn, p50 / p99", figures.lag(lags)),
    ]


def test_a_rotation_reaches_all(fleet):
    with Meter(fleet.agent) as meter:
        stale, lags = follow_rotation(fleet, fleet.targets)
    assert fleet.held(meter) <= LIMIT + 1
    assert set(fleet.log.since()) <= {"peer denied by Consul"}
    fleet.rows += [
        ("a rotation: handshakes that presented an old leaf when the agent had a new one", len(stale)),
        ("from the agent's new leaf to the handshake that has presented it, p50 / p99", figures.lag(lags)),
    ]


def test_a_neighbour_with_many_connections(fleet):
    """The rest is enough: processes give up watches, rather than leave questions without an answer."""
    with Neighbour(fleet.agent, LIMIT * 3 // 4) as neighbour, Meter(fleet.agent) as meter:
        wait_until(lambda: neighbour.holds() == LIMIT * 3 // 4 or fleet.held(meter) >= LIMIT, "the neighbour")
        visits = decided_rightly(fleet)
        at_once = decided_rightly(fleet, PROCESSES)
        held, watchers = neighbour.holds(), len(watching(fleet))
    fleet.rows += [
        ("beside a neighbour with connections: how many", held),
        ("refused wrongly then", 0),
        ("processes that watch then", watchers),
        ("a handshake then, p50 / p99", times(visits)),
        (f"of {PROCESSES} at once", times(at_once)),
    ]


def test_a_neighbour_with_all_connections(fleet):
    """A question cannot be asked: its client is refused, with a reason. Afterwards all serve without a restart."""
    with Neighbour(fleet.agent, LIMIT) as neighbour:
        wait_until(lambda: visit_all(fleet.targets[:CLIENTS], fleet.friend) and neighbour.holds() >= LIMIT - 1,
                   "the neighbour to have all")
        fleet.log.since()
        refused = [visit for visit in visit_all(fleet.targets, fleet.friend, 32) if not visit.served]
        assert none_served(visit_all(fleet.targets, fleet.foe, 32))
        reasons = fleet.log.since()
    lost = {"Consul agent unreachable", "Consul agent did not answer in time"}
    assert refused and lost & set(reasons) and set(reasons) <= lost | {"peer denied by Consul"}
    began = time.monotonic()
    wait_until(lambda: all(visit.served for visit in visit_all(fleet.targets, fleet.friend, 32)), "all to serve")
    recovered = time.monotonic() - began
    fleet.log.since()  # leaves out the refusals until then
    decided_rightly(fleet)
    fleet.rows += [
        (f"beside a neighbour with all {LIMIT}: refused, with a reason", f"{len(refused)} of {PROCESSES}"),
        ("such a refusal, p50 / p99", times(refused)),
        ("after that: until all had served, 32 clients in turn", f"{recovered:.1f} s"),
    ]


def test_the_agent_restarts(fleet):
    """Another CA, nothing signed yet. The processes do not storm it, and all serve again."""
    fleet.agent.stop()
    with Meter(fleet.agent) as alone:
        wait_until(lambda: alone.samples and alone.seconds > 5, "some seconds without an agent or clients")
    fleet.agent.launch()
    fleet.agent.wait_for_roots()
    began = time.monotonic()
    fleet.meet_clients()
    with Meter(fleet.agent) as meter:
        refused, _ = wait_for_first_leaves(fleet.targets, fleet.friend)
        seconds = time.monotonic() - began
    visits = refused + PROCESSES
    fleet.log.since()  # there was no leaf yet, or it was refused, or of a CA that is no more
    decided_rightly(fleet)
    assert max(alone.rates()) <= TRIES * MOST_HELD * SLOTS and meter.attempts <= visits * 10
    fleet.rows += [
        ("without an agent: connection attempts in each second, without visits", ", ".join(map(str, alone.rates()))),
        ("agent restarted, with another CA: until all have served (it signs 50 a second)", f"{seconds:.1f} s"),
        ("connection attempts a second meanwhile, by clients of all", f"{meter.attempts / meter.seconds:.0f}"),
        ("for each handshake", f"{(meter.attempts - visits) / visits:.2f}"),
    ]
