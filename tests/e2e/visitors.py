# SPDX-License-Identifier: Apache-2.0
"""Clients of a server under test, in the test's own process: cheap, and timed."""

import socket
import ssl
import time
from dataclasses import dataclass

import pytest

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


class Hesitant:
    """A connection whose client has seen the server's messages, and has not shown its certificate yet."""

    def __init__(self, port, context):
        self.plain = socket.create_connection(("127.0.0.1", port), PATIENCE)
        self.heard, self.said = ssl.MemoryBIO(), ssl.MemoryBIO()
        self.tls = context.wrap_bio(self.heard, self.said)
        with pytest.raises(ssl.SSLWantReadError):
            self.tls.do_handshake()
        self.plain.sendall(self.said.read())  # the ClientHello
        while not self.is_ready():
            self.heard.write(self.plain.recv(16384))

    def is_ready(self):
        try:
            self.tls.do_handshake()
            return True
        except ssl.SSLWantReadError:
            return False

    def is_served(self):
        """Show the certificate. Return true where the server answers."""
        self.tls.write(b"hello")
        try:
            self.plain.sendall(self.said.read())
            while True:
                heard = self.plain.recv(16384)
                if heard == b"":
                    return False
                self.heard.write(heard)
                try:
                    return self.tls.read(64) == b"hello"
                except ssl.SSLWantReadError:
                    pass
        except OSError:
            return False
        finally:
            self.plain.close()
