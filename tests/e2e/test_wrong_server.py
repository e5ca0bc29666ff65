# SPDX-License-Identifier: Apache-2.0
"""A server on tlslite-ng, an engine of another author, whose handshakes are wrong in all ways of `wrong_server_rows`.

A governed client meets it. It takes no wrong server for the right one, says no byte to it, and ends with an error. With
a right one it talks. tools/peers has a plain client beside it.
"""

import pytest

import wrong_server_rows as rows
from conftest import programs_in

pytestmark = pytest.mark.core


@pytest.fixture(scope="module")
def parties(agent):
    return rows.parties_of(agent)


@pytest.fixture(scope="module")
def client(agent, module, tmp_path_factory):
    with programs_in(tmp_path_factory.mktemp("wrong-server"), module) as programs:
        yield rows.governed_client(programs, agent)


@pytest.mark.parametrize(("row", "version"), rows.CASES, ids=[f"{version}-{row.name}" for row, version in rows.CASES])
def test_a_wrong_server(client, parties, row, version):
    seen = row.run(parties, version, client)
    assert not rows.fault(row, seen), f"{rows.fault(row, seen)}: {seen}; the client says {seen.says}"


def test_the_right_server_is_talked_to(client, parties):
    """After all that, the client is still there. This is the control, too."""
    for version in rows.BOTH:
        assert rows.ROWS[0].run(parties, version, client).served
