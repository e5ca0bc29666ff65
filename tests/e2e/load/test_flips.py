# SPDX-License-Identifier: Apache-2.0
"""An intention that flips under full load: no client is let in a moment after the agent's no.

Each of the services is a busy process, which uses kept verdicts. After a change it asks about each connection for
some seconds. Fast flips follow one another at once, so only the first of them meets kept verdicts. Before a warm
flip, the agent's log says that the services do not ask any more.

The test has few warm flips, and tools/flips as many as its argument says.
"""

import bisect
import os
import subprocess
import time
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

import pytest

from agent import Agent
from figures import lag, milliseconds, publish
from fleet import Host, stand_in_file
from processes import wait_until
from programs import CONFIG, PYTHON

pytestmark = pytest.mark.load

FAST = 100
WARM = int(os.environ.get("CONSUL_PROVIDER_FLIPS", "4"))
SERVICES = [f"flipped-{number}" for number in range(4)]
THREADS = 4  # of a service
CLIENTS = 4  # processes, of one identity
BUSY = 20  # handshakes of a service in a second, without which it asks about each
WINDOW = 2.5  # seconds in which its questions are counted: longer than a decision is used
LATE = 0.1  # seconds after the agent has said that it denies


class TalkativeAgent(Agent):
    """Its log tells of each request."""

    LOG = "debug"

    def questions(self):
        return self.process.written.count(b"url=/v1/agent/connect/authorize ")


@dataclass
class Connection:
    began: float
    ended: float
    service: str
    served: bool


class Record:
    """The connections that a client writes down, read as its record grows."""

    def __init__(self, file):
        self.file, self.read = file, 0

    def news(self):
        if not self.file.exists():
            return []
        with open(self.file, "rb") as stream:
            stream.seek(self.read)
            lines = stream.read().rpartition(b"\n")[0]
        self.read += len(lines) + bool(lines)
        fields = [line.split("\t") for line in lines.decode().split("\n") if line]
        return [Connection(float(began), float(ended), service, served == "1")
                for began, ended, service, served in fields]


@dataclass
class Flip:
    """One denial, from the agent's word for it to the moment before it was asked to allow again."""

    denied: float
    ended: float


class World:
    def __init__(self, agent, folder, module):
        self.agent, self.children, self.connections, self.flips = agent, [], [], []
        self.intention = agent.request("POST", "/v1/connect/intentions", self.wording("allow"))["ID"]
        config = folder / "openssl.cnf"
        config.write_text(CONFIG.format(module=module, settings=f"address = {agent.address}", more=""))
        environment = {"OPENSSL_CONF": str(config), "PATH": os.environ["PATH"]}
        binary = module.parents[1] / "tests" / "load_host"
        self.hosts = [Host(binary, environment, [stand_in_file(folder, service)], THREADS) for service in SERVICES]
        _, certificate, _, key, *_ = agent.leaf("fickle").files(folder, "fickle")
        self.records = [self.connect(folder / f"record-{number}", certificate, key) for number in range(CLIENTS)]

    def connect(self, file, certificate, key):
        targets = [f"{service}:{host.port}" for service, host in zip(SERVICES, self.hosts)]
        path = {"PATH": os.environ["PATH"], "PYTHONPATH": str(Path(__file__).parents[1])}
        self.children.append(subprocess.Popen(
            [PYTHON, "-B", Path(__file__).with_name("crowd.py"), certificate, key, file, *targets], env=path))
        return Record(file)

    def stop(self):
        for child in self.children:
            child.kill()
            child.wait()
        for host in self.hosts:
            host.kill()
        self.agent.stop()

    def news(self):
        assert all(child.poll() is None for child in self.children), "a client has ended"
        new = [one for record in self.records for one in record.news()]
        self.connections += new
        return new

    # -- events --

    @staticmethod
    def wording(action):
        """Return the words of one intention, which is each service's."""
        return {"SourceName": "fickle", "DestinationName": "*", "Action": action}

    def intend(self, action):
        """Set it, and return the moment at which the agent has acknowledged it."""
        self.agent.put(f"/v1/connect/intentions/{self.intention}", self.wording(action))
        return time.monotonic()

    def everywhere(self, since, served):
        """Wait until each service has had a connection that was begun from then on, and ended like this."""
        waiting = set(SERVICES)

        def all_have():
            waiting.difference_update(one.service for one in self.news() if one.began > since and one.served is served)
            return not waiting

        wait_until(all_have, f"{waiting} to be {'served' if served else 'refused'}")

    def flip(self):
        """Deny until each service has been tried later than it must have heard of it."""
        denied = self.intend("deny")
        self.everywhere(denied + LATE, False)
        self.flips.append(Flip(denied, time.monotonic()))
        self.everywhere(self.intend("allow"), True)

    def warm_up(self):
        """Wait until each service asks less often than it serves. Return the counts of that window."""
        def count():
            began, before = time.monotonic(), self.agent.questions()
            time.sleep(WINDOW)
            ended, asked = time.monotonic(), self.agent.questions() - before
            self.news()
            served = Counter(one.service for one in self.connections[-20000:]
                             if one.served and began < one.began and one.ended < ended)
            least = min(served[service] for service in SERVICES)
            # Fewer questions in all than connections of one service: no service asks about each of them.
            known = least >= BUSY * WINDOW and 0 < asked < least / 2
            return (asked, served.total()) if known else None

        return wait_until(count, "services that do not ask")

    # -- results --

    def during(self, flips, moment):
        """Return the connections that began, or ended, within each of them, in order."""
        ordered = sorted(self.connections, key=moment)
        moments = [moment(one) for one in ordered]
        for flip in flips:
            first, last = (bisect.bisect(moments, bound) for bound in (flip.denied, flip.ended))
            yield [one for one in ordered[first:last] if one.ended < flip.ended]


