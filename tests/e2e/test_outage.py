# SPDX-License-Identifier: Apache-2.0
"""The outage matrix: served and refused clients while the agent is lost, and the time after its return."""

import re
import socket
import ssl
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import SimpleNamespace

import pytest

import stand_ins
from ca import Authority
from load import figures
from outages import ANSWERING, GONE, OUTAGES
from processes import PATIENCE, Process, wait_until
from programs import AS_SHIPPED, PYTHON, Server
from visitors import Visit, Visitor

pytestmark = [pytest.mark.faults, pytest.mark.consul]

FOLDER = Path(__file__).parent
DOCUMENT = FOLDER.parents[1] / "doc" / "live" / "outage.md"
TITLE = "Outages"
REFUSE, LAST_KNOWN = POLICIES = ("refuse", "last-known")
AT_ONCE = 4  # seconds: one wait of authorize_timeout that had begun before, and a busy machine
LONGEST = 4  # seconds that a handshake may take on a busy machine: authorize_timeout is 1 s, and request_timeout 5 s

# Clients of the service web. A friend was admitted before, a former one too but is denied meanwhile, and a foe was
# denied before. A stranger was never seen before, and a foreign one is the friend's namesake of another authority.
FRIEND, FORMER, FOE, STRANGER, FOREIGN = "friend", "former", "foe", "stranger", "foreign"
KINDS = {
    "one": "a server in one process",
    "forks": "a child for each connection",
    "client": "a client",
}


class Peer:
    """A server that a client under test connects to; it demands a leaf of these roots."""

    def __init__(self, folder, name, identity, roots):
        _, certificate, _, key, *_ = identity.files(folder, name)
        self.context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self.context.load_cert_chain(certificate, key)
        self.context.load_verify_locations(cadata="\n".join(roots))
        self.context.verify_mode = ssl.CERT_REQUIRED
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.port = self.listener.getsockname()[1]
        threading.Thread(target=self.run, daemon=True).start()

    def run(self):
        while True:
            try:
                plain, _ = self.listener.accept()
            except OSError:
                return
            threading.Thread(target=self.serve, args=(plain,), daemon=True).start()

    def serve(self, plain):
        try:
            plain.settimeout(PATIENCE)
            with self.context.wrap_socket(plain, server_side=True) as connection:
                connection.sendall(connection.recv(64))
        except OSError:
            pass

    def close(self):
        self.listener.shutdown(socket.SHUT_RDWR)
        self.listener.close()


class Subject:
    """A process under test: a server of one of the models of live_server.py, under one policy."""

    def __init__(self, programs, open_folders, outage, kind, policy):
        self.kind, self.policy = kind, policy
        self.log = programs.path(f"{kind}-{policy}.connect")
        config = programs.config(outage.address, on_agent_loss=policy, log=self.log, **{**AS_SHIPPED, **outage.settings})
        identity = stand_ins.make(programs, "consul:leaf/web")
        self.process = programs.start(
            Server, [PYTHON, FOLDER / "live_server.py", kind, *identity, open_folders("empty")], config,
            programs.leaks_allowed()).ready()

    def meet(self, people):
        self.people = people

    def visit(self, who):
        return self.people[who].visit(self.process.port)

    def knows(self, who):
        return who in (FRIEND, FORMER, FOE, STRANGER, FOREIGN)

    def __str__(self):
        return f"{self.kind}, {self.policy}"


class ClientSubject(Subject):
    """A long-lived client of the service db. Its friend is db, the foreign one is not of the mesh."""

    def __init__(self, programs, outage):
        self.kind, self.policy = "client", "any"
        self.log = programs.path("client.connect")
        config = programs.config(outage.address, service="api", log=self.log, **{**AS_SHIPPED, **outage.settings})
        self.process = programs.start(Process, [PYTHON, FOLDER / "live_client.py"], config, programs.leaks_allowed())
        self.process.wait_for("READY")

    def visit(self, who):
        mark, began = self.process.size(), time.monotonic()
        self.process.say(str(self.people["to " + who].port))
        served = self.process.wait_for(r"(SERVED|REFUSED).*\n", mark)[1] == "SERVED"
        return Visit(served, time.monotonic() - began)

    def knows(self, who):
        return who in (FRIEND, FOREIGN)


