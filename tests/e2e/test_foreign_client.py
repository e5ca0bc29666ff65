# SPDX-License-Identifier: Apache-2.0
"""Handshakes of tlslite-ng, an engine of another author, made wrong in all ways that `foreign_rows` has.

Each goes to a plain server and to a governed one of the same program. Their answers are the same, or
`foreign_reasons` says why not. No unauthorized peer gets an answer of the application.
"""

import pytest

import foreign_rows
import foreign_servers
from conftest import programs_in
from foreign_reasons import judge

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
