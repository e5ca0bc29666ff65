# SPDX-License-Identifier: Apache-2.0
"""A CA that is rotated, and leaves that are renewed, under load: no handshake fails for that.

Consul's own CA signs each new root with the one before, whatever ForceWithoutCrossSigning says. So continuity is
possible for a client that asks the agent, or is one root behind at most. A client with the roots of two rotations
ago is refused, and its connections are counted apart. The roots of a client that asks can become as old between
its question and the server's certificate.

An agent renews its leaves within 30 s of a rotation. For renewals at once, its CA issues leaves that live for
5 minutes. Consul renews those as fast as it may sign.
"""

import re
import time

import pytest

from conftest import programs_in
from endpoints import Log, dummy_files
from figures import lag, milliseconds, percentile, publish
from processes import wait_until
from traffic import Client, Observer, Sighting, new_root, renewals, start_live_server, start_nginx

pytestmark = pytest.mark.load

HASTY = {"LeafCertTTL": "5m", "SkipValidate": True, "CSRMaxPerSecond": 25}
USUAL = {"LeafCertTTL": "72h", "CSRMaxPerSecond": 50}
SERVERS = ("nginx", "threads")
CALLERS = ("caller", "other")
ASKING = (*CALLERS, "neutral", "kept")  # clients that can expect to be served through it all
NOT_TRUSTED = "unable to get local issuer certificate"
MEASURED = 150  # renewals, of all services
DENIALS = 40
LAG_MAX = 0.1


def start_servers(programs, agent, log, folder):
    """Start one server by its setting and one by a stand-in. Return both by name."""
    return {
        "nginx": start_nginx(
            programs, programs.config(agent, service="nginx", log=log.path), *dummy_files(programs)),
        "threads": start_live_server(programs, programs.config(agent, log=log.path), "threads", "threads", folder),
    }


def reason(servers, log, connection):
    """Return the log lines of both ends about a failed connection."""
    lines = [line for line in log.text().splitlines() if f"port {connection.port}]" in line]
    return f"{connection}: {lines}\n{servers[connection.server].output()[-1000:]}"


def number_of(name):
    """Return the number in a root's subject; 0 for the first root, which has its name from Consul."""
    return int((re.search(r"CN=Root (\d+)", name) or [0, 0])[1])


def is_two_behind(world, connection):
    """Return True where the CA was rotated twice between a client's question and the server's certificate.

    The chain is whole then: the leaf, and its root as signed by the root before. The client has neither root.
    """
    facts = connection.facts
    if facts and sum(facts["asked"] < listed and began < connection.ended
                     for (began, _), listed in zip(world.rotations, world.listed)) < 2:
        return False
    if not facts or NOT_TRUSTED not in connection.text or len(facts["presented"]) != 2:
        return False
    (_, _, root), (_, crossed, signer) = facts["presented"]
    newest = max(number_of(subject) for _, subject, _ in facts["held"])
    return root == crossed and number_of(root) == number_of(signer) + 1 and number_of(signer) > newest


def compare(observer, connection):
    """Return how many certificates were presented, and how many the agent gives with this leaf."""
    if not connection.facts:
        return ""
    presented = connection.facts["presented"]
    given = observer.chains.get(int(presented[0][0]), "").count("BEGIN CERTIFICATE")
    return f"{len(presented)} certificates were presented, the agent gives {given or 'an unknown number'}"


class World:
    """Two servers, and clients of four kinds that talk to both of them."""

    def __init__(self, programs, agent, folder):
        self.agent, self.programs = agent, programs
        self.log = Log(programs.path("connect.log"))
        self.observers = {service: Observer(agent, service) for service in SERVERS + CALLERS}
        self.rotations = []  # (moment, the highest serial number before it)
        self.listed = []  # moments: when the agent lists their roots
        self.servers = start_servers(programs, agent, self.log, folder)
        roots = "".join(pem.strip() + "\n" for pem in agent.root_pems)
        _, certificate, _, key, *_ = agent.leaf("early").files(programs.folder, "early")
        self.clients = {
            **{name: self.client(name, "connect", programs.config(agent, service=name, log=self.log.path))
               for name in CALLERS},
            "neutral": self.client("neutral", "neutral", service="neutral"),
            "kept": self.client("kept", "files", files=[certificate, key]),
            "early": self.client("early", "early", files=[certificate, key], roots=roots, pause=0.1),
        }
        self.see_all()

    def client(self, name, kind, config=None, **more):
        return Client(self.programs, name, kind, self.servers, config, address=self.agent.address, **more)

    def see_all(self):
        """Wait until each client has begun and finished another connection to each server."""
        now = time.monotonic()
        waiting = {(client, server) for client in self.clients for server in self.servers}

        def seen():
            for client in self.clients.values():
                waiting.difference_update((client.name, one.server) for one in client.news() if one.began > now)
            return not waiting

        wait_until(seen, "a connection of each client to each server")

    def connections(self, *names):
        return [one for name in names for one in self.clients[name].connections]

    def rotate(self, config, **more):
        """Make a new root of the CA, and return once the agent lists it."""
        self.rotations.append((time.monotonic(), max(one.serial for one in self.observers.values())))
        new_root(self.agent, config, **more)
        self.listed.append(time.monotonic())

    def renewed(self, share=1.0):
        """Wait until so many services have leaves that are younger than the last rotation."""
        _, before = self.rotations[-1]

        def enough():
            return sum(one.serial > before for one in self.observers.values()) >= share * len(self.observers)

        wait_until(enough, "the new leaves")

    def measure(self, count):
        """Wait for so many renewals."""
        def seen():
            return sum(len(one.leaves) for one in self.observers.values())

        before = seen()
        wait_until(lambda: seen() >= before + count, "renewals")

    def sightings(self, service):
        """Return the sightings of a service's leaf: by worker for a server, or as nginx tells for a client."""
        if service in SERVERS:
            return [
                Sighting(one.text.rpartition(" ")[2] if service == "nginx" else "", one.began, one.ended, one.serial)
                for one in self.connections(*ASKING) if one.server == service and one.served]
        return [Sighting("", one.began, one.ended, int(one.text.partition(" ")[0], 16))
                for one in self.connections(service) if one.server == "nginx" and one.served]

    def renewals(self, services):
        return [one for service in services
                for one in renewals(self.observers[service].leaves, self.sightings(service))]


