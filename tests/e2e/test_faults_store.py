# SPDX-License-Identifier: Apache-2.0
"""A fault in the agent's answer to a store URI gives one clear error, in time."""

import re
import socket

import pytest

from fake_agent import LEAF, ROOTS, FakeAgent, closed_port, redirect
from faults import FAULTS, TIME
from programs import SHORT, SHORT_TIMEOUTS, SLACK

pytestmark = pytest.mark.faults

URIS = {ROOTS: "consul:roots", LEAF: "consul:leaf/web"}


def fails(programs, address, uri, cause, **settings):
    """Check that the program fails with one error that names the URI and the cause."""
    config = programs.config(address, **{**SHORT_TIMEOUTS, **settings})
    result = programs.storeutl(uri, config=config)
    assert result.code != 0
    assert "BEGIN" not in result.stdout
    assert len(result.reasons) == 1, result.stderr
    assert uri in result.reasons[0]
    assert re.search(cause, result.reasons[0]), result.stderr
    return result


@pytest.mark.parametrize("fault", FAULTS)
@pytest.mark.parametrize("kind", URIS, ids=["roots", "leaf"])
def test_a_bad_answer_is_one_error(programs, fake, kind, fault):
    answer, cause = FAULTS[fault]
    fake.answer(kind, answer)
    result = fails(programs, fake, URIS[kind], cause)
    assert fake.address in result.reasons[0]
    assert kind in result.reasons[0]
    assert result.elapsed < SHORT + SLACK


@pytest.mark.parametrize("fault", ["500", "no body", "closed", "silence"])
def test_a_leaf_needs_its_roots(programs, fake, fault):
    """It is not given away unverified."""
    answer, cause = FAULTS[fault]
    fake.answer(ROOTS, answer)
    fails(programs, fake, "consul:leaf/web", cause)


@pytest.mark.parametrize("uri", URIS.values())
def test_nobody_listens(programs, uri):
    with closed_port() as holder:
        address = "127.0.0.1:%d" % holder.getsockname()[1]
        result = fails(programs, address, uri, "unreachable")
        assert address in result.reasons[0]
        assert result.elapsed < SLACK


@pytest.mark.parametrize("uri", URIS.values())
def test_nobody_accepts(programs, uri):
    """A listener whose queue is full: the connection itself takes too long."""
    with closed_port() as holder:
        holder.listen(0)
        address = holder.getsockname()
        crowd = [connecting(address) for _ in range(4)]
        try:
            result = fails(programs, "%s:%d" % address, uri, TIME, connect_timeout="300ms")
            assert result.elapsed < SHORT + SLACK
        finally:
            for one in crowd:
                one.close()


def connecting(address):
    one = socket.socket()
    one.setblocking(False)
    one.connect_ex(address)
    return one


@pytest.mark.parametrize("kind", URIS, ids=["roots", "leaf"])
def test_a_redirect_is_not_followed(programs, fake, kind):
    """The token and the trust are the agent's, not another host's."""
    other = FakeAgent(fake.authority)
    try:
        fake.answer(kind, redirect(f"http://{other.address}{kind}"))
        fails(programs, fake, URIS[kind], "HTTP status 302")
        assert other.requests == []
    finally:
        other.stop()


@pytest.mark.parametrize("program", [
    ["x509", "-in", "consul:leaf/web", "-noout"], ["pkey", "-in", "consul:leaf/web", "-noout"],
    ["s_client", "-connect", "127.0.0.1:1", "-cert", "consul:leaf/web", "-key", "consul:leaf/web"],
    ["s_server", "-accept", "127.0.0.1:0", "-cert", "consul:leaf/web", "-key", "consul:leaf/web"],
    ["verify", "-CAstore", "consul:roots", "leaf.pem"],
], ids=lambda argv: argv[0])
def test_programs_tell_the_cause(programs, fake, program):
    """Each of OpenSSL's programs that take a URI ends and shows the agent's own words."""
    (programs.folder / "leaf.pem").write_text(fake.authority.service("web").certificate)
    for kind in URIS:
        fake.answer(kind, FAULTS["500"][0])
    result = programs.openssl(*program, config=programs.config(fake), stdin=b"")
    assert result.code != 0
    assert "HTTP status 500: No cluster leader" in result.stderr
