# SPDX-License-Identifier: Apache-2.0
"""The handshakes that a foreign client tries, with the parties of a mesh.

`friend` is allowed, and `foe` is denied. `stranger` has a leaf with the friend's name, of a CA of its own.
"""

from dataclasses import dataclass, field
from typing import Any

from cryptography.hazmat.primitives.serialization import Encoding

import foreign_edits as edits
from ca import Authority, Identity
from foreign_client import CERTIFICATE, FINISHED, HELLO, KEY_EXCHANGE, VERIFY, Attempt, connect, handshake, raw
from foreign_edits import CCS

BOTH = ("TLS 1.2", "TLS 1.3")
TLS12, TLS13 = BOTH[:1], BOTH[1:]
ROWS = []


@dataclass
class Mesh:
    friend: Identity
    foe: Identity
    stranger: Identity


def mesh_of(agent, service):
    """Have the agent allow and deny, and return the parties."""
    agent.allow(f"friend-{service}", service)
    agent.deny(f"foe-{service}", service)
    return Mesh(agent.leaf(f"friend-{service}"), agent.leaf(f"foe-{service}"),
                Authority(agent.trust_domain).service(f"friend-{service}"))


@dataclass
class Row:
    name: str
    party: str = "friend"  # or "foe", "stranger", or "" without a certificate
    edit: Any = None  # takes the mesh, and returns the edit of one connection
    after: Any = None  # takes the client after its handshake
    settings: dict = field(default_factory=dict)
    may: bool = False  # a governed server may serve it
    versions: tuple = BOTH
    of_nginx: bool = False  # s_server sleeps for a second after each message that is no data
    session: bool = False  # offer a session that the plain server gave to the friend
    raw: Any = None  # bytes to send in the place of a handshake

    def run(self, mesh, version, port, plain_port):
        """Try it at a server, and return the outcome."""
        if self.raw is not None:
            return raw(port, self.raw)
        settings = {"cipherNames": ["aes128gcm"], **self.settings}
        identity = getattr(mesh, self.party) if self.party else None
        attempt = Attempt(version, identity, self.edit and self.edit(mesh), self.after, settings)
        if self.session:
            attempt.session = connect(plain_port, Attempt(version, mesh.friend, settings=settings)).session
            attempt.session.sessionID = bytearray(range(32))  # a server repeats it where it takes the ticket
        return connect(port, attempt)


def row(name, party="friend", edit=None, **more):
    ROWS.append(Row(name, party, edit, **more))


def friendly(name, make_edit, **more):
    """Add a row in which the friend sends its own certificate, with an edit."""
    row(name, "friend", lambda mesh: make_edit(), **more)


def der(identity):
    return identity.x509.public_bytes(Encoding.DER)


def add_whole_handshakes():
    row("the friend", may=True)
    row("the denied service", "foe")
    row("a leaf of another CA", "stranger")
    row("no certificate", "")
    friendly("an empty list, with the proof", edits.empty_list)


def add_skipped():
    for name, kinds, versions in (
        ("Certificate", [CERTIFICATE], BOTH), ("CertificateVerify", [VERIFY], BOTH),
        ("Certificate and CertificateVerify", [CERTIFICATE, VERIFY], BOTH), ("ClientKeyExchange", [KEY_EXCHANGE], TLS12),
        ("Certificate to CertificateVerify", [CERTIFICATE, KEY_EXCHANGE, VERIFY], TLS12), ("ChangeCipherSpec", [CCS], TLS12),
        ("Certificate to Finished", [CERTIFICATE, VERIFY, FINISHED], TLS13),
    ):
        friendly(f"skipped: {name}", lambda kinds=kinds: edits.drop(*kinds), versions=versions)
    friendly("skipped: Finished, data in its place", lambda: edits.replace_and_mute(FINISHED, edits.data()))
    friendly("skipped: all, data after the hello", lambda: edits.replace_and_mute(CERTIFICATE, edits.data()))
    friendly("skipped: all, Finished after the hello", lambda: edits.replace_and_mute(CERTIFICATE, edits.finished()))
    row("skipped: CertificateVerify, by the denied", "foe", lambda mesh: edits.drop(VERIFY))
    for name, kind in (("Certificate", CERTIFICATE), ("CertificateVerify", VERIFY), ("Finished", FINISHED)):
        friendly(f"left before {name}", lambda kind=kind: edits.mute_before(kind))
    friendly("left after ClientHello", lambda: edits.mute_after(HELLO))
    friendly("left after Finished", lambda: edits.mute_after(FINISHED))