@pytest.fixture
def world(tmp_path, module):
    agent = TalkativeAgent(tmp_path / "agent")
    agent.wait_for_roots()
    one = World(agent, tmp_path, module)
    yield one
    one.stop()


def rows(what, flips, world):
    """Return the row of a table about some flips."""
    during = list(zip(flips, world.during(flips, lambda one: one.began)))
    # A connection counts by its end, however early it began: an admission so late has ended even later.
    ends = [one.ended - flip.denied for flip, those in zip(flips, world.during(flips, lambda one: one.ended))
            for one in those if one.served]
    slips = [one.began - flip.denied for flip, those in during for one in those if one.served]
    refused = [min(one.ended for one in those if not one.served and one.service == service) - flip.denied
               for flip, those in during for service in SERVICES]
    late = [end for end in ends if end > LATE]
    yield f"{what}: flips of {len(SERVICES)} services", len(flips)
    yield f"{what}: connections begun while the agent denied", sum(len(those) for _, those in during)
    yield f"{what}: the agent denies → end of the first handshake that is refused, median / p99", lag(refused)
    yield f"{what}: served, though begun after the agent denied", (
        f"{len(slips)}" + (f", the last {milliseconds(max(slips))} after" if slips else ""))
    yield f"{what}: end of the last one that was served, begun before or after", milliseconds(max(ends, default=0))
    yield f"{what}: served more than {milliseconds(LATE)} after it", f"{len(late)}"
    assert not late, f"{what}: {len(late)} of {len(ends)}, at most {milliseconds(max(late))} after the denial"


def test_flips(world):
    world.everywhere(time.monotonic(), True)
    used = []
    for _ in range(WARM):
        used.append(world.warm_up())
        world.flip()
    warm = list(rows("warm", world.flips, world))
    mark = len(world.flips)
    for _ in range(FAST):
        world.flip()
    fast = list(rows("fast", world.flips[mark:], world))
    seconds = world.connections[-1].ended - world.connections[0].began
    publish("flips", "An intention that flips under full load", [
        ("connections", f"{len(world.connections)}, {len(world.connections) / seconds:.0f} in a second"),
        ("before each warm flip, while nothing changed: connections, and questions to the agent",
         f"{sum(served for _, served in used)}, {sum(asked for asked, _ in used)}"),
        *warm,
        *fast,
    ])
