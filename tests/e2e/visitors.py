# SPDX-License-Identifier: Apache-2.0
"""Clients of a server under test, in the test's own process: cheap, and timed."""

import socket
import ssl
import time
from dataclasses import dataclass

PATIENCE = 20  # seconds: longer than any handshake may take


@dataclass
class Visit:
    served: bool
    elapsed: float


class Visitor:
    """A client with one identity, which verifies no server."""

    def __init__(self, folder, identity, name):
        _, certificate, _, key, *_ = identity.files(folder, name)
        self.context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        self.context.check_hostname, self.context.verify_mode = False, ssl.CERT_NONE
        self.context.load_cert_chain(certificate, key)

    def visit(self, port, word=b"hello", answer=b"hello"):
        """Say a word. A visitor that is served gets the answer."""
        began = time.monotonic()
        try:
            plain = socket.create_connection(("127.0.0.1", port), PATIENCE)
            with self.context.wrap_socket(plain) as connection:
                connection.sendall(word)
                heard = connection.recv(4096)
                served = heard != b"" and answer in heard
        except OSError:
            served = False
        return Visit(served, time.monotonic() - began)
