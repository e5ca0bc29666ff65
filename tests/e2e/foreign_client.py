# SPDX-License-Identifier: Apache-2.0
"""A TLS client on tlslite-ng, an engine in Python. An `edit` changes the messages that it sends.

The transcript has the messages as they are sent. So a server that lets a message be left out finds the Finished right.
"""

import copy
import os
import socket
import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import Callable

PACKAGE = os.environ.get("TLSLITE", str(Path(__file__).resolve().parents[2] / "build" / "setup" / "tlslite"))
sys.path.append(PACKAGE)

try:
    import tlslite  # noqa: F401
except ImportError as error:
    raise ImportError(f"{PACKAGE} has no tlslite-ng: run tools/setup --tests") from error

from tlslite.api import HandshakeSettings, TLSConnection, X509CertChain, parsePEMKey  # noqa: E402
from tlslite.constants import AlertDescription, ContentType, HandshakeType  # noqa: E402
from tlslite.errors import TLSAbruptCloseError, TLSError, TLSLocalAlert, TLSRemoteAlert  # noqa: E402
from tlslite.messages import ApplicationData, Message  # noqa: E402

PATIENCE = 60  # seconds
REQUEST = b"GET / HTTP/1.0\r\n\r\n"
VERSIONS = {"TLS 1.2": (3, 3), "TLS 1.3": (3, 4)}


class Wire:
    """A socket that hides the end of sending: an alert may still be there to be read."""

    def __init__(self, plain):
        self.plain = plain
        self.plain.settimeout(PATIENCE)
        self.plain.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    def send(self, data):
        try:
            self.plain.sendall(data)
        except ConnectionError:
            pass
        return len(data)

    sendall = send

    def end(self):
        try:
            self.plain.shutdown(socket.SHUT_WR)
        except OSError:
            pass

    def __getattr__(self, name):
        return getattr(self.plain, name)


class Noted(Message):
    """A message that is in the transcript already."""


class Edited(TLSConnection):
    """An end of a connection. `edit` takes it and a message, and yields the messages to send in its place.

    tlslite-ng adds to the bytes of a message while it sends them. So each message is sent as a copy.
    """

    def __init__(self, wire, edit):
        super().__init__(wire)
        self.wire = wire
        self.edit = edit
        self.is_mute = False

    def mute(self):
        """Send nothing any more, and tell the peer so."""
        self.sock.flush()
        self.is_mute = True
        self.wire.end()

    def _edited(self, msg):
        """Yield copies of the messages to send, and whether they belong in the transcript."""
        for piece in self.edit(self, msg) if not self.is_mute else ():
            yield copy.deepcopy(piece), not isinstance(piece, Noted)

    def _sendMsg(self, msg, randomizeFirstBlock=True, update_hashes=True):
        for piece, is_new in self._edited(msg):
            yield from super()._sendMsg(piece, randomizeFirstBlock, update_hashes and is_new)

    def _send_as_it_is(self, message):
        """Send a message that is edited and in the transcript already."""
        yield from super()._sendMsg(message, update_hashes=False)

    def note(self, message):
        """Take a message into the transcript before it is sent, as `Noted`."""
        self._handshake_hash.update(message.write())

    def say(self, message):
        """Send a message that is not edited."""
        if not self.is_mute:
            for _ in super()._sendMsg(copy.deepcopy(message)):
                pass

    def is_13(self):
        return self.version == (3, 4)


class Client(Edited):
    def __init__(self, wire, edit):
        super().__init__(wire, edit)
        self.first_hello = b""

    def _sendMsg(self, msg, randomizeFirstBlock=True, update_hashes=True):
        self.first_hello = self.first_hello or msg.write()
        yield from super()._sendMsg(msg, randomizeFirstBlock, update_hashes)

    def _clientResume(self, session, serverHello, *rest):
        """Resume where the server says so: tlslite-ng itself takes each ticket of TLS 1.2 for accepted."""
        taken = session and serverHello.session_id == session.sessionID
        return super()._clientResume(session if taken else None, serverHello, *rest)


@dataclass
class Attempt:
    """A connection as it is wanted."""

    version: str
    identity: object = None  # an Identity, or None
    edit: Callable = None
    after: Callable = None  # takes the client after its handshake, in the place of a request
    settings: dict = field(default_factory=dict)
    session: object = None


