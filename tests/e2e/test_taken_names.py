# SPDX-License-Identifier: Apache-2.0
"""Hosts that have functions of their own under all names of libcurl and jansson, as ProFTPD has json_delete."""

import os
import re
import subprocess
from pathlib import Path

import pytest

from small_host import Host

pytestmark = [
    pytest.mark.core,
    # A sanitizer does not allow RTLD_DEEPBIND.
    pytest.mark.skipif("CONSUL_PROVIDER_PRELOAD" in os.environ, reason="libcurl is not bound apart"),
]


@pytest.fixture
def start(programs, module, service):
    def start(name, config):
        return Host(programs, config, module.parents[1] / "tests" / name, service)
    return start


def test_no_name_of_the_host_is_taken_for_a_library(programs, agent, service, start):
    agent.deny(f"foe-{service}", service)
    friend, foe = (agent.leaf(f"{name}-{service}").files(programs.folder, name) for name in ("friend", "foe"))
    host = start("taken_names", programs.config(agent))
    for _ in range(2):
        assert host.serves(friend), host.output()
        assert not host.serves(foe)
    assert not host.ended(), host.output()


def test_names_and_an_allocator_of_the_host_are_refused_with_a_reason(programs, agent, start):
    log = programs.path("log")
    host = start("taken_names_and_allocator", programs.config(agent, log=log))
    assert not host.serves(agent.leaf("friend").files(programs.folder, "friend"))
    assert "this program has functions of libcurl and an allocator of its own" in log.read_text()


def test_the_names_that_libcurl_itself_calls_are_known():
    """A name that the dynamic linker binds for libcurl stands in the module's list."""
    libcurl = subprocess.run(["cc", "-print-file-name=libcurl.so"], check=True, capture_output=True, text=True).stdout
    bound = subprocess.run(["readelf", "-rW", libcurl.strip()], check=True, capture_output=True, text=True).stdout
    called = set(re.findall(r" (curl_\w+)", bound))
    folder = Path(__file__).parents[2] / "store" / "agent"
    known = {name for file in ("libraries.c", "libraries.h")
             for name in re.findall(r"curl_\w+", (folder / file).read_text())}
    assert called and called <= known, called - known
