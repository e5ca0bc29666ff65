# SPDX-License-Identifier: Apache-2.0
"""Without the provider, the same programs do all that they must not do with it.

The controls show that the other tests can fail.
"""

import pytest

from ca import Authority, self_signed
from programs import TLS12, TLS13, VERSIONS


@pytest.fixture
def stranger(tmp_path):
    return self_signed().files(tmp_path, "stranger")


@pytest.mark.parametrize("version", VERSIONS)
def test_anyone_is_served(programs, agent, service, version):
    """A plain s_server with a Connect leaf serves a client that has no certificate."""
    server = programs.server(*agent.leaf(service).files(programs.folder, "leaf"))
    assert programs.talk(server, version).talked


@pytest.mark.parametrize("version", VERSIONS)
def test_a_demanded_certificate_may_be_anyones(programs, agent, service, stranger, version):
    """Asking without verifying is not enough, as s_server's -verify shows."""
    leaf = agent.leaf(service).files(programs.folder, "leaf")
    server = programs.server(*leaf, "-verify", "1")
    assert programs.talk(server, version, *stranger).talked


@pytest.mark.parametrize("version", VERSIONS)
def test_a_client_talks_to_an_impostor(programs, agent, service, version):
    """A plain s_client with a Connect leaf talks to a server from another CA."""
    impostor = Authority(agent.trust_domain).service(service).files(programs.folder, "impostor")
    leaf = agent.leaf(service).files(programs.folder, "leaf")
    assert programs.talk(programs.server(*impostor), version, *leaf).talked


@pytest.mark.parametrize("version", VERSIONS)
def test_sessions_resume(programs, agent, service, version):
    leaf = agent.leaf(service).files(programs.folder, "leaf")
    session = programs.path("session")
    server = programs.server(*leaf)
    assert not programs.talk(server, version, "-sess_out", session).reused
    outcome = programs.talk(server, version, "-sess_in", session)
    assert outcome.reused and outcome.talked


def test_a_pre_shared_key_needs_no_certificate(programs, agent, service):
    leaf = agent.leaf(service).files(programs.folder, "leaf")
    psk = ["-psk", "0123456789abcdef", "-psk_identity", "anyone"]
    server = programs.server(*leaf, *psk)
    assert programs.talk(server, TLS13, *psk).talked
    assert programs.talk(server, TLS12, "-cipher", "PSK", *psk).talked


def test_anonymous_ciphers_need_no_certificate(programs, agent, service):
    leaf = agent.leaf(service).files(programs.folder, "leaf")
    anonymous = [TLS12, "-cipher", "aNULL:@SECLEVEL=0"]
    server = programs.server(*leaf, "-cipher", "ALL:aNULL:@SECLEVEL=0")
    assert programs.talk(server, *anonymous).talked


def test_early_data_is_read(programs, agent, service):
    leaf = agent.leaf(service).files(programs.folder, "leaf")
    early, session = programs.write("early", "early words\n"), programs.path("session")
    server = programs.server(*leaf, TLS13, "-early_data", "-no_anti_replay")
    assert programs.talk(server, TLS13, "-sess_out", session).talked
    outcome = programs.talk(server, TLS13, "-sess_in", session, "-early_data", early)
    assert "early words" in outcome.server