def add_repeated_and_moved():
    for name, kind, versions in (
        ("ClientHello", HELLO, BOTH), ("Certificate", CERTIFICATE, BOTH), ("CertificateVerify", VERIFY, BOTH),
        ("Finished", FINISHED, BOTH), ("ClientKeyExchange", KEY_EXCHANGE, TLS12), ("ChangeCipherSpec", CCS, TLS12),
    ):
        friendly(f"twice: {name}", lambda kind=kind: edits.twice(kind), versions=versions)
    friendly("moved: CertificateVerify before Certificate", lambda: edits.swap(CERTIFICATE, VERIFY))
    friendly("moved: ClientKeyExchange before Certificate", lambda: edits.swap(CERTIFICATE, KEY_EXCHANGE), versions=TLS12)
    friendly("moved: ClientKeyExchange after CertificateVerify", lambda: edits.swap(KEY_EXCHANGE, VERIFY), versions=TLS12)
    for name, kind in (("Certificate", CERTIFICATE), ("ClientKeyExchange", KEY_EXCHANGE), ("CertificateVerify", VERIFY)):
        friendly(f"early: ChangeCipherSpec before {name}", lambda kind=kind: edits.before(kind, edits.ccs()), versions=TLS12)
    friendly("early: Finished before Certificate", lambda: edits.before(CERTIFICATE, edits.finished()))
    friendly("early: Finished before CertificateVerify", lambda: edits.before(VERIFY, edits.finished()))


def add_others_certificates():
    """Add the rows in which the denied service also shows the certificate of the friend."""
    def theft(name, make_edit):
        row(f"stolen: {name}", "foe", lambda mesh: make_edit(der(mesh.foe), der(mesh.friend)))

    theft("the friend's certificate alone", lambda own, friends: edits.certificates(friends))
    theft("the friend's behind one's own", lambda own, friends: edits.certificates(own, friends))
    theft("the friend's before one's own", lambda own, friends: edits.certificates(friends, own))
    theft("a second Certificate, the friend's", lambda own, friends: edits.instead(
        CERTIFICATE, lambda client, message: [message, edits.a_certificate(client, friends)]))
    theft("a first Certificate, the friend's", lambda own, friends: edits.instead(
        CERTIFICATE, lambda client, message: [edits.a_certificate(client, friends), message]))
    theft("the friend's after one's own proof", lambda own, friends: edits.instead(
        VERIFY, lambda client, message: [message, edits.a_certificate(client, friends)]))


def add_certificates():
    for name, make in (
        ("garbage", lambda mesh: [b"\x30\x82" + bytes(300)]),
        ("no bytes", lambda mesh: [b""]),
        ("a leaf cut short", lambda mesh: [der(mesh.friend)[:-9]]),
        ("a byte behind the leaf", lambda mesh: [der(mesh.friend) + b"\0"]),
        ("64 kB", lambda mesh: [der(mesh.friend) + bytes(65000)]),
        ("200 certificates", lambda mesh: [der(mesh.friend)] + 200 * [der(mesh.foe)]),
    ):
        row(f"Certificate: {name}", "friend", lambda mesh, make=make: edits.certificates(*make(mesh)))
    row("Certificate: 50 certificates behind the leaf", "friend", lambda mesh: edits.certificates(
        der(mesh.friend), *50 * [der(mesh.foe)]), may=True)
    friendly("Certificate: a length of 16 MB", lambda: edits.replace_and_mute(
        CERTIFICATE, edits.record(22, b"\x0b\xff\xff\xff" + bytes(9000))))
    friendly("Certificate: a wrong length at its end", lambda: edits.body(CERTIFICATE, lambda client, old: old[:-1] + b"\xff\xff"))


