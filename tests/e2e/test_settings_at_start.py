# SPDX-License-Identifier: Apache-2.0
"""Wrong settings: servers do not start, and programs that check their configuration say so.

`apachectl configtest` says nothing, as Apache loads no certificate there. Apache does not start.
"""

import errno
import re
import socket
from pathlib import Path

import pytest

import applications
import endpoints
import nginx
from agent import free_ports
from applications.common import program
from ca import self_signed
from conftest import programs_in

pytestmark = pytest.mark.applications

RESET = (errno.ECONNRESET, errno.EPIPE, errno.ENOTCONN)
CULPRIT = "sevice: there is no such setting; the nearest is service"


@pytest.fixture
def programs(module, open_folders):
    """Servers that become another user enter the folder."""
    with programs_in(open_folders("settings"), module) as one:
        yield one


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


# They give OpenSSL their certificate when a client comes, or serve others without TLS.
LATE = ["dovecot", "lighttpd", "php", "postfix", "proftpd", "prosody"]


def servers(late):
    return pytest.mark.parametrize("application", endpoints.parameters(
        one for one in applications.servers() if (applications.short_name(one) in LATE) == late))


@servers(late=False)
def test_servers_do_not_start(programs, wrong, log, files, application):
    with pytest.raises(AssertionError):
        application.start(programs, wrong, *files)
    assert CULPRIT in log.read_text()


def without_tls(port, request):
    """Return all that comes until the end, or until a reset."""
    heard = b""
    with socket.create_connection(("127.0.0.1", port), 30) as plain:
        try:
            plain.sendall(request)
            plain.shutdown(socket.SHUT_WR)
            while data := plain.recv(65536):
                heard += data
        except OSError as end:
            assert end.errno in RESET, end
    return heard.decode(errors="replace")


@servers(late=True)
def test_others_start_and_refuse(programs, fake, wrong, log, files, application):
    for config in (programs.config(fake), wrong):  # the former is the control
        server = endpoints.Endpoint(application, programs, application.start(programs, config, *files))
        answered = server.ask()
        assert answered.served == (config is not wrong), answered
        assert not re.search(application.ANSWER, without_tls(server.process.port, application.REQUEST))
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
