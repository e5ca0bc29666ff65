# SPDX-License-Identifier: Apache-2.0
"""OpenSSL's FIPS provider in place of `default`: skipped on a system without it, like Debian 12.

CONSUL_TEST_FIPS_MODULE may name a fips.so: one of a newer OpenSSL 3 works with an older one.
"""

import os
import re
import subprocess
from pathlib import Path

import pytest

import stand_ins
from programs import VERSIONS

pytestmark = pytest.mark.core


@pytest.fixture(scope="session")
def fips_module():
    text = subprocess.run(["openssl", "version", "-m"], capture_output=True, text=True, check=True).stdout
    path = Path(os.environ.get("CONSUL_TEST_FIPS_MODULE") or Path(re.search('"(.*)"', text)[1]) / "fips.so")
    if not path.exists():
        pytest.skip(f"no {path}")
    return path


@pytest.fixture
def section(programs, fips_module):
    """The text of [fips_sect] without `activate`."""
    file = programs.path("fipsmodule.cnf")
    made = programs.openssl("fipsinstall", "-module", fips_module, "-out", file)
    assert made.code == 0, made
    kept = [line for line in file.read_text().splitlines() if not line.startswith(("activate", "["))]
    return "\n".join([f"module = {fips_module}", *kept])


@pytest.fixture
def config(programs, agent, section):
    """Return a function that writes a file with these providers, with fips=yes or without."""
    def write(listed, activate="", properties=True, **settings):
        file = programs.config(agent, **settings)
        text = file.read_text().replace("null = null_provider\nconsul = consul_provider\n", listed)
        assert listed in text
        text = text.replace("[null_provider]", f"[fips_sect]\n{activate}\n{section}\n\n[null_provider]")
        if properties:
            text = text.replace("[providers]", "alg_section = algorithms\n\n[providers]", 1)
            text = text.replace("[null_provider]", "[algorithms]\ndefault_properties = fips=yes\n\n[null_provider]")
        file.write_text(text)
        return file

    return write


SHOWN = "base = null_provider\nfips = fips_sect\nconsul = consul_provider\n"
LAST = "base = null_provider\nconsul = consul_provider\nfips = fips_sect\n"


def providers(programs, config):
    return re.findall(r"(?m)^  (\w+)$", programs.openssl("list", "-providers", config=config).stdout)


@pytest.mark.parametrize("version", VERSIONS, ids=lambda option: option.lstrip("-"))
def test_fips_in_place_of_default(programs, agent, service, config, version):
    """URIs, the key of a stand-in and whole connections, all by fips=yes."""
    file = config(SHOWN, crypto="fips")
    assert sorted(providers(programs, file)) == ["base", "consul", "fips"]
    assert programs.storeutl("consul://roots", "-noout", config=file).code == 0
    certificate, key = stand_ins.make(programs, f"consul:leaf/{service}")
    assert programs.openssl("pkey", "-in", key, "-noout", config=file).code == 0
    server = programs.server("-cert", certificate, "-key", key, config=file)
    friend = ["-cert", "consul://leaf/friend", "-key", "consul://leaf/friend"]
    assert programs.talk(server, version, *friend, config=file).talked
    agent.deny("friend", service)
    assert programs.talk(server, version, *friend, config=file).refused
    assert programs.talk(server, version).refused


def test_without_the_provider_it_is_closed(programs, config):
    file = config(SHOWN, crypto="fips")
    file.write_text(file.read_text().replace(str(programs.module), "/nowhere/consul.so"))
    assert providers(programs, file) == ["base"]
    result = programs.openssl("s_client", "-connect", "127.0.0.1:1", config=file)
    assert result.code != 0 and "library has no ciphers" in result.stderr


def test_who_has_fips_is_given_nothing_else(programs, config):
    """An old file activates fips by itself, and says nothing of `crypto`."""
    file = config(SHOWN, activate="activate = 1")
    assert sorted(providers(programs, file)) == ["base", "consul", "fips"]


def test_fips_that_comes_later_is_not_mixed_with_default(programs, agent, service, config):
    """Unless fips=yes keeps them apart. TLS is refused, and it is said why."""
    leaf = agent.leaf(service).files(programs.folder, service)
    server = programs.server(*leaf, config=programs.config(agent))
    friend = agent.leaf("friend").files(programs.folder, "friend")
    mixed = config(LAST, activate="activate = 1", properties=False)
    result = programs.openssl("s_client", "-connect", f"127.0.0.1:{server.port}", *friend, config=mixed)
    assert result.code != 0 and "fips was activated after this one" in result.stderr
    for file in (config(LAST, activate="activate = 1"),
                 config(LAST, activate="activate = 1", properties=False, crypto="off")):
        outcome = programs.talk(server, *friend, config=file)
        assert outcome.talked, outcome
