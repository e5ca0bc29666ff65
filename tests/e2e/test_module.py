# SPDX-License-Identifier: Apache-2.0
"""The module as a file: its exports and its dependencies."""

import re
import subprocess

import pytest


def tool(*argv):
    return subprocess.run(argv, capture_output=True, text=True, check=True).stdout


def test_one_symbol_is_exported(module):
    """Nothing of ours can take the place of a host's symbol, or be displaced by it."""
    names = [line.split()[-1] for line in tool("nm", "-D", "--defined-only", module).splitlines()]
    assert names == ["OSSL_provider_init"]


def test_it_is_linked_as_a_module_that_stays(module):
    """-z nodelete: OpenSSL keeps pointers to our functions after it has unloaded us."""
    dynamic = tool("readelf", "-d", module)
    flags = re.search(r"FLAGS_1.*", dynamic).group()
    assert "NODELETE" in flags and "NOW" in flags
    assert "TEXTREL" not in dynamic
    assert "RPATH" not in dynamic and "RUNPATH" not in dynamic


def test_relocations_are_read_only(module):
    headers = tool("readelf", "-l", "-W", module)
    assert "GNU_RELRO" in headers
    stack = re.search(r"GNU_STACK.*", headers).group()
    assert "RWE" not in stack


def test_it_loads_and_leaves(programs, fake):
    """A program that does nothing with it: no error, no leak, no request."""
    result = programs.openssl("list", "-providers", "-verbose", config=programs.config(fake))
    assert result.code == 0 and result.stderr == ""
    about = r"^  consul\n    name: Consul Connect provider\n    version: \d+\.\d+\.\d+\n    status: active$"
    assert re.search(about, result.stdout, re.M)
    assert fake.requests == []


@pytest.mark.parametrize("more", [[], ["-provider", "default"]], ids=["alone", "default"])
def test_it_loads_by_name_too(programs, fake, more):
    """openssl -provider-path and -provider, without a configuration of its own."""
    arguments = ["-provider-path", programs.module.parent, "-provider", programs.module.stem, *more]
    env = {"CONSUL_HTTP_ADDR": fake.address}
    if programs.preload:
        env["LD_PRELOAD"] = programs.preload
    result = programs.openssl("storeutl", *arguments, "-noout", "consul:leaf/web", env=env)
    assert result.code == 0, result
    assert "Total found: 2" in result.stdout
