# SPDX-License-Identifier: Apache-2.0
"""A TLS server on tlslite-ng, an engine in Python. An `edit` changes the messages that it sends."""

import socket
from dataclasses import dataclass, field
from typing import Callable

from foreign_client import (
    PATIENCE, VERSIONS, Edited, Wire, chain_of, handshake, is_a, key_of, reason, read_all)

# foreign_client has found the package.
from tlslite.api import HandshakeSettings
from tlslite.constants import ContentType, HandshakeType
from tlslite.errors import TLSError
from tlslite.messages import ApplicationData

ANSWER = b"hello"
RETRY = bytes.fromhex("cf21ad74e59a6111be1d8c021e65b891c2a211167abb8c5e079e09e2c8a8339c")  # RFC 8446, 4.1.3
HELLO, EXTENSIONS, REQUEST, KEY_EXCHANGE, DONE = (
    HandshakeType.server_hello, HandshakeType.encrypted_extensions, HandshakeType.certificate_request,
    HandshakeType.server_key_exchange, HandshakeType.server_hello_done)


class Server(Edited):
    """tlslite-ng sends the flight of TLS 1.3 as one. Here each message goes by itself, so that it can be edited."""

    def __init__(self, wire, edit):
        super().__init__(wire, edit)
        self.queue = []

    def mute(self):
        for _ in self._queue_flush():
            pass
        super().mute()

    def _queue_message(self, msg):
        for piece, is_new in self._edited(msg):
            if is_new and piece.contentType == ContentType.handshake:
                self.note(piece)
            self.queue.append(piece)

    def _queue_flush(self):
        queue, self.queue = self.queue, []
        for piece in queue:
            yield from self._send_as_it_is(piece)


@dataclass
class Offer:
    """A handshake as the server wants it."""

    version: str
    certificate: object  # the Identity that it shows
    key: object  # the Identity whose key proves it
    edit: Callable = None
    asks: bool = False  # for a certificate of the client
    after: Callable = None  # takes the server after the handshake, before the client's data are read
    settings: dict = field(default_factory=dict)


@dataclass
class Seen:
    """A connection as the server has seen it."""

    heard: bytes
    end: str
    says: str = ""  # the last line of the client

    @property
    def trusted(self):
        """The client has taken the server for the right one, or has told it something."""
        return bool(self.heard) or "ESTABLISHED" in self.says

    @property
    def served(self):
        return self.heard == ANSWER and "SERVED" in self.says

    def __str__(self):
        return "served" if self.served else f"{'trusted, ' * self.trusted}{self.end}"


def settings_of(offer):
    settings = HandshakeSettings()
    settings.minVersion = settings.maxVersion = VERSIONS[offer.version]
    settings.cipherNames = ["aes128gcm"]
    settings.certificate_compression_send = settings.certificate_compression_receive = []
    settings.eccCurves = ["x25519", "secp256r1"]
    settings.keyShares = ["x25519"]
    settings.ticket_count = 0
    for name, value in offer.settings.items():
        setattr(settings, name, value)
    return settings


def prover(identity):
    """Return the key of an identity. tlslite-ng would verify each signature that it has made."""
    key = key_of(identity)
    key.verify = lambda *_: True
    return key


def meet(listener, offer):
    """Take one client, and return what was seen of it."""
    wire = Wire(listener.accept()[0])
    server = Server(wire, offer.edit or (lambda server, message: [message]))
    seen = Seen(b"", "closed")
    try:
        server.handshakeServer(
            certChain=chain_of(offer.certificate), privateKey=prover(offer.key), reqCert=offer.asks, settings=settings_of(offer))
        if offer.after:
            offer.after(server)
        seen.heard = bytes(server.read(max=len(ANSWER), min=1))
        server.say(ApplicationData().create(bytearray(seen.heard)))
    except (TLSError, OSError, SyntaxError, ValueError) as error:
        seen.end = reason(error)
        server.closed = True
    wire.end()
    seen.heard = seen.heard or read_all(server)[0]
    wire.close()
    return seen


def listen():
    listener = socket.create_server(("127.0.0.1", 0))
    listener.settimeout(PATIENCE)
    return listener


def retry_for(group, hello):
    """Return a HelloRetryRequest for a group, which answers the hello that this ServerHello would answer."""
    body = b"\x03\x03" + RETRY + bytes([len(hello.session_id)]) + bytes(hello.session_id)
    extensions = b"\x00\x2b\x00\x02\x03\x04" + b"\x00\x33\x00\x02" + group.to_bytes(2, "big")
    return handshake(HELLO, body + b"\x13\x01\x00" + len(extensions).to_bytes(2, "big") + extensions)


def is_retry(message):
    return is_a(message, HELLO) and message.write()[6:38] == RETRY
