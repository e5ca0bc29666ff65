# SPDX-License-Identifier: Apache-2.0
"""Edits of a handshake: each function returns one for `foreign_client.Client`.

An edit takes the client and a message, and yields the messages to send in its place.
"""

from foreign_client import CERTIFICATE, FINISHED, HELLO, REQUEST, VERIFY, Noted, handshake, is_a, key_of

# foreign_client has found the package.
from tlslite.constants import AlertDescription, AlertLevel, ContentType, SignatureScheme
from tlslite.extensions import TLSExtension
from tlslite.keyexchange import KeyExchange
from tlslite.messages import Alert, ApplicationData, CertificateVerify, ChangeCipherSpec, Message

CCS = -1  # in the place of a kind of handshake message
HASHES = {4: "sha256", 5: "sha384", 6: "sha512", 2: "sha1"}


def matches(message, kinds):
    return is_a(message, *kinds) or (CCS in kinds and message.contentType == ContentType.change_cipher_spec)


def drop(*kinds):
    """Leave messages of these kinds out."""
    def edit(_, message):
        if not matches(message, kinds):
            yield message
    return edit


def twice(kind):
    def edit(_, message):
        yield message
        if matches(message, [kind]):
            yield raw_copy(message)
    return edit


def raw_copy(message):
    return Message(message.contentType, message.write())


def before(kind, *pieces):
    """Send messages before the first of this kind."""
    def edit(_, message):
        if matches(message, [kind]):
            yield from pieces
        yield message
    return edit


def after(kind, *pieces):
    def edit(_, message):
        yield message
        if matches(message, [kind]):
            yield from pieces
    return edit


def instead(kind, make):
    """Send what `make` returns for the client and the message: a list of messages."""
    def edit(client, message):
        yield from make(client, message) if matches(message, [kind]) else [message]
    return edit


def mute_before(kind):
    """End the client's side of the connection, where it would send this."""
    def edit(client, message):
        if matches(message, [kind]):
            client.mute()
        else:
            yield message
    return edit


def mute_after(kind, *pieces):
    def edit(client, message):
        yield message
        if matches(message, [kind]):
            yield from pieces
            client.mute()
    return edit


def replace_and_mute(kind, *pieces):
    def edit(client, message):
        if matches(message, [kind]):
            yield from pieces
            client.mute()
        else:
            yield message
    return edit


def swap(first, second):
    """Send a message of the first kind after the one of the second."""
    held = []

    def edit(_, message):
        if matches(message, [first]):
            held.append(message)
        else:
            yield message
            if matches(message, [second]):
                yield from held
    return edit


def records_of(size):
    """Send all from the Certificate on in records of this size."""
    def edit(client, message):
        if is_a(message, CERTIFICATE):
            client.recordSize = size
        yield message
    return edit


def together(*kinds):
    """Send the messages of these kinds in one record, the last kind in its place."""
    held = bytearray()

    def edit(client, message):
        if not matches(message, kinds):
            yield message
            return
        held.extend(message.write())
        client.note(message)
        if matches(message, kinds[-1:]):
            yield Noted(ContentType.handshake, held)
    return edit


def interrupted(kind, *pieces):
    """Send messages between the halves of one."""
    def make(_, message):
        data = message.write()
        half = len(data) // 2
        return [Message(message.contentType, data[:half]), *pieces, Message(message.contentType, data[half:])]
    return instead(kind, make)


def body(kind, make):
    """Send this kind with another body, which `make` returns for the client and the old body."""
    return instead(kind, lambda client, message: [handshake(kind, make(client, bytes(message.write()[4:])))])


def flipped(kind, place):
    def flip(_, old):
        data = bytearray(old)
        data[place] ^= 1
        return data
    return body(kind, flip)


def entries(client, *ders, context=b""):
    """Return the body of a Certificate with these certificates, which answers the request of this context."""
    tail = b"\0\0" if client.is_13() else b""
    listed = b"".join(len(der).to_bytes(3, "big") + der + tail for der in ders)
    return (bytes([len(context)]) + context if client.is_13() else b"") + len(listed).to_bytes(3, "big") + listed