def expected(subject, leaves):
    """Return the clients, of all that it knows, that are served during an outage."""
    if subject.kind == "client":  # it needs no permission to connect
        return {FRIEND}
    if leaves == ANSWERING:
        return {FRIEND, FORMER, STRANGER}
    if leaves == GONE and (subject.kind, subject.policy) == ("one", LAST_KNOWN):
        return {FRIEND, FORMER}
    return set()  # a child that is forked for a connection knows nothing


class World:
    """An agent, the processes under test, and their visitors."""

    def __init__(self, programs, open_folders, folder, outage):
        self.programs, self.folder, self.outage = programs, folder, outage
        self.peers = []
        self.longest = {}
        self.introduce("old")
        self.subjects = [Subject(programs, open_folders, outage, kind, policy)
                         for kind in ("one", "forks") for policy in POLICIES]
        self.subjects.append(ClientSubject(programs, outage))
        self.meet()

    def introduce(self, generation):
        """Make the clients and servers with identities of the agent as it is now."""
        agent, folder = self.outage.local, self.folder / generation
        folder.mkdir()
        for name in (FRIEND, FORMER, STRANGER):
            self.outage.elsewhere.allow(name, "web")
        self.outage.elsewhere.deny(FOE, "web")
        wait_until(lambda: agent.allows(STRANGER, "web") and not agent.allows(FOE, "web"), "the intentions")
        self.people = {name: Visitor(folder, agent.leaf(name), name) for name in (FRIEND, FORMER, FOE, STRANGER)}
        impostor = Authority(agent.trust_domain)
        self.people[FOREIGN] = Visitor(folder, impostor.service(FRIEND), FOREIGN)
        self.people["to " + FRIEND] = self.peer(Peer(folder, "db", agent.leaf("db"), agent.root_pems))
        self.people["to " + FOREIGN] = self.peer(Peer(folder, "evil", impostor.service("db"), agent.root_pems))

    def peer(self, one):
        self.peers.append(one)
        return one

    def meet(self):
        for subject in self.subjects:
            subject.meet(self.people)

    def each(self, action):
        """Do an action for all subjects at the same time. Return the results by subject."""
        with ThreadPoolExecutor(len(self.subjects) + 2) as pool:
            results = [pool.submit(action, subject) for subject in self.subjects]
            return {subject: result.result() for subject, result in zip(self.subjects, results)}

    def served(self, *visitors):
        """Return the visitors that are served, by subject."""
        def visit_all(subject):
            visits = {who: subject.visit(who) for who in visitors if subject.knows(who)}
            longest = max((visit.elapsed for visit in visits.values()), default=0)
            self.longest[subject] = max(longest, self.longest.get(subject, 0))
            return {who for who, visit in visits.items() if visit.served}

        return self.each(visit_all)

    def assert_served(self, expectation, *visitors):
        served = self.served(*visitors)
        wanted = {subject: {who for who in expectation(subject) if who in visitors and subject.knows(who)}
                  for subject in self.subjects}
        assert {str(s): served[s] for s in served} == {str(s): wanted[s] for s in wanted}, self.logs()
        return served

    def logs(self):
        return "\n".join(f"--- {s}\n{s.log.read_text() if s.log.exists() else ''}{s.process.output()[-2000:]}"
                         for s in self.subjects)

    def recover(self):
        """End the outage. Return the seconds from the agent's first answer to the first served, by subject."""
        newcomer = {"one": STRANGER, "forks": STRANGER, "client": FRIEND}
        outage = self.outage
        if outage.is_new:
            outage.end()
            self.old = self.people
            self.introduce("new")
            self.meet()
        with ThreadPoolExecutor(1) as pool:
            answered = pool.submit(when, lambda: outage.answers(STRANGER), "the agent")
            first = {}

            def seek(subject):
                first[subject] = when(lambda: subject.visit(newcomer[subject.kind]).served, f"{subject}")

            seekers = [threading.Thread(target=seek, args=(s,), daemon=True) for s in self.subjects]
            for seeker in seekers:
                seeker.start()
            if not outage.is_new:
                outage.end()
            for seeker in seekers:
                seeker.join(PATIENCE)
            assert len(first) == len(self.subjects), self.logs()
            return {s: max(0, first[s] - answered.result()) for s in self.subjects}

    def close(self):
        for one in self.peers:
            one.close()


def when(condition, what):
    wait_until(condition, what)
    return time.monotonic()