def add_proofs():
    friendly("proof: a wrong bit", lambda: edits.flipped(VERIFY, -1))
    friendly("proof: an empty signature", lambda: edits.body(VERIFY, lambda client, old: old[:2] + b"\0\0"))
    friendly("proof: an empty message", lambda: edits.body(VERIFY, lambda client, old: b""))
    row("proof: by another key", "friend", lambda mesh: edits.signed_by(mesh.foe))
    row("proof: over another transcript", "friend", lambda mesh: edits.signed_over_the_hello(mesh.friend))
    row("proof: the signature of a server", "friend", lambda mesh: edits.signed_by(mesh.friend, tag=b"server"), versions=TLS13)
    row("proof: with SHA-1", "friend", lambda mesh: edits.signed_by(mesh.friend, scheme=(2, 3)))
    row("proof: with SHA-512", "friend", lambda mesh: edits.signed_by(mesh.friend, scheme=(6, 3)), may=True, versions=TLS12)
    for name, scheme in (("P-384", (5, 3)), ("RSA-PSS", (8, 4)), ("Ed25519", (8, 7)), ("nothing", (0, 0)), ("DSA", (4, 2))):
        friendly(f"proof: labelled {name}", lambda scheme=scheme: edits.labelled(scheme))
    friendly("Finished: a wrong bit", lambda: edits.flipped(FINISHED, 0))
    friendly("Finished: empty", lambda: edits.body(FINISHED, lambda client, old: b""))
    friendly("Finished: cut short", lambda: edits.body(FINISHED, lambda client, old: old[:-1]))
    friendly("Finished: a byte more", lambda: edits.body(FINISHED, lambda client, old: old + b"\0"))


def add_strange_messages():
    for name, message in (
        ("HelloRequest", handshake(0)), ("ServerHello", handshake(2, bytes(40))), ("NewSessionTicket", handshake(4, bytes(8))),
        ("EndOfEarlyData", handshake(5)), ("CertificateRequest", handshake(13, bytes(8))), ("ServerHelloDone", handshake(14)),
        ("CertificateStatus", handshake(22, bytes(4))), ("KeyUpdate", edits.key_update()), ("type 99", handshake(99, bytes(4))),
        ("message_hash", handshake(254, bytes(32))), ("data", edits.data()), ("data without bytes", edits.record(23)),
        ("a fatal alert", edits.fatal()), ("close_notify", edits.warning(0)), ("50 warnings", edits.warning()),
        ("a heartbeat", edits.heartbeat()), ("a record of type 99", edits.record(99, b"x")),
    ):
        count = 50 if name.startswith("50") else 1
        friendly(f"amid: {name}", lambda message=message, count=count: edits.before(CERTIFICATE, *count * [message]))
    for versions in (TLS12, TLS13):
        friendly("amid: a record without bytes", lambda: edits.before(CERTIFICATE, edits.record(22)),
                 may=versions == TLS12, versions=versions)
    friendly("amid: a warning", lambda: edits.before(CERTIFICATE, edits.warning()), may=True)
    friendly("amid: ChangeCipherSpec", lambda: edits.before(CERTIFICATE, edits.ccs()), may=True, versions=TLS13)
    friendly("amid: 40 ChangeCipherSpec", lambda: edits.before(CERTIFICATE, *40 * [edits.ccs()]), versions=TLS13)
    friendly("amid: data before Finished", lambda: edits.before(FINISHED, edits.data()))
    friendly("amid: KeyUpdate before Finished", lambda: edits.before(FINISHED, edits.key_update()))


def add_records():
    for size in (5, 300):
        friendly(f"records: {size} bytes each", lambda size=size: edits.records_of(size), may=True)
        row(f"records: {size} bytes each, by the denied", "foe", lambda mesh, size=size: edits.records_of(size))
    for kinds, versions in (((CERTIFICATE, VERIFY, FINISHED), TLS13), ((CERTIFICATE, KEY_EXCHANGE, VERIFY), TLS12)):
        friendly("records: one for all messages", lambda kinds=kinds: edits.together(*kinds), may=True, versions=versions)
        row("records: one for all messages, by the denied", "foe", lambda mesh, kinds=kinds: edits.together(*kinds),
            versions=versions)
    friendly("records: Certificate around data", lambda: edits.interrupted(CERTIFICATE, edits.data()))
    friendly("records: CertificateVerify around data", lambda: edits.interrupted(VERIFY, edits.data()))
    friendly("records: Certificate around a warning", lambda: edits.interrupted(CERTIFICATE, edits.warning()), may=True)
    for versions in (TLS12, TLS13):
        friendly("records: Certificate around ChangeCipherSpec", lambda: edits.interrupted(CERTIFICATE, edits.ccs()),
                 may=versions == TLS13, versions=versions)


