# SPDX-License-Identifier: Apache-2.0
"""From a change at the agent to the first handshake that obeys it: a busy and a quiet server.

The busy one has a visitor about every ten milliseconds, so it uses kept verdicts. The quiet one is
visited once, as soon as the agent has acknowledged the change, and then until it obeys.
"""

import ssl
import threading
import time

from cryptography import x509

import fleet
import stand_ins
from processes import wait_until
from traffic import Observer, new_root

PAUSE = 0.008  # between two visits to the busy server
SETTLED = 3.5  # seconds after a change until decisions are kept again
HASTY = {"LeafCertTTL": "5m", "SkipValidate": True, "CSRMaxPerSecond": 25}  # renewed as fast as it may sign
ROTATE_EVERY = 5  # renewals
SERVICE = "flipped"
CLIENT = "fickle"


def serial(visit):
    return x509.load_der_x509_certificate(visit.presented).serial_number


class Visitor:
    """Visits the busy server all the time."""

    def __init__(self, host, context):
        self.host, self.context = host, context
        self.visits = []
        self.over = threading.Event()
        self.thread = threading.Thread(target=self.run, daemon=True)
        self.thread.start()

    def run(self):
        while not self.over.wait(PAUSE):
            self.visits.append(self.host.visit(self.context))

    def since(self, moment):
        return [one for one in self.visits[-1000:] if one.ended > moment]

    def stop(self):
        self.over.set()
        self.thread.join()


class World:
    def __init__(self, programs, agent, binary):
        self.agent = agent
        config = programs.config(agent)
        certificate, key = stand_ins.make(programs, f"consul:leaf/{SERVICE}")
        file = programs.write(f"{SERVICE}.pem", certificate.read_text() + key.read_text())
        self.hosts = {name: fleet.Host(binary, programs.environment(config), [file], threads=4)
                      for name in ("busy", "quiet")}
        self.context = fleet.client(agent, CLIENT, programs.folder)
        self.context.maximum_version = ssl.TLSVersion.TLSv1_2  # a refused client hears it in the handshake
        for host in self.hosts.values():
            wait_until(lambda one=host: one.visit(self.context).served, "the server")
        self.visitor = Visitor(self.hosts["busy"], self.context)

    def close(self):
        self.visitor.stop()
        for host in self.hosts.values():
            host.kill()


def first_of_busy(world, since, obeys):
    """Return the seconds from then to the end of the first visit that obeys."""
    def seen():
        return next((one for one in world.visitor.since(since) if obeys(one)), None)

    first = wait_until(seen, "a visit that obeys")
    return first.ended - since


def first_of_quiet(world, since, obeys):
    while True:
        visit = world.hosts["quiet"].visit(world.context)
        if obeys(visit):
            return visit.ended - since


def disobedience(visits, since, until, obeys):
    """Return the age of the change at the begin of the last visit that did not obey it, or 0."""
    return max((one.began - since for one in visits
                if one.began > since and one.ended < until and not obeys(one)), default=0.0)


def intention(agent):
    """Return a function that sets an intention, and returns the moment of the agent's acknowledgement."""
    agent.intend("allow", CLIENT, SERVICE)
    identity = next(one["ID"] for one in agent.get("/v1/connect/intentions")
                    if (one["SourceName"], one["DestinationName"]) == (CLIENT, SERVICE))

    def change(action):
        agent.put(f"/v1/connect/intentions/{identity}",
                  {"SourceName": CLIENT, "DestinationName": SERVICE, "Action": action})
        return time.monotonic()

    return change


def intentions(world, count):
    """Return [{what, server, lag, late}] of so many changes: deny and allow in turn."""
    change, rows = intention(world.agent), []
    for number in range(count):
        action = ("deny", "allow")[number % 2]
        time.sleep(SETTLED)

        def obeys(visit, wanted=action == "allow"):
            return visit.served is wanted

        since = change(action)
        quiet = first_of_quiet(world, since, obeys)
        busy = first_of_busy(world, since, obeys)
        time.sleep(0.2)
        late = disobedience(world.visitor.since(since), since, time.monotonic(), obeys)
        rows.append({"what": action, "server": "busy", "lag": busy, "late": late})
        rows.append({"what": action, "server": "quiet", "lag": quiet, "late": 0.0})
    return rows


def leaves(world, count):
    """Return the same of renewals, some of them by a rotation of the CA. A change is a new leaf of the agent."""
    world.agent.allow(CLIENT, SERVICE)
    observer = Observer(world.agent, SERVICE)
    rows, done, rotated = [], 0, False
    new_root(world.agent, HASTY)  # its leaves are renewed at once
    known = observer.serial
    wait_until(lambda: observer.serial > known, "a leaf of the new root")
    while done < count:
        if done % ROTATE_EVERY == ROTATE_EVERY - 1 and not rotated:
            new_root(world.agent, HASTY)
            rotated = True
        mark = len(observer.leaves)
        wait_until(lambda: len(observer.leaves) > mark, "a renewal")
        since, wanted = observer.leaves[-1]

        def obeys(visit):
            return visit.served and serial(visit) >= wanted

        quiet = first_of_quiet(world, since, obeys)
        busy = first_of_busy(world, since, obeys)
        late = disobedience(world.visitor.since(since), since, time.monotonic(), obeys)
        what = "a rotation" if rotated else "a renewal"
        rows.append({"what": what, "server": "busy", "lag": busy, "late": late})
        rows.append({"what": what, "server": "quiet", "lag": quiet, "late": 0.0})
        done, rotated = done + 1, False
    return rows


def measure(programs, agent, binary, flips, renewed, warm):
    world = World(programs, agent, binary)
    try:
        time.sleep(warm)
        return intentions(world, flips) + leaves(world, renewed)
    finally:
        world.close()
