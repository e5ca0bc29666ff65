# SPDX-License-Identifier: Apache-2.0
"""Hosts that have functions of their own under all names of libcurl and jansson, as ProFTPD has json_delete."""

import os
import socket
import ssl

import pytest

import stand_ins
from processes import Process

pytestmark = [
    pytest.mark.core,
    # A sanitizer does not allow RTLD_DEEPBIND.
    pytest.mark.skipif("CONSUL_PROVIDER_PRELOAD" in os.environ, reason="libcurl is not bound apart"),
]


class Host(Process):
    """A server of one service. The program's names abort it when they are called."""

    def __init__(self, programs, config, binary, service):
        file = programs.write(f"{service}.pem", "".join(
            part.read_text() for part in stand_ins.make(programs, f"consul:leaf/{service}")))
        with socket.create_server(("127.0.0.1", 0)) as listener:
            self.port = listener.getsockname()[1]
            os.set_inheritable(listener.fileno(), True)
            command = [binary, listener.fileno(), 1, file]
            super().__init__(command, programs.environment(config), programs.path("log"), programs.folder,
                             pass_fds=[listener.fileno()])
        programs.started.append(self)

    def serves(self, files):
        _, certificate, _, key, *_ = files
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
        context.load_cert_chain(certificate, key)
        try:
            plain = socket.create_connection(("127.0.0.1", self.port), 20)
            with context.wrap_socket(plain) as connection:
                return connection.recv(64) == b"served\n"
        except OSError:
            return False


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
    host = start("taken_names_and_allocator", programs.config(agent))
    assert host.wait() == 1, host.output()
    assert "this program has functions of libcurl and an allocator of its own" in host.output()
