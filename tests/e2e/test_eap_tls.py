# SPDX-License-Identifier: Apache-2.0
"""EAP-TLS: FreeRADIUS governs who comes into a network. The client is eapol_test, without the provider."""

from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

import applications
import endpoints
from applications import freeradius
from ca import Authority, self_signed
from conftest import programs_in

pytestmark = [
    pytest.mark.applications,
    pytest.mark.skipif(not applications.can_run(freeradius), reason="its packages are not installed here"),
]

CROWD = 24

# A certificate is all that is asked for. TTLS asks for a password within the TLS of the same settings.
NETWORK = """\
network={{
    key_mgmt=WPA-EAP
    identity="{user}"
    phase1="tls_disable_tlsv1_3={old}"
    {method}
}}
"""
TLS = 'eap=TLS\n    client_cert="{certificate}"\n    private_key="{key}"'
TTLS = f'eap=TTLS\n    phase2="auth=PAP"\n    password="{freeradius.PASSWORD}"'


@dataclass
class Network:
    """A FreeRADIUS, and devices that want to come in."""

    programs: Any
    process: Any
    service: str = ""
    log: Any = None

    def admits(self, device, *more, config=None):
        """Let a device ask, by a file of device(). With a configuration, the provider is in it."""
        result = self.programs.run([
            "eapol_test", "-n", "-c", device, "-p", self.process.port, "-s", freeradius.SECRET, *more], config)
        assert not self.process.ended(), self.process.output()
        version = "1.2" if "disable_tlsv1_3=1" in device.read_text() else "1.3"
        assert f"Using TLS version TLSv{version}" in result.stdout, result
        succeeded = result.stdout.rstrip().endswith("SUCCESS")
        assert succeeded or "Received EAP-Failure" in result.stdout, result
        return succeeded

    def device(self, version, identity=None):
        """Return the configuration of a device with a certificate, or of one with a password."""
        if identity is None:
            return self.write(version, TTLS)
        _, certificate, _, key, *_ = identity.files(self.programs.folder, f"device-{self.programs.count}")
        Path(certificate).write_text(identity.certificate + identity.intermediates)
        return self.device_by_files(version, certificate, key)

    def device_by_files(self, version, certificate, key):
        return self.write(version, TLS.format(certificate=certificate, key=key))

    def write(self, version, method):
        old = int(version == "tls1_2")
        return self.programs.write("network.conf", NETWORK.format(user=freeradius.USER, old=old, method=method))

    def refuses(self, device, pattern):
        mark = self.log.size()
        assert not self.admits(device)
        self.log.wait_for(pattern, mark)


@pytest.fixture(scope="module")
def shared(open_folders, module):
    with programs_in(open_folders("eap"), module) as one:
        yield one


@pytest.fixture(scope="module", params=endpoints.IDENTITIES)
def network(request, shared, agent):
    service = f"eap-{request.param}"
    config, log, certificate, key = endpoints.identity(shared, agent, request.param, service)
    return Network(shared, freeradius.start(shared, config, certificate, key), service, log)


@pytest.fixture(params=["tls1_2", "tls1_3"])
def version(request):
    return request.param


def test_an_allowed_device_comes_in_and_a_denied_one_does_not(network, agent, service, version):
    device, chain = network.device(version, agent.leaf(service)), network.programs.path("chain.pem")
    for _ in range(2):
        agent.allow(service, network.service)
        assert network.admits(device, "-o", chain), network.log.text()
        live = agent.leaf(network.service).certificate
        assert live.replace("\n", "") in chain.read_text().replace("\n", "")
        agent.deny(service, network.service)
        network.refuses(
            device, f'client refused: "spiffe://[^"]*/svc/{service}" may not connect to "{network.service}": .*DENY')


def test_no_device_comes_in_from_another_authority(network, agent, service, version):
    foreign = Authority(agent.trust_domain).service(service)
    network.refuses(network.device(version, foreign), "client refused")


def test_no_device_comes_in_without_a_certificate(network, version):
    """A password does not help."""
    network.refuses(network.device(version), "peer presented no certificate: client refused")


def test_a_crowd_is_told_apart(network, agent, service, version):
    """Each round of a handshake may be in another thread of FreeRADIUS."""
    agent.allow(f"friend-{service}", network.service)
    agent.deny(f"foe-{service}", network.service)
    devices = [network.device(version, agent.leaf(f"{name}-{service}")) for name in ("friend", "foe")]
    with ThreadPoolExecutor(8) as pool:
        admitted = list(pool.map(network.admits, CROWD // 2 * devices))
    assert admitted == CROWD // 2 * [True, False]


@pytest.mark.parametrize("kind", endpoints.IDENTITIES)
def test_a_device_may_have_the_provider_too(network, shared, agent, service, version, kind):
    """It presents its live leaf, and is allowed or denied by it."""
    config, _, *files = endpoints.identity(shared, agent, kind, service)
    device = network.device_by_files(version, *files)
    agent.allow(service, network.service)
    assert network.admits(device, config=config), network.log.text()
    agent.deny(service, network.service)
    assert not network.admits(device, config=config)


def test_without_the_provider_a_password_is_enough(shared, version):
    """The control."""
    plain = Network(shared, freeradius.start(shared, None, *endpoints.dummy_files(shared)))
    assert plain.admits(plain.device(version))
    assert not plain.admits(plain.device(version, self_signed()))