def certificates(*ders):
    """Send these certificates in the place of one's own."""
    return body(CERTIFICATE, lambda client, old: entries(client, *ders, context=old[1:1 + old[0]]))


def a_certificate(client, *ders):
    """Return a Certificate with these certificates."""
    return handshake(CERTIFICATE, entries(client, *ders))


def empty_list():
    return certificates()


# -- CertificateVerify --

def signature(client, identity, scheme, tag=b"client", transcript=None):
    """Return a CertificateVerify by the key of an identity."""
    key = key_of(identity)
    name = HASHES.get(scheme[0], "sha256")
    digest = KeyExchange.calcVerifyBytes(
        client.version, transcript or client._handshake_hash, scheme, None, None, None, "sha256", tag)
    signed = key.sign(digest[:key.private_key.curve.baselen], None, name, None)
    return CertificateVerify(client.version).create(signed, scheme)


def signed_by(identity, **options):
    scheme = options.pop("scheme", SignatureScheme.ecdsa_secp256r1_sha256)
    return instead(VERIFY, lambda client, _: [signature(client, identity, scheme, **options)])


def labelled(scheme):
    """Name another algorithm for the right signature."""
    return body(VERIFY, lambda _, old: bytes(scheme) + old[2:])


def signed_over_the_hello(identity, tag=b"client"):
    """Sign a transcript that ends before the Certificate."""
    kept = []

    def edit(client, message):
        if is_a(message, CERTIFICATE):
            kept.append(client._handshake_hash.copy())
        if is_a(message, VERIFY):
            yield signature(client, identity, SignatureScheme.ecdsa_secp256r1_sha256, tag, kept[0])
        else:
            yield message
    return edit


# -- ClientHello --

def hello(change):
    """Change the ClientHello. `change` takes the message."""
    def make(_, message):
        change(message)
        return [message]
    return instead(HELLO, make)


def without(*types):
    def change(message):
        message.extensions = [one for one in message.extensions if one.extType not in types]
    return hello(change)


def announce_early_data():
    """Announce early data, and send some that no key decrypts."""
    def edit(client, message):
        if is_a(message, HELLO):
            message.extensions.append(TLSExtension().create(42, bytearray(0)))
        yield message
        if is_a(message, HELLO):
            client.sock.flush()
            client.wire.sendall(b"\x17\x03\x03\x00\x40" + bytes(range(64)))
    return edit


def altered_ticket(_, message):
    """Change a byte of each ticket that a hello offers, of TLS 1.2 or 1.3."""
    for extension in message.extensions:
        if extension.extType == 35 and extension.ticket:
            extension.ticket = bytearray(extension.ticket)
            extension.ticket[40] ^= 1
        if extension.extType == 41:
            extension.identities[0].identity = bytearray(extension.identities[0].identity)
            extension.identities[0].identity[40] ^= 1
    return [message]


def wrong_binder(_, message):
    message.extensions[-1].binders[0][0] ^= 1
    return [message]


# -- messages --

def data(text=REQUEST):
    return ApplicationData().create(bytearray(text))


def ccs():
    return ChangeCipherSpec()


def warning(description=AlertDescription.user_canceled):
    return Alert().create(description, AlertLevel.warning)


def fatal():
    return Alert().create(AlertDescription.handshake_failure, AlertLevel.fatal)


def record(kind, text=b""):
    return Message(kind, bytearray(text))


def key_update(value=0):
    return handshake(24, bytes([value]))


def finished():
    return handshake(FINISHED, bytes(12))


def heartbeat():
    return record(ContentType.heartbeat, b"\x01\x00\x04ping" + bytes(16))


# -- after the handshake --

def later(*messages):
    """Send messages after the handshake, and then the request."""
    def after_it(client):
        for message in messages:
            client.say(message)
        client.say(data())
    return after_it


def updates(count, asked):
    """Change the keys this often, and ask the server to do so, too."""
    def after_it(client):
        for _ in range(count):
            for _ in client.send_keyupdate_request(asked):
                pass
        client.say(data())
    return after_it


def hello_again(client):
    client.say(record(ContentType.handshake, client.first_hello))
