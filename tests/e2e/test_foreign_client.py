# SPDX-License-Identifier: Apache-2.0
"""Handshakes of tlslite-ng, an engine of another author, made wrong in all ways that `foreign_rows` has.

Each goes to a plain server and to a governed one of the same program. Their answers are the same, or
`foreign_reasons` says why not. No unauthorized peer gets an answer of the application.
"""

import pytest

import foreign_edits as edits
import foreign_rows
import foreign_servers
from conftest import programs_in
from foreign_client import CERTIFICATE, FINISHED, VERIFY, Attempt, chain_of, connect, key_of
from foreign_reasons import judge
from programs import openssl_version

pytestmark = pytest.mark.core

# nginx has all rows. Of s_server some are enough: tools/peers has the others.
AT_S_SERVER = ("the ", "a leaf", "no cert", "an empty", "stolen")
CASES = [("nginx", *case) for case in foreign_rows.CASES]
CASES += [("s_server", row, version) for row, version in foreign_rows.CASES if row.name.startswith(AT_S_SERVER)]


@pytest.fixture(scope="module")
def mesh(agent):
    return foreign_rows.mesh_of(agent, "foreign")


@pytest.fixture(scope="module")
def pairs(agent, module, mesh, tmp_path_factory):
    with programs_in(tmp_path_factory.mktemp("foreign"), module) as programs:
        made = [make(programs, agent, "foreign") for make in foreign_servers.MAKERS]
        yield {pair.name: pair for pair in made}


@pytest.mark.parametrize(("program", "row", "version"), CASES, ids=[f"{case[0]}-{case[2]}-{case[1].name}" for case in CASES])
def test_a_foreign_client(pairs, mesh, program, row, version):
    pair = pairs[program]
    plain, governed = (row.run(mesh, version, pair.ports[side], pair.ports["plain"]) for side in foreign_servers.SIDES)
    pair.answered += governed.served
    fault, _ = judge(row, plain, governed)
    assert not fault, f"{fault}: plain: {plain}; governed: {governed}"


def test_the_friend_is_served(pairs, mesh):
    """After all that, the servers are still there. This is the control, too."""
    for pair in pairs.values():
        for version in foreign_rows.BOTH:
            outcome = foreign_rows.ROWS[0].run(mesh, version, pair.ports["governed"], 0)
            pair.answered += outcome.served
            assert outcome.served, outcome


def test_no_request_was_answered_unseen(pairs):
    """The application has seen no request but those of the clients that were served."""
    pair = pairs["nginx"]
    assert pair.requests("governed") == pair.answered > 0


# -- a certificate that the server asks for after the handshake, TLS 1.3 --

WORD = b"a word after it\n"


def skipping(*kinds):
    return lambda mesh: edits.drop(*kinds)


LATE = {  # the identity of the second answer, the owner of its key, an edit, and the alert
    "its own": ("friend", "friend", None, None),
    "the denied service's": ("foe", "foe", None, "bad_certificate"),
    "the denied service's, without a proof": ("foe", "foe", skipping(VERIFY), "bad_certificate"),
    "the denied service's, its own behind": (
        "foe", "foe", lambda mesh: edits.certificates(foreign_rows.der(mesh.foe), foreign_rows.der(mesh.friend)), "bad_certificate"),
    "one of another CA": ("stranger", "stranger", None, "unknown_ca"),
    "its own, without the key": ("friend", "foe", None, "decrypt_error"),
    "its own, without a proof": ("friend", "friend", skipping(VERIFY), "unexpected_message"),
    "its own, without Finished": ("friend", "friend", skipping(FINISHED), "unexpected_message"),
    "an empty list": ("friend", "friend", lambda mesh: edits.empty_list(), "certificate_required"),
    "none": ("friend", "friend", skipping(CERTIFICATE), "unexpected_message"),
}
if openssl_version() >= (3, 5):  # its s_server says nothing to these, and waits
    del LATE["an empty list"], LATE["none"]


@pytest.fixture(scope="module")
def asking(agent, module, mesh, tmp_path_factory):
    """A governed s_server that asks for a certificate again where its input is "c"."""
    with programs_in(tmp_path_factory.mktemp("asking"), module) as programs:
        yield programs.connect_server("foreign", config=programs.config(agent))


@pytest.mark.parametrize("name", LATE)
def test_a_certificate_after_the_handshake(asking, mesh, name):
    party, owner, edit, alert = LATE[name]
    mark = asking.size()

    def answer(client):
        client._client_keypair = chain_of(getattr(mesh, party)), key_of(getattr(mesh, owner))
        client.edit = edit(mesh) if edit else client.edit
        client.say(edits.data(b"ready\n"))
        asking.wait_for("ready", mark)
        asking.say("c")
        asking.wait_for("SSL_do_handshake -> 1", mark)
        client.read(max=1, min=0)  # the request, and the answer to it
        client.say(edits.data(WORD))
        if not alert:
            client.mute()

    outcome = connect(asking.port, Attempt("TLS 1.3", mesh.friend, after=answer, settings={"cipherNames": ["aes128gcm"]}))
    asking.wait_for("CONNECTION CLOSED", mark)
    heard = WORD.decode().strip() in asking.output(mark)
    assert heard if alert is None else str(outcome) == f"alert {alert}" and not heard, (outcome, asking.output(mark))
