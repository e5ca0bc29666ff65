# SPDX-License-Identifier: Apache-2.0
"""TLS 1.0 and 1.1 where an administrator has turned them on. They are judged like the newer versions."""

import pytest

from ca import Authority

pytestmark = pytest.mark.applications

WEAK = ("-cipher", "ALL:@SECLEVEL=0")


@pytest.fixture(params=["-tls1", "-tls1_1"], ids=lambda option: option.lstrip("-"))
def version(request):
    return request.param


@pytest.fixture
def server(programs, agent, service):
    return programs.connect_server(service, *WEAK, config=programs.config(agent))


def test_a_server(programs, agent, service, server, version):
    def reaches(identity):
        files = identity.files(programs.folder, "client") if identity else []
        return programs.talk(server, version, *WEAK, *files)

    agent.allow(f"friend-{service}", service)
    agent.deny(f"foe-{service}", service)
    assert reaches(agent.leaf(f"friend-{service}")).talked
    assert reaches(None).refused
    assert reaches(Authority(agent.trust_domain, "Adopted Root").service("friend")).refused
    assert reaches(agent.leaf(f"foe-{service}")).refused
    agent.deny(f"friend-{service}", service)
    assert reaches(agent.leaf(f"friend-{service}")).refused


def test_a_client(programs, agent, service, version):
    """It wants this service, and no other."""
    config = programs.config(agent, service=f"client-{service}")
    agent.allow(f"client-{service}", service)
    for name, served in ((service, True), (f"other-{service}", False)):
        agent.allow(f"client-{service}", f"other-{service}")
        server = programs.connect_server(name, *WEAK, config=programs.config(agent))
        outcome = programs.talk(server, version, *WEAK, "-servername", f"{service}.service.consul", config=config)
        assert outcome.talked if served else outcome.silent, outcome


@pytest.mark.parametrize("weak", ["ADH:AECDH:@SECLEVEL=0", "PSK:@SECLEVEL=0", "eNULL:@SECLEVEL=0"])
def test_a_peer_that_needs_no_certificate(programs, agent, service, weak):
    server = programs.connect_server(service, "-cipher", "ALL:eNULL:@SECLEVEL=0", "-psk", "00ff",
                                     "-dhparam", dh_parameters(programs), config=programs.config(agent))
    outcome = programs.talk(server, "-tls1_2", "-cipher", weak, "-psk", "00ff")
    assert outcome.refused, outcome
    plain = programs.server("-nocert", "-cipher", "ALL:eNULL:@SECLEVEL=0", "-psk", "00ff", "-dhparam", dh_parameters(programs))
    if not weak.startswith("eNULL"):
        assert programs.talk(plain, "-tls1_2", "-cipher", weak, "-psk", "00ff").talked


def dh_parameters(programs):
    path = programs.path("dh.pem")
    assert programs.openssl("genpkey", "-genparam", "-algorithm", "DH", "-pkeyopt", "group:ffdhe2048", "-out", path).code == 0
    return path
