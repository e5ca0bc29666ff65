# SPDX-License-Identifier: Apache-2.0
"""A small server of one service (load/host.c), and clients that read what it says."""

import os
import socket
import ssl

import stand_ins
from processes import Process


class Host(Process):
    """The server. `prefix` is a command that runs it, `more` are additions to its environment."""

    def __init__(self, programs, config, binary, service, prefix=(), more=None):
        file = programs.write(f"{service}.pem", "".join(
            part.read_text() for part in stand_ins.make(programs, f"consul:leaf/{service}")))
        with socket.create_server(("127.0.0.1", 0)) as listener:
            self.port = listener.getsockname()[1]
            os.set_inheritable(listener.fileno(), True)
            command = [*prefix, binary, listener.fileno(), 1, file]
            super().__init__(command, programs.environment(config, more), programs.path("log"), programs.folder,
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
