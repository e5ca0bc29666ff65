# SPDX-License-Identifier: Apache-2.0
"""Options that displace callbacks or weaken s_server let no client in without a decision."""

import os

import pytest

from ca import rsa_key, self_signed, service_uri
from programs import DTLS12, TLS12, TLS13, VERSIONS

PSK = "0123456789abcdef"
ANONYMOUS = "ALL:aNULL:@SECLEVEL=0"
WEAK_OPTIONS = [
    ["-msg"], ["-trace"], ["-security_debug"], ["-security_debug_verbose"],
    ["-msg", "-security_debug"], ["-trace", "-security_debug_verbose"], ["-debug"], ["-state"],
    ["-verify", "0"], ["-verify", "9"], ["-Verify", "0"], ["-verify", "1", "-verify_quiet"],
    ["-Verify", "1", "-no_check_time", "-partial_chain"], ["-verify_return_error"],
    ["-no_ticket"], ["-no_cache"], ["-ext_cache"], ["-num_tickets", "5"], ["-serverpref"],
    ["-no_ca_names"], ["-tlsextdebug"], ["-status"], ["-nbio"], ["-read_buf", "4096"],
    ["-alpn", "h2,http/1.1"], ["-bugs"], ["-legacy_renegotiation"], ["-client_renegotiation"],
    ["-psk", PSK], ["-psk", PSK, "-psk_hint", "anyone"], ["-psk", PSK, "-msg", "-security_debug"],
    ["-cipher", ANONYMOUS], ["-cipher", ANONYMOUS, "-psk", PSK], ["-cipher", "ALL:PSK:" + ANONYMOUS],
]

if not os.environ.get("CONSUL_PROVIDER_PRELOAD"):
    # OpenSSL's coroutines have 32 kB of stack, too little for a sanitizer's larger frames.
    WEAK_OPTIONS.append(["-async"])


@pytest.fixture(params=VERSIONS, ids=lambda option: option.lstrip("-"))
def version(request):
    return request.param


def uncertified(agent, folder, version):
    """Return the ways in for clients without a leaf, as s_client options."""
    impostor = self_signed([service_uri(agent.trust_domain, "friend")])
    ways = [[], impostor.files(folder, "impostor"), ["-psk", PSK]]
    if version == TLS12:
        ways += [["-cipher", "PSK", "-psk", PSK], ["-cipher", "aNULL:@SECLEVEL=0"]]
    else:
        ways += [["-enable_pha"]]  # a client that offers to be asked later
    return ways


@pytest.mark.parametrize("options", WEAK_OPTIONS, ids=" ".join)
def test_the_decision_stands(programs, agent, service, version, options):
    """No certificate, no leaf, no permission: out; a friend: in."""
    server = programs.connect_server(service, *options, config=programs.config(agent))
    foe, friend = f"foe-{service}", f"friend-{service}"
    agent.deny(foe, service)
    agent.allow(friend, service)
    for way in uncertified(agent, programs.folder, version):
        outcome = programs.talk(server, version, *way)
        assert outcome.refused, f"{way}: {outcome}"
    outcome = programs.talk(server, version, *agent.leaf(foe).files(programs.folder, "foe"))
    assert outcome.refused, outcome
    outcome = programs.talk(server, version, *agent.leaf(friend).files(programs.folder, "friend"))
    assert outcome.talked, outcome


@pytest.mark.parametrize("options", [[], ["-msg"], ["-security_debug"], ["-msg", "-security_debug"]],
                         ids=" ".join)
def test_a_psk_session_is_no_way_in(programs, agent, service, options):
    """A TLS 1.3 session given to both sides as a pre-shared key."""
    leaf = agent.leaf(service).files(programs.folder, "plain")
    session = programs.path("session")
    plain = programs.server(*leaf, TLS13, "-max_early_data", "16384")
    assert programs.talk(plain, TLS13, "-sess_out", session).talked
    psk = ["-psk_session", session]
    assert programs.talk(programs.server(*leaf, TLS13, *psk), TLS13, *psk).talked  # the control
    server = programs.connect_server(service, TLS13, *psk, *options, config=programs.config(agent))
    outcome = programs.talk(server, TLS13, *psk)
    assert outcome.refused, outcome


@pytest.mark.parametrize("options", [[], ["-msg", "-security_debug"]], ids=" ".join)
def test_early_data_does_not_come_before_the_decision(programs, agent, service, options):
    """It does not come with a session of an allowed past, or with a pre-shared one."""
    source = f"fickle-{service}"
    early, session = programs.write("early", "early words\n"), programs.path("session")
    leaf = agent.leaf(source).files(programs.folder, "client")
    server = programs.connect_server(
        service, TLS13, "-early_data", "-no_anti_replay", *options, config=programs.config(agent))
    assert programs.talk(server, TLS13, *leaf, "-sess_out", session).talked
    agent.deny(source, service)
    resume = ["-sess_in", session, "-early_data", early] if session.exists() else []
    outcome = programs.talk(server, TLS13, *leaf, *resume)
    assert outcome.refused, outcome
    assert "early words" not in outcome.server


def test_a_name_that_selects_the_leaf_is_governed(programs, agent, service, version):
    """SNI switches to another SSL_CTX, whose certificate is the Connect leaf."""
    public = self_signed(subject="public").files(programs.folder, "public")
    uri = f"consul:leaf/{service}"
    server = programs.server(
        *public, "-servername", "mesh.example", "-cert2", uri, "-key2", uri,
        config=programs.config(agent))
    name = ["-servername", "mesh.example"]
    outcome = programs.talk(server, version, *name)
    assert outcome.refused, outcome
    agent.deny(f"foe-{service}", service)
    foe = agent.leaf(f"foe-{service}").files(programs.folder, "foe")
    assert programs.talk(server, version, *name, *foe).refused
    friend = agent.leaf(f"friend-{service}").files(programs.folder, "friend")
    assert programs.talk(server, version, *name, *friend).talked
    assert programs.talk(server, version, "-servername", "public.example").talked


@pytest.mark.parametrize("options", [
    [TLS12], [TLS13], [TLS12, "-cipher", "aRSA"], [TLS13, "-sigalgs", "rsa_pss_rsae_sha256"],
], ids=" ".join)
def test_a_second_certificate_is_no_way_around(programs, agent, service, options):
    """A server that has a leaf is a Connect endpoint, whichever certificate a client would choose."""
    public = self_signed(key=rsa_key(), subject="public").files(programs.folder, "public")
    uri = f"consul:leaf/{service}"
    server = programs.server(*public, "-dcert", uri, "-dkey", uri, config=programs.config(agent))
    outcome = programs.talk(server, *options)
    assert outcome.refused, outcome
    friend = agent.authority.service("friend", key=rsa_key()).files(programs.folder, "friend")
    outcome = programs.talk(server, *options, *friend)
    if len(options) == 1:
        assert outcome.talked
    else:  # the server presents its live leaf alone, and this leaf has an EC key
        assert outcome.refused


def test_datagrams_are_governed_too(programs, agent, service):
    server = programs.connect_server(service, DTLS12, config=programs.config(agent))
    agent.deny(f"foe-{service}", service)
    foe = agent.leaf(f"foe-{service}").files(programs.folder, "foe")
    stranger = self_signed().files(programs.folder, "stranger")
    for client in ([], stranger, foe):
        outcome = programs.talk(server, DTLS12, *client)
        assert outcome.refused, outcome
    friend = agent.leaf(f"friend-{service}").files(programs.folder, "friend")
    assert programs.talk(server, DTLS12, *friend).talked