HEADING = ("The agent is", "Process", "Known peer, `refuse`", "Known peer, `last-known`", "Others",
           "Longest handshake", "Served again after")


def served_during(kind, served):
    """Return the cells of a row about served clients; `served` has their names by policy."""
    known = ["served" if FRIEND in served[policy] else "refused" for policy in POLICIES]
    others = set().union(*served.values()) & {FOE, STRANGER, FOREIGN}
    assert others <= {STRANGER}, f"{kind}: {others}"
    return (*known, "unknown served" if others else "refused")


def wanted_rows(outage):
    """Return the rows of the documentation about an outage, as test_outage demands them, without the times."""
    for kind, name in KINDS.items():
        subjects = {policy: SimpleNamespace(kind=kind, policy=policy) for policy in POLICIES}
        served = {policy: expected(subject, outage.leaves) for policy, subject in subjects.items()}
        yield (outage.title, name, *served_during(kind, served))


class Matrix:
    """The rows of a run, for the documentation."""

    def __init__(self):
        self.rows = {}

    def note(self, outage, world, during, recovery):
        self.rows[outage] = []
        for kind, name in KINDS.items():
            some = {s.policy: s for s in world.subjects if s.kind == kind}
            served = {policy: during[some.get(policy) or some["any"]] for policy in POLICIES}
            cells = served_during(kind, served)
            soon = max(recovery[s] for s in some.values())
            away = "refused" in cells[:2] or (kind != "client" and cells[2] == "refused")
            self.rows[outage].append((
                outage.title, name, *cells,
                f"{max(world.longest[s] for s in some.values()):.2f} s",
                "never away" if not away else figures.milliseconds(soon) if soon > 0 else "at once"))

    def publish(self):
        rows = [row for outage in OUTAGES for row in self.rows.get(outage, [])]
        figures.publish("outage", TITLE, rows, HEADING)


@pytest.fixture(scope="module")
def matrix():
    one = Matrix()
    yield one
    one.publish()


@pytest.mark.parametrize("kind", OUTAGES, ids=lambda kind: kind.__name__)
def test_outage(programs, open_folders, tmp_path, matrix, kind):
    outage = kind(tmp_path / "agents")
    world = None
    try:
        world = World(programs, open_folders, tmp_path, outage)
        show(world, outage, matrix)
    finally:
        if world:
            world.close()
        outage.close()


def show(world, outage, matrix):
    for _ in range(3):  # from the second handshake on a process watches
        world.assert_served(lambda _: {FRIEND, FORMER}, FRIEND, FORMER, FOE, FOREIGN)
    world.longest = {}
    outage.begin()
    during = world.assert_served(lambda s: expected(s, outage.leaves), FRIEND, FORMER, FOE, STRANGER, FOREIGN)
    assert max(world.longest.values()) < LONGEST, world.longest
    for subject in world.subjects:
        assert not outage.said or subject.policy != REFUSE or re.search(outage.said, subject.log.read_text())
    if outage.can_deny:
        outage.elsewhere.deny(FORMER, "web")
    recovery = world.recover()
    assert max(recovery.values()) < AT_ONCE, recovery
    if outage.is_new:  # the earlier agent's identities are refused
        new, world.people = world.people, world.old
        world.meet()
        world.assert_served(lambda _: set(), FRIEND, FORMER, FOE, STRANGER, FOREIGN)
        world.people = new
        world.meet()
    settle(world, outage)
    matrix.note(type(outage), world, during, recovery)


def settle(world, outage):
    """Check that all is as before the outage. A denial from meanwhile, and one from now, are obeyed at once."""
    agent = outage.local
    if outage.can_deny:
        wait_until(lambda: not agent.allows(FORMER, "web"), "the denial, at the local agent")
    else:
        agent.deny(FORMER, "web")
    world.assert_served(lambda _: {FRIEND}, FORMER, FRIEND, FOE, FOREIGN)
    agent.deny(STRANGER, "web")
    world.assert_served(lambda _: {FRIEND}, FRIEND, STRANGER, FOREIGN)
    agent.allow(STRANGER, "web")
    world.assert_served(lambda _: {FRIEND, STRANGER}, FRIEND, STRANGER, FOE)


def test_the_documentation_shows_this_matrix():
    """The times are left out, as they are of another run."""
    shown = [row[:-2] for row in figures.shown(DOCUMENT, TITLE)]
    assert shown == [row for outage in OUTAGES for row in wanted_rows(outage)]
