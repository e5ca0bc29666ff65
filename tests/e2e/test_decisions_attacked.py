# SPDX-License-Identifier: Apache-2.0
"""A client that is let in unasked, while anything about it, its world or the time may change."""

import time
from pathlib import Path

import pytest

import stand_ins
from ca import TRADITIONAL, Authority, Identity, ec_key
from fake_agent import AUTHORIZE, INTENTIONS, LEAF, ROOTS, TRUST_DOMAIN
from processes import wait_until
from programs import PYTHON, SHORT_TIMEOUTS
from test_decisions import AGE, NO, YES, World, fake, only_the_list_blocks  # noqa: F401
from test_outage_validity import expiry, in_seconds

pytestmark = pytest.mark.faults

HOUR = 3600
LIFE = 15  # seconds: some of them until a decision is known, in a process that is busy


def with_chain(identity, chain):
    """Return the same identity with these certificates between it and a root."""
    return Identity(identity.certificate + chain, identity.key)


def test_the_same_leaf_with_other_intermediates(programs, fake):
    between = fake.authority.intermediate()
    friend = between.service("friend", key=ec_key())
    world = World(programs, fake, "web", with_chain(friend, between.chain), watch_wait="1s").settle()
    foreign = Authority(TRUST_DOMAIN).intermediate()  # of the same name
    sibling = fake.authority.intermediate()
    for chain in ("", foreign.chain, sibling.chain):
        assert not world.served(world.client(with_chain(friend, chain)))
    world.settle()
    renewed = world.client(with_chain(friend, between.renewed().chain))  # another chain, which is as good
    assert not world.unasked(renewed)
    wait_until(lambda: world.unasked(renewed), "a decision about that one")


def test_a_leaf_that_expires_while_it_is_known(programs, fake):
    world = World(programs, fake, "web", fake.authority.service("patient"), watch_wait="1s").settle()
    identity = fake.authority.service("friend", ends=in_seconds(LIFE))
    end, friend = expiry(identity.x509), world.client(identity)
    wait_until(lambda: world.unasked(friend), "a decision that is known")
    asked, visits = world.questions(), []

    def is_over():
        began = time.time()
        visits.append((began, world.served(friend), time.time()))
        return began > end + 1.5

    wait_until(is_over, "the end of its validity")
    assert not any(served for began, served, _ in visits if began >= end)
    assert all(served for _, served, ended in visits if ended <= end - 1.5)  # whole seconds
    assert 0 < world.questions() - asked < sum(served for _, served, _ in visits) / 2  # it was known


def test_a_root_that_is_withdrawn_while_its_clients_are_known(programs, fake):
    other = Authority(TRUST_DOMAIN, "Other Root")
    roots = fake.roots
    fake.roots = lambda: {**roots(), "Roots": [fake.root(), fake.root(other)]}
    world = World(programs, fake, "web", other.service("friend"), watch_wait="1s").settle()
    both, fake.roots = fake.roots, roots
    world.change(ROOTS)
    assert not world.served()
    fake.roots = both
    world.change(ROOTS)
    assert world.served()


class SteppedWorld(World):
    """A busy server with a wall clock that follows a file."""

    def __init__(self, programs, agent, friend, **settings):
        self.file = programs.path("clock")
        clock = programs.module.parents[1] / "tests" / "stepped_clock.so"
        preload = " ".join(filter(None, [programs.preload, str(clock)]))
        super().__init__(programs, agent, "web", friend, watch_wait="1s", **settings,
                         env={"LD_PRELOAD": preload, "STEPPED_CLOCK": str(self.file)})

    def step(self, seconds, slept=0):
        new = self.file.with_suffix(".new")
        new.write_text(f"{seconds} {slept}")
        new.rename(self.file)