@pytest.fixture
def world(make_agent, open_folders, module):
    agent = make_agent(connect={"enabled": True, "ca_config": HASTY})
    agent.wait_for_roots()
    folder = open_folders("rotation")
    with programs_in(folder, module) as programs:
        yield World(programs, agent, folder)
    agent.stop()


def check_nobody_failed(world):
    failed = [one for one in world.connections(*ASKING) if not one.served and not is_two_behind(world, one)]
    assert not failed, f"{len(failed)} failed:\n" + "\n".join(
        f"{compare(world.observers[one.server], one)} {reason(world.servers, world.log, one)}" for one in failed[:10])


def check_the_early_client(world):
    """Count its refusals. It is served until leaves come of the second root after those that it has."""
    since, _ = world.rotations[1]
    failed = [one for one in world.connections("early") if not one.served]
    assert failed and all(one.ended > since and NOT_TRUSTED in one.text for one in failed), failed[:10]
    assert any(one.served and one.began > world.rotations[0][0] for one in world.connections("early"))
    return len(failed)


def check_the_last_root(world):
    """Check that each process presents a leaf of the last root."""
    _, before = world.rotations[-1]
    for service in SERVERS + CALLERS:
        last = {one.process: one.serial for one in sorted(world.sightings(service), key=lambda one: one.ended)}
        assert len(last) == (2 if service == "nginx" else 1)
        assert all(serial > before for serial in last.values()), (service, last, before)


def rows(world, what, services):
    """Return the rows of a table about the renewals of some services."""
    seen = world.renewals(services)
    late = [one.missed for one in seen if one.missed]
    assert percentile([one.missed for one in seen], 0.99) < LAG_MAX, sorted(late)
    yield f"{what}: the agent has a new leaf, and a client connects → end of the first handshake with it, " \
        "median / p99", lag([one.lag for one in seen])
    yield f"{what}: new leaves that the first handshake begun after that did not have yet", \
        f"{len(late)} of {len(seen)}" + (f", at most {milliseconds(max(late))} old" if late else "")


def test_five_rotations(world):
    # A rotation that every process follows, then the renewals of some seconds. Lags are measured by these.
    world.rotate(HASTY)
    world.renewed()
    world.measure(MEASURED)
    # Two at once, before the agent has leaves of the first: a client one root behind is then two behind.
    world.rotate(HASTY)
    world.rotate(USUAL)
    world.renewed()
    # Another, and one more while some have leaves of it: leaves of three roots are in use.
    world.rotate(USUAL)
    world.renewed(0.5)
    world.rotate(USUAL, ForceWithoutCrossSigning=True)
    world.renewed()
    world.see_all()
    world.see_all()
    check_nobody_failed(world)
    check_the_last_root(world)
    asking = world.connections(*ASKING)
    publish("rotation", "Five rotations of the CA under load", [
        ("handshakes of clients that ask the agent, or verify no server, and have any leaf of the mesh", len(asking)),
        ("of those failed", 0),
        ("apart: refusals by a client that asked just before two rotations, and met a leaf of the second",
         sum(is_two_behind(world, one) for one in world.connections("neutral"))),
        ("connecting, handshake, request and answer, median / p99", lag([one.ended - one.began for one in asking])),
        ("apart: refusals by a client that goes by roots of two rotations ago", check_the_early_client(world)),
        *rows(world, "servers", SERVERS),
        *rows(world, "clients", CALLERS),
    ])


def test_denials(programs, agent, open_folders):
    """A client is not let in if its connection began after the agent's no."""
    log = Log(programs.path("connect.log"))
    folder = open_folders("denials")
    with programs_in(folder, programs.module) as those:
        servers = start_servers(those, agent, log, folder)
        _, certificate, _, key, *_ = agent.leaf("fickle").files(those.folder, "fickle")
        client = Client(those, "fickle", "files", servers, files=[certificate, key])

        def first(server, since, served):
            def found():
                client.news()
                return next((one for one in client.connections if one.server == server
                             and one.ended > since and one.served is served), None)

            return wait_until(found, f"{server} {'serves' if served else 'refuses'}").ended - since

        refused, served, slips = [], [], 0
        for number in range(DENIALS):
            server = SERVERS[number % 2]
            first(server, time.monotonic(), True)
            agent.deny("fickle", server)
            denied = time.monotonic()
            refused.append(first(server, denied, False))
            first(server, time.monotonic(), False)
            before = time.monotonic()
            agent.allow("fickle", server)
            served.append(first(server, time.monotonic(), True))
            slips += sum(one.served and one.began > denied and one.ended < before
                         for one in client.connections if one.server == server)
        assert slips == 0
        publish("denials", "Denials under load", [
            ("connections", len(client.connections)),
            ("the agent denies → end of the first handshake that is refused, median / p99", lag(refused)),
            ("served, though begun after the agent denied", slips),
            ("the agent allows → end of the first handshake that is served, median / p99", lag(served)),
        ])