@dataclass
class Outcome:
    """How a connection ended."""

    end: str
    data: bytes = b""
    session: object = None
    resumed: bool = False
    warned: bool = False  # of a downgrade, by the server's random

    @property
    def served(self):
        return b"hello from the server" in self.data or b"Ciphers supported" in self.data

    def __str__(self):
        if self.served:
            return "served" + ", resumed" * self.resumed + ", warned of a downgrade" * self.warned
        return "answered 400" if b" 400 " in self.data[:20] else self.end


def dial(port):
    return Wire(socket.create_connection(("127.0.0.1", port), PATIENCE))


def chain_of(identity):
    chain = X509CertChain()
    chain.parsePemList(identity.certificate + identity.intermediates)
    return chain


def key_of(identity):
    return parsePEMKey(identity.key, private=True, implementations=["python"])


def settings_of(attempt):
    settings = HandshakeSettings()
    settings.minVersion, settings.maxVersion = (3, 3), VERSIONS[attempt.version]
    settings.keyShares = ["secp256r1"]  # the fastest in Python
    settings.eccCurves = ["secp256r1", "x25519", "secp384r1"]
    settings.certificate_compression_send = settings.certificate_compression_receive = []
    for name, value in attempt.settings.items():
        setattr(settings, name, value)
    return settings


def connect(port, attempt):
    """Connect, say a request, and read until the server ends the connection. Return the outcome."""
    wire = dial(port)
    client = Client(wire, attempt.edit or (lambda client, message: [message]))
    chain = key = None
    if attempt.identity:
        chain = chain_of(attempt.identity)
        key = key_of(attempt.identity)
    outcome = Outcome("closed")
    try:
        client.handshakeClientCert(chain, key, attempt.session, settings_of(attempt))
        (attempt.after or ask)(client)
    except (TLSError, OSError, SyntaxError) as error:
        outcome.end = reason(error)
        client.closed = True
    outcome.data, end = read_all(client)
    outcome.end = outcome.end if end is None else end
    outcome.session, outcome.resumed = client.session, client.resumed
    outcome.warned = bytes(getattr(client, "_serverRandom", b"")).endswith(b"DOWNGRD\1")
    wire.close()
    return outcome


def ask(client):
    client.say(ApplicationData().create(bytearray(REQUEST)))


def read_all(client):
    """Return the data of an established connection, and the reason of its end."""
    data = b""
    if client.closed:
        return data, None
    try:
        while more := client.read(max=None, min=1):
            data += more
    except (TLSError, OSError, SyntaxError) as error:
        return data, reason(error)
    return data, "closed"


def reason(error):
    if isinstance(error, TLSRemoteAlert):
        name = AlertDescription.toStr(error.description)
        return "closed" if name == "close_notify" else f"alert {name}"
    if isinstance(error, (TLSAbruptCloseError, ConnectionError)):
        return "closed"
    if isinstance(error, TimeoutError):
        return "silent"
    if isinstance(error, TLSLocalAlert):
        return f"the client says {AlertDescription.toStr(error.description)}"
    return f"the client fails: {error}"


def raw(port, data):
    """Send bytes, and nothing more. Return the outcome: an alert in plain text is read."""
    wire = dial(port)
    wire.sendall(data)
    wire.end()
    answer = b""
    try:
        while more := wire.recv(4096):
            answer += more
    except OSError:
        pass
    wire.close()
    if len(answer) >= 7 and answer[0] == ContentType.alert:
        return Outcome(f"alert {AlertDescription.toStr(answer[6])}", answer)
    return Outcome("a server's hello, and closed" if answer[:1] == b"\x16" else "closed", answer)


def handshake(kind, body=b""):
    """Return a message of the handshake."""
    return Message(ContentType.handshake, bytearray([kind, *len(body).to_bytes(3, "big")]) + bytearray(body))


def is_a(message, *kinds):
    """Return true for a message of the handshake of these kinds."""
    return message.contentType == ContentType.handshake and message.write()[0] in kinds


CERTIFICATE, VERIFY, FINISHED = (
    HandshakeType.certificate, HandshakeType.certificate_verify, HandshakeType.finished)
HELLO, KEY_EXCHANGE = HandshakeType.client_hello, HandshakeType.client_key_exchange