def test_a_clock_that_is_stepped(programs, fake):
    """Times of certificates count by the new clock at once. The age of a decision ignores this clock."""
    hour = in_seconds(HOUR)
    world = SteppedWorld(programs, fake, fake.authority.service("friend", begins=-hour, ends=hour))
    patient = world.client(fake.authority.service("friend"))
    world.settle()
    for step in (2 * HOUR, -2 * HOUR):
        world.step(step)
        assert not world.served()
        assert world.served(patient)
        world.step(0)
        assert world.served()
    for step in (-HOUR // 2, HOUR // 2):
        world.agent.answer(AUTHORIZE, YES)
        world.settle()
        world.step(step)
        world.agent.answer(AUTHORIZE, NO)
        assert world.refuses_by(AGE)


def test_a_machine_that_sleeps(programs, fake):
    """A decision and a watch's word age while the machine sleeps, however little both have run."""
    world = SteppedWorld(programs, fake, fake.authority.service("friend"))
    for slept in (AGE, HOUR):
        world.agent.answer(AUTHORIZE, YES)
        world.settle()
        world.agent.answer(AUTHORIZE, NO)
        world.step(0, slept)
        assert not world.served()


def test_an_agent_in_a_black_hole(programs, fake):
    """Neither the watch nor a handshake hears of it again. Earlier decisions serve no longer than ever."""
    world = World(programs, fake, "web", fake.authority.service("friend"), watch_wait="10s", **SHORT_TIMEOUTS).settle()
    visits = []
    fake.vanish()
    gone = time.monotonic()

    def is_over():
        visits.append((time.monotonic() - gone, world.served()))
        return visits[-1][0] > 3 * AGE

    wait_until(is_over, "some seconds")
    assert not [began for began, served in visits if served and began > AGE], visits


class TwoServices(World):
    """In one process: `web`, which is known to let its friend in, and `db`."""

    def command(self):
        files = [file for service in ("web", "db") for file in stand_ins.make(self.programs, f"consul:leaf/{service}")]
        return [PYTHON, Path(__file__).with_name("several.py"), *files]

    def choose(self, service):
        ports = self.server.wait_for(r"PORTS (\d+) (\d+)")
        self.server.port = int(ports.group(1 if service == "web" else 2))
        return self


@pytest.mark.parametrize("allowed, denied", [("web", "db"), ("db", "web")])
def test_two_services_in_one_process(programs, fake, allowed, denied):
    """One watch is good for both, but a verdict for one says nothing about the other."""
    only_the_list_blocks(fake)
    fake.answer(AUTHORIZE, lambda connection: (
        YES if connection.request.json["Target"] == allowed else NO)(connection))
    world = TwoServices(programs, fake, "web", fake.authority.service("friend"), watch_wait="1s")
    for _ in range(3):
        world.choose(allowed).settle()
        for _ in range(5):
            assert not world.choose(denied).served()
    assert {request.path for request in fake.seen(INTENTIONS)} >= {INTENTIONS}


@pytest.mark.parametrize("settings, path", [
    ({"namespace": "team"}, "/ns/team/dc/dc1/svc/web"),
    ({"partition": "part"}, "/ap/part/ns/default/dc/dc1/svc/web"),
    ({}, "/ns/team/dc/dc1/svc/web"),
], ids=["namespace", "partition", "of the leaf"])
def test_a_list_that_need_not_show_everything(programs, fake, settings, path):
    """The list of a namespace is not watched, but the leaf is: intentions for any namespace may be missing there."""
    only_the_list_blocks(fake)
    fake.leaves["web"] = fake.authority.issue([f"spiffe://{TRUST_DOMAIN}{path}"], form=TRADITIONAL)
    world = World(programs, fake, "web", fake.authority.service("friend"), watch_wait="1s", **settings)

    def watched():
        """Return what is watched instead of the intentions of the service, which the agent did not let it watch."""
        assert not world.unasked()
        requests = list(fake.requests)
        tried = [number for number, request in enumerate(requests) if request.path == f"{INTENTIONS}/match"]
        return tried and {
            request.path for request in requests[tried[0] + 1:]
            if request.path == INTENTIONS or request.path.startswith(LEAF) and request.query.get("wait") == "1000ms"}

    wait_until(watched, "another watch")
    assert watched() == {LEAF + "web"}
