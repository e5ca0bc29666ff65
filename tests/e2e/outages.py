# SPDX-License-Identifier: Apache-2.0
"""Ways in which a real agent is lost, one class each: how it begins, and how it ends."""

import contextlib
import signal
import socket
from pathlib import Path

import cluster
import slots
from agent import AgentError
from fake_agent import AUTHORIZE, LEAF, ROOTS, raw
from processes import wait_until
from relay import Relay

EVERYTHING = (ROOTS, LEAF, AUTHORIZE)

# The agent's decisions during an outage.
GONE = "gone"  # no decisions: the agent cannot be asked
CROWDED = "crowded"  # no decisions: the agent is there, and cannot be asked by this host
REFUSING = "refusing"  # no decisions, and it says so
ANSWERING = "answering"  # all decisions: something else is out


class Outage:
    """The processes under test ask `address`; intentions are set at `elsewhere`, also meanwhile."""

    title = ""
    leaves = GONE
    said = ""  # the words of a refusal about it in the log
    can_deny = True  # while it lasts
    is_new = False  # the agent that comes back is another one
    settings = {}

    def __init__(self, folder):
        self.folder = folder
        self.agents = []
        self.ended = True
        self.build()

    def start(self, make, name, *arguments, **config):
        agent = make(self.folder / name, *arguments, **config)
        self.agents.append(agent)
        agent.wait_for_roots()
        return agent

    def build(self):
        self.elsewhere = self.start(cluster.server, "server")
        self.local = self.start(cluster.client, "local", self.elsewhere, **self.config())
        self.address = self.local.address

    def config(self):
        return {}

    def begin(self):
        raise NotImplementedError

    def end(self):
        raise NotImplementedError

    def answers(self, source):
        """Return whether the agent itself would let this client in now."""
        try:
            return self.ended and self.local.allows(source, "web")
        except (OSError, AgentError):
            return False

    def close(self):
        for agent in self.agents:
            agent.stop()


class Alone(Outage):
    """The local agent is a server, and there is no other."""

    def build(self):
        self.local = self.elsewhere = self.start(cluster.server, "server", **self.config())
        self.address = self.local.address


def hang(process):
    """Stop it, and wait for all its threads: each of them runs on until it is told."""
    process.signal(signal.SIGSTOP)
    tasks = Path(f"/proc/{process.child.pid}/task")
    wait_until(lambda: all(
        (task / "stat").read_text().rpartition(")")[2].split()[0] == "T" for task in tasks.iterdir()), "its threads")


@contextlib.contextmanager
def hung(agent):
    """Stop an agent for a time, as Hung does."""
    hang(agent.process)
    try:
        yield
    finally:
        agent.process.signal(signal.SIGCONT)


class Stopped(Outage):
    title = "stopped"
    said = "agent unreachable:.*Failed to connect"

    def begin(self):
        self.local.stop()

    def end(self):
        self.local.launch()


class Restarted(Alone):
    title = "restarted with its data"
    said = Stopped.said
    can_deny = False
    begin, end = Stopped.begin, Stopped.end


class RestartedEmpty(Restarted):
    title = "restarted empty: a new trust domain"
    is_new = True

    def end(self):
        self.local.forget()
        self.local.launch()


class Hung(Outage):
    title = "hung (SIGSTOP)"
    said = "agent did not answer in time:"

    def begin(self):
        hang(self.local.process)

    def end(self):
        self.local.process.signal(signal.SIGCONT)


class LeaderLost(Outage):
    title = "its leader lost"
    leaves = ANSWERING  # its cache is its word
    can_deny = False

    def begin(self):
        self.elsewhere.stop()

    def end(self):
        self.elsewhere.launch()
        wait_until(self.local.leads, "the leader, from the local agent")


class LeaderLostAndRestarted(LeaderLost):
    title = "its leader lost, and itself restarted"
    leaves = GONE
    said = "HTTP status 500: No known Consul servers"

    def begin(self):
        self.elsewhere.stop()
        self.local.stop()
        self.local.spawn()
        wait_until(self.local_listens, "the local agent")

    def local_listens(self):
        try:
            return self.local.get("/v1/agent/self")
        except (OSError, AgentError):
            return None


class Limited(Outage):
    title = "over its limit of calls to servers (`rpc_rate`)"
    leaves = ANSWERING

    def begin(self):
        self.local.limit()
        self.local.reload()
        wait_until(self.local.is_limited, "the limit")

    def end(self):
        self.local.unlimit()
        self.local.reload()


