# SPDX-License-Identifier: Apache-2.0
"""Programs on another OpenSSL than the module is for let no peer in, and the log says why.

Debian's majors share the folders of openssl.cnf and of modules. Experimental has both.
"""

import os
import re
from pathlib import Path

import pytest

import endpoints
from applications import apache, curl, haproxy, nginx, python_ssl, short_name
from applications.common import TEXT
from conftest import programs_in
from consul_tls import check, good
from processes import Process
from programs import TLS13, others_differ

OLDER = "CONSUL_PROVIDER_OLDER_MODULE"

pytestmark = [
    pytest.mark.core,
    pytest.mark.skipif(not others_differ(), reason="all programs here are on one OpenSSL"),
]


@pytest.fixture
def anyhow(open_folders, module):
    """Programs that are started although the module is not for their OpenSSL."""
    with programs_in(open_folders("another"), module) as one:
        one.skip_without_provider = lambda argv, config: None
        yield one


def closed(programs, agent, module, *settings):
    """Return the file that consul-tls makes, and its log."""
    log = programs.path("consul-log")
    text = good(programs, "config", "web", f"module={module}", f"address={agent.address}", f"log={log}", *settings)
    return programs.write("openssl.cnf", text), log


def says_why(log):
    return re.search(r"this program has OpenSSL \d[^ ]*, and this module is for another libcrypto, \d", log.read_text())


@pytest.mark.parametrize("server", [nginx, apache, haproxy, python_ssl], ids=short_name)
def test_a_server_lets_nobody_in(server, anyhow, agent):
    config, log = closed(anyhow, agent, anyhow.module)
    log.touch(mode=0o666)
    try:
        process = server.start(anyhow, config, *endpoints.dummy_files(anyhow))
    except AssertionError as error:
        assert "ended with" in str(error)
    else:
        answered = endpoints.Endpoint(server, anyhow, process).ask()
        assert not answered.served and "Cipher is (NONE)" in answered.result.stdout, answered
    assert says_why(log), log.read_text()


def test_a_client_goes_nowhere(anyhow, agent):
    config, log = closed(anyhow, agent, anyhow.module)
    plain = endpoints.start_plain(nginx, anyhow)
    result = curl.fetch(anyhow, config, plain.process, "web.service.consul")
    assert result.code != 0 and TEXT not in result.stdout, result
    assert says_why(log), log.read_text()


@pytest.mark.skipif(OLDER not in os.environ, reason=f"{OLDER} names no module for the other OpenSSL")
def test_an_older_module_lets_nobody_in(programs, agent):
    older = Path(os.environ[OLDER])
    assert older.is_file()
    config, log = closed(programs, agent, older)
    certificate, key = endpoints.dummy_files(programs)
    result = programs.openssl("s_server", "-accept", "0", "-cert", certificate, "-key", key, config=config)
    assert result.code != 0 and "ACCEPT" not in result.stdout, result
    assert says_why(log), log.read_text()


def test_a_libcurl_of_another_openssl_asks_by_http(programs, agent, service):
    """The module is in its own OpenSSL, and libcurl is not: what it asks, it asks without TLS."""
    config, _ = closed(programs, agent, programs.module)
    assert "BEGIN CERTIFICATE" in programs.storeutl("consul:roots", config=config).stdout
    config, _ = closed(programs, agent, programs.module, "tls=true")
    result = programs.storeutl("consul:roots", config=config)
    assert result.code != 0 and "HTTPS to the agent needs libcurl on the OpenSSL of this program" in result.stderr, result


def test_check_knows_a_libcurl_of_another_openssl(anyhow, agent, service):
    """Two OpenSSLs in a server that works are no fault. In a program that the module is not for they are one."""
    config = anyhow.config(agent, service=service)
    server = anyhow.server("-nocert", config=config)
    friend = agent.leaf("friend").files(anyhow.folder, "friend")
    assert anyhow.talk(server, TLS13, *friend).talked
    libraries = Path(f"/proc/{server.child.pid}/maps").read_text()
    assert "libcrypto.so.3" in libraries and "libcrypto.so.4" in libraries
    check(anyhow, config, "--pid", server.child.pid).is_good("process")

    script = "import ssl, sys; ssl.RAND_status(); print('ready', flush=True); sys.stdin.read()"
    process = anyhow.start(Process, ["/usr/bin/python3", "-c", script], config, anyhow.leaks_allowed())
    process.wait_for("ready")
    assert "process" in check(anyhow, config, "--pid", process.child.pid).broken
