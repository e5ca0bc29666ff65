# SPDX-License-Identifier: Apache-2.0
"""Wrong settings: servers do not start, and programs that check their configuration say so.

`apachectl configtest` says nothing, as Apache loads no certificate there. Apache does not start.
"""

from pathlib import Path

import pytest

import applications
import endpoints
import nginx
from agent import free_ports
from applications import lighttpd
from applications.common import program
from ca import self_signed

pytestmark = pytest.mark.applications

CULPRIT = "sevice: there is no such setting; the nearest is service"


@pytest.fixture
def log(programs):
    return programs.path("refusals.log")


@pytest.fixture
def wrong(programs, fake, log):
    return programs.config(fake, log=log, sevice="web")


@pytest.fixture
def files(programs):
    """A certificate and its key that no peer trusts."""
    _, certificate, _, key, *_ = self_signed().files(programs.folder, "dummy")
    Path(key).chmod(0o600)
    return Path(certificate), Path(key)


@pytest.mark.parametrize("application", endpoints.parameters(
    server for server in applications.servers() if server.NAME != "lighttpd"))
def test_servers_do_not_start(programs, wrong, log, files, application):
    with pytest.raises(AssertionError):
        application.start(programs, wrong, *files)
    assert CULPRIT in log.read_text()


def test_lighttpd_starts_and_refuses(programs, fake, wrong, log, files):
    """It gives OpenSSL its certificate in the handshake only."""
    for config in (programs.config(fake), wrong):  # the former is the control
        server = lighttpd.start(programs, config, *files)
        result = programs.openssl(
            "s_client", "-connect", f"127.0.0.1:{server.port}", "-ign_eof", stdin=lighttpd.REQUEST)
        assert (lighttpd.ANSWER in result.stdout) == (config is not wrong), result
    assert CULPRIT in log.read_text()


def test_nginx_checks_its_settings(programs, fake, wrong, files):
    """nginx -t ends with the fault, the file and the section. It is content with right settings."""
    folder = programs.path("nginx")
    folder.mkdir()
    file = nginx.write(folder, free_ports(1), [files], ["text"])
    command = [nginx.binary(), "-t", "-p", folder, "-e", "stderr", "-c", file]
    result = programs.run(command, wrong, programs.leaks_allowed())
    assert result.code != 0 and f"{wrong}: [consul_provider] {CULPRIT}" in result.stderr, result
    result = programs.run(command, programs.config(fake, service="web"), programs.leaks_allowed())
    assert result.code == 0, result


def test_haproxy_checks_its_settings(programs, fake, wrong, log, files):
    """It shows no reasons, so there the log has it."""
    certificate, key = files
    both = programs.write("haproxy.pem", certificate.read_text() + key.read_text())
    file = programs.write("haproxy.cfg", f"""\
defaults
    timeout connect 1s
    timeout client 1s
    timeout server 1s
frontend web
    bind 127.0.0.1:{free_ports(1)[0]} ssl crt {both}
""")
    command = [program("haproxy"), "-c", "-f", file]
    result = programs.run(command, wrong, programs.leaks_allowed())
    assert result.code != 0 and str(both) in result.stderr, result
    assert CULPRIT in log.read_text()
    result = programs.run(command, programs.config(fake, service="web"), programs.leaks_allowed())
    assert result.code == 0, result