class LimitedAndRestarted(Limited):
    title = "over its limit of calls to servers, and itself restarted"
    leaves = CROWDED
    said = "HTTP status 429: no text"

    def begin(self):
        self.local.limit()
        self.local.stop()
        self.local.spawn()
        wait_until(self.local.is_limited, "the limit")


class Exhausted(Outage):
    title = "out of connections (`http_max_conns_per_client`)"
    leaves = CROWDED
    said = "agent unreachable: "
    most = 24

    def config(self):
        return {"limits": {"http_max_conns_per_client": self.most}}

    def begin(self):
        """Take all for good: no process watches, so no watch gives up a connection for others."""
        self.held = slots.take_all(self.local.address)
        self.held += cluster.exhaust(self.local, self.connect, self.most)

    def connect(self):
        host, _, port = self.local.address.partition(":")
        return socket.create_connection((host, int(port)))

    def end(self):
        for one in self.held:
            one.close()


class Relayed(Alone):
    """An outage that a real agent of this version does not report, reported in front of it."""

    def build(self):
        super().build()
        self.relay = Relay(self.local)
        self.address = self.relay.address

    def begin(self):
        self.ended = False
        self.interfere()

    def interfere(self):
        raise NotImplementedError

    def end(self):
        self.relay.delay(0)
        self.relay.answer_all(None, *EVERYTHING)
        self.ended = True

    def close(self):
        self.relay.stop()
        super().close()


class Slow(Relayed):
    title = "slow, each answer after 100 ms"
    settings = {"authorize_timeout": "3s"}  # a child asks for three answers, and a busy host may hold it up
    leaves = ANSWERING

    def interfere(self):
        self.relay.delay(0.1, *EVERYTHING)


class TooSlow(Relayed):
    title = "too slow, each answer after 1.5 s"
    said = Hung.said

    def interfere(self):
        self.relay.delay(1.5, *EVERYTHING)


class Failing(Relayed):
    """Watches are told of it, too, and vouch for nothing any more."""

    settings = {"watch_wait": "200ms"}
    answer = None
    told = 6  # answers for each kind of watch: each process that watches had one of them

    def interfere(self):
        mark = len(self.relay.requests)
        self.relay.answer_all(self.answer, *EVERYTHING)
        wait_until(lambda: all(
            sum(kind in request.path for request in self.relay.requests[mark:]) >= self.told
            for kind in (ROOTS, LEAF)), "the watches to be told")


class Status429(Failing):
    title = "answers 429, without text"
    leaves = CROWDED
    said = "HTTP status 429"
    answer = staticmethod(raw(429))


class Status500(Failing):
    title = "answers 500 No cluster leader"
    said = "HTTP status 500: No cluster leader"
    answer = staticmethod(raw(500, "No cluster leader"))


class Status503(Failing):
    title = "answers 503"
    said = "HTTP status 503: "
    answer = staticmethod(raw(503, "no leader"))


RULES = 'service "web" { policy = "write" } service "api" { policy = "write" }'


class Revoked(Alone):
    title = "ACL token revoked"
    leaves = REFUSING
    said = "HTTP status 403: ACL not found"

    def config(self):
        return {"acl": {"enabled": True, "default_policy": "deny"}}

    def build(self):
        super().build()
        self.local.bootstrap()
        self.local.put("/v1/acl/policy", {"Name": "web", "Rules": RULES})
        self.file = self.folder / "token"
        self.settings = {"token_file": self.file}
        self.issue()

    def issue(self):
        """Write a new token to the file."""
        self.token = self.local.put("/v1/acl/token", {"Policies": [{"Name": "web"}]})
        new = self.folder / "new"
        new.write_text(self.token["SecretID"] + "\n")
        new.rename(self.file)

    def revoke(self, token):
        self.local.request("DELETE", f"/v1/acl/token/{token['AccessorID']}")

    def begin(self):
        self.ended = False
        self.revoke(self.token)

    def end(self):
        self.issue()
        self.ended = True


class Rotated(Revoked):
    title = "ACL token rotated in its file, the old one revoked"
    leaves = ANSWERING
    said = ""

    def begin(self):
        old = self.token
        self.issue()
        self.revoke(old)

    def end(self):
        pass


OUTAGES = [Stopped, Restarted, RestartedEmpty, Hung, Slow, TooSlow, Status429, Status500, Status503, Exhausted,
           LeaderLost, LeaderLostAndRestarted, Limited, LimitedAndRestarted, Revoked, Rotated]