def add_after():
    for name, messages, versions in (
        ("KeyUpdate of value 9", [edits.key_update(9)], TLS13), ("ChangeCipherSpec", [edits.ccs()], BOTH),
        ("Finished", [edits.finished()], BOTH), ("a Certificate that was not asked for", [handshake(CERTIFICATE, bytes(4))], BOTH),
        ("NewSessionTicket", [handshake(4, bytes(8))], BOTH), ("a heartbeat", [edits.heartbeat()], BOTH),
        ("50 warnings", 50 * [edits.warning()], BOTH), ("a fatal alert", [edits.fatal()], BOTH),
        ("HelloRequest", [handshake(0)], TLS13),
    ):
        row(f"after: {name}", after=edits.later(*messages), versions=versions)
    row("after: 40 times data without bytes", after=edits.later(*40 * [edits.record(23)]), of_nginx=True)
    for asked in (0, 1):
        for count in (1, 100):
            row(f"after: {count} KeyUpdate{', to be answered' * asked}", after=edits.updates(count, asked), may=True,
                versions=TLS13, of_nginx=count > 1)
    row("after: the hello again", after=edits.hello_again)


def add_hellos():
    for name, number, versions in (
        ("signature_algorithms", 13, BOTH), ("supported_groups", 10, BOTH), ("ec_point_formats", 11, BOTH),
        ("extended_master_secret", 23, TLS12), ("session_ticket", 35, TLS12), ("key_share", 51, TLS13),
        ("psk_key_exchange_modes", 45, TLS13), ("post_handshake_auth", 49, TLS13), ("supported_versions", 43, TLS13),
    ):
        friendly(f"hello: without {name}", lambda number=number: edits.without(number), may=True, versions=versions)
    friendly("hello: early data, which no key decrypts", edits.announce_early_data, may=True, versions=TLS13)
    row("hello: a fallback", settings={"sendFallbackSCSV": True}, versions=TLS12)
    own_psk = {"pskConfigs": [(b"friend", b"\1" * 32)]}
    row("hello: a PSK of one's own, by the denied", "foe", settings=own_psk, versions=TLS13)
    row("hello: a PSK of one's own, no certificate", "", settings=own_psk, versions=TLS13)
    old = b"\x00\x00\x2d\x01\x00\x00\x29"
    for name, data in (
        ("SSLv2 hello", b"\x80\x2e\x01\x03\x03\x00\x15\x00\x00\x00\x10" + b"\x00\x00\x2f\x00\x00\x35\x01\x00\x80" * 2 + bytes(19)),
        ("SSLv3 hello", b"\x16\x03" + old + b"\x03\x00" + bytes(32) + b"\x00\x00\x02\xc0\x09\x01\x00"),
        ("TLS 1.0 hello", b"\x16\x03" + old + b"\x03\x01" + bytes(32) + b"\x00\x00\x02\xc0\x09\x01\x00"),
        ("HTTP without TLS", b"GET / HTTP/1.0\r\n\r\n"), ("nothing", b""), ("a byte", b"\x16"), ("garbage", b"\xff" * 64),
        ("an empty hello", b"\x16\x03\x01\x00\x04\x01\x00\x00\x00"), ("data", b"\x17\x03\x03\x00\x05hello"),
        ("a record too long", b"\x16\x03\x01\xff\xff" + bytes(64)), ("an alert", b"\x15\x03\x01\x00\x02\x02\x28"),
        ("a heartbeat", b"\x18\x03\x01\x00\x03\x01\x40\x00"),
    ):
        row(f"bytes: {name}", versions=TLS13, raw=data)


def add_sessions():
    """Add the rows that offer a session of the friend, from the plain server."""
    def offered(name, party, make=None, **more):
        row(f"session: {name}", party, make and (lambda mesh: edits.instead(HELLO, make)), session=True, **more)

    offered("by the friend", "friend", may=True)
    offered("by the denied", "foe")
    offered("without a certificate", "")
    offered("altered, by the friend", "friend", edits.altered_ticket, may=True)
    offered("altered, without a certificate", "", edits.altered_ticket)
    offered("a wrong binder, by the friend", "friend", edits.wrong_binder, may=True, versions=TLS13)
    offered("a wrong binder, without a certificate", "", edits.wrong_binder, versions=TLS13)


for add in (add_whole_handshakes, add_skipped, add_repeated_and_moved, add_others_certificates, add_certificates, add_proofs,
            add_strange_messages, add_records, add_after, add_hellos, add_sessions):
    add()

CASES = [(one, version) for one in ROWS for version in one.versions]
