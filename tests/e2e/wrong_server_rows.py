# SPDX-License-Identifier: Apache-2.0
"""The handshakes that a wrong server tries. `right` is the service that the client asks for.

`other` is another service of the mesh. `stranger` has a leaf with the right name, of a CA of its own.
"""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import foreign_edits as edits
from ca import Authority, Identity, self_signed, service_uri
from foreign_client import CERTIFICATE, FINISHED, VERIFY, handshake
from foreign_edits import CCS
from foreign_rows import BOTH, TLS12, TLS13, der
from processes import Process
from programs import PYTHON
from wrong_server import DONE, EXTENSIONS, HELLO, KEY_EXCHANGE, REQUEST, Offer, is_retry, listen, meet, retry_for

# foreign_client has found the package.
from tlslite.extensions import TLSExtension

SCRIPT = Path(__file__).with_name("handshake_client.py")
SERVICE = "db"  # the client asks for it
ROWS = []
X25519, P256 = 29, 23
TICKETS = {"ticketKeys": [bytearray(32)], "ticket_count": 2}
RETRIED = {"eccCurves": ["secp256r1"], "keyShares": ["secp256r1"]}  # the client sends a share of X25519


@dataclass
class Parties:
    right: Identity
    other: Identity
    stranger: Identity
    nobody: Identity


def parties_of(agent):
    return Parties(
        agent.leaf(SERVICE), agent.leaf(f"other-{SERVICE}"), Authority(agent.trust_domain).service(SERVICE),
        self_signed([service_uri(agent.trust_domain, SERVICE)]))


def governed_client(programs, agent):
    """Start a client with the provider and no verification of its own."""
    config = programs.config(agent, service="wrong-server-client")
    return started(programs.start(Process, [PYTHON, SCRIPT], config, programs.leaks_allowed()))


def plain_client(programs, agent):
    """Start a client that verifies by the roots from a file."""
    roots = programs.write("roots.pem", "".join(agent.root_pems))
    return started(programs.start(Process, [PYTHON, SCRIPT, roots]))


def started(client):
    client.wait_for("READY")
    return client


CLIENTS = {"plain": plain_client, "governed": governed_client}
REASONS = {
    "another service": "A plain client knows no services. The governed one is held to the service of its host name.",
    "Certificate: the right one behind one's own, other": "A plain client knows no services, as above.",
    "hello: a ticket": "A governed client asks for no ticket. So OpenSSL finds an earlier fault in this one.",
}


@dataclass
class Row:
    name: str
    edit: Any = None  # takes the parties, and returns the edit of one connection
    shows: str = "right"  # the party whose certificate the server shows
    proves: str = ""  # the party whose key it has, if not the same
    may: bool = False  # the client may talk to it
    late: bool = False  # the right server goes wrong after the client has trusted it
    versions: tuple = BOTH
    client: str = ""  # the highest version of the client, if it is not that of the server
    asks: bool = False
    after: Any = None
    settings: dict = field(default_factory=dict)

    def offer(self, parties, version):
        shown = getattr(parties, self.shows)
        key = getattr(parties, self.proves) if self.proves else shown
        return Offer(version, shown, key, self.edit and self.edit(parties), self.asks, self.after, self.settings)

    def run(self, parties, version, client):
        """Have a client meet the server, and return what was seen of it."""
        with listen() as listener:
            mark = client.size()
            client.say(f"{listener.getsockname()[1]},{self.client or version}")
            seen = meet(listener, self.offer(parties, version))
        seen.says = client.wait_for(r"(?:SERVED|ENDED)[^\r\n]*\r?\n", mark).string[:-1]
        return seen


def row(name, make_edit=None, **more):
    """Add a row whose edit needs no party."""
    ROWS.append(Row(name, make_edit and (lambda parties: make_edit()), **more))


def with_parties(name, edit, **more):
    ROWS.append(Row(name, edit, **more))


def add_right():
    row("the right server", may=True)
    row("a request for a certificate", asks=True, may=True)
    row("HelloRetryRequest", settings=RETRIED, may=True, versions=TLS13)
    row("tickets", settings=TICKETS, may=True, versions=TLS13)
    row("records of 5 bytes", lambda: edits.records_of(5), may=True)
    row("a warning before Certificate", lambda: edits.before(CERTIFICATE, edits.warning()), may=True, versions=TLS12)


def add_certificates():
    row("another service", shows="other")
    row("another CA", shows="stranger")
    row("self-signed", shows="nobody")
    row("the right certificate without its key", proves="other")
    row("the right certificate and a stranger's key", proves="stranger")

    def shown(name, make, **more):
        with_parties(f"Certificate: {name}", lambda parties: edits.certificates(*make(parties)), **more)

    shown("none", lambda parties: [])
    shown("garbage", lambda parties: [b"\x30\x82" + bytes(300)])
    shown("no bytes", lambda parties: [b""])
    shown("cut short", lambda parties: [der(parties.right)[:-9]])
    shown("a byte behind the leaf", lambda parties: [der(parties.right) + b"\0"])
    for party in ("other", "stranger", "nobody"):
        shown(f"the right one behind one's own, {party}", lambda parties, party=party: [
            der(getattr(parties, party)), der(parties.right)], shows=party)
        shown(f"the right one before one's own, {party}", lambda parties, party=party: [
            der(parties.right), der(getattr(parties, party))], shows=party)
    with_parties("Certificate: a stranger's, then the right one", lambda parties: edits.instead(
        CERTIFICATE, lambda server, message: [edits.a_certificate(server, der(parties.stranger)), message]))
    with_parties("Certificate: the right one, then a stranger's", lambda parties: edits.instead(
        CERTIFICATE, lambda server, message: [edits.a_certificate(server, der(parties.right)), message]), shows="stranger")


def add_skipped():
    for name, kinds, versions in (
        ("ServerHello", [HELLO], BOTH), ("Certificate", [CERTIFICATE], BOTH), ("ServerKeyExchange", [KEY_EXCHANGE], TLS12),
        ("Certificate and ServerKeyExchange", [CERTIFICATE, KEY_EXCHANGE], TLS12),
        ("CertificateVerify", [VERIFY], TLS13), ("Certificate and CertificateVerify", [CERTIFICATE, VERIFY], TLS13),
        ("EncryptedExtensions", [EXTENSIONS], TLS13), ("ChangeCipherSpec", [CCS], TLS12),
    ):
        row(f"skipped: {name}", lambda kinds=kinds: edits.drop(*kinds), versions=versions)
    row("skipped: Certificate and CertificateVerify, by another CA", lambda: edits.drop(CERTIFICATE, VERIFY),
        shows="stranger", versions=TLS13)
    row("skipped: Finished, data in its place", lambda: edits.instead(FINISHED, lambda server, message: [edits.data()]))
    for name, kind, versions in (
        ("Certificate", CERTIFICATE, BOTH), ("ServerKeyExchange", KEY_EXCHANGE, TLS12), ("ServerHelloDone", DONE, TLS12),
        ("CertificateVerify", VERIFY, TLS13), ("ChangeCipherSpec", CCS, TLS12), ("Finished", FINISHED, BOTH),
    ):
        row(f"left before {name}", lambda kind=kind: edits.mute_before(kind), versions=versions)


def add_repeated_and_moved():
    for name, kind, versions in (
        ("ServerHello", HELLO, BOTH), ("EncryptedExtensions", EXTENSIONS, TLS13), ("CertificateRequest", REQUEST, BOTH),
        ("Certificate", CERTIFICATE, BOTH), ("CertificateVerify", VERIFY, TLS13), ("ServerKeyExchange", KEY_EXCHANGE, TLS12),
        ("ServerHelloDone", DONE, TLS12), ("ChangeCipherSpec", CCS, TLS12), ("Finished", FINISHED, BOTH),
    ):
        row(f"twice: {name}", lambda kind=kind: edits.twice(kind), asks=kind == REQUEST, late=kind == FINISHED, versions=versions)
    row("moved: Certificate after CertificateVerify", lambda: edits.swap(CERTIFICATE, VERIFY), versions=TLS13)
    row("moved: Certificate after ServerKeyExchange", lambda: edits.swap(CERTIFICATE, KEY_EXCHANGE), versions=TLS12)
    row("moved: CertificateRequest after Certificate", lambda: edits.swap(REQUEST, CERTIFICATE), asks=True, versions=TLS13)
    row("early: Finished before Certificate", lambda: edits.before(CERTIFICATE, edits.finished()))
    row("early: ChangeCipherSpec before Certificate", lambda: edits.before(CERTIFICATE, edits.ccs()), versions=TLS12)
    row("early: data before Certificate", lambda: edits.before(CERTIFICATE, edits.data()))
    row("early: data before Finished", lambda: edits.before(FINISHED, edits.data()))


def add_retries():
    row("HelloRetryRequest twice", retried_again, settings=RETRIED, versions=TLS13)
    for name, group in (("the offered group", X25519), ("a group that is not offered", 0x6399)):
        row(f"HelloRetryRequest for {name}", lambda group=group: edits.instead(
            HELLO, lambda server, message: [retry_for(group, message)]), versions=TLS13)
    row("HelloRetryRequest after ServerHello", lambda: edits.instead(
        HELLO, lambda server, message: [message, retry_for(P256, message)]), versions=TLS13)


def retried_again():
    kept = []

    def make(server, message):
        if is_retry(message):
            kept.append(edits.raw_copy(message))
            return [message]
        return kept
    return edits.instead(HELLO, make)


def add_proofs():
    for name, kind, versions in (("CertificateVerify", VERIFY, TLS13), ("ServerKeyExchange", KEY_EXCHANGE, TLS12)):
        row(f"proof: a wrong bit of {name}", lambda kind=kind: edits.flipped(kind, -1), versions=versions)
        row(f"proof: {name} without bytes", lambda kind=kind: edits.body(kind, lambda server, old: b""), versions=versions)
    row("proof: another share in ServerKeyExchange", lambda: edits.flipped(KEY_EXCHANGE, 9), versions=TLS12)
    row("proof: ServerKeyExchange without a signature", lambda: edits.body(
        KEY_EXCHANGE, lambda server, old: old[:4 + old[3]]), versions=TLS12)
    with_parties("proof: of a client", lambda parties: edits.signed_by(parties.right, tag=b"client"), versions=TLS13)
    with_parties("proof: over another transcript", lambda parties: edits.signed_over_the_hello(parties.right, tag=b"server"),
                 versions=TLS13)
    with_parties("proof: with SHA-1", lambda parties: edits.signed_by(parties.right, tag=b"server", scheme=(2, 3)), versions=TLS13)
    for name, scheme in (("RSA-PSS", (8, 4)), ("nothing", (0, 0))):
        row(f"proof: labelled {name}", lambda scheme=scheme: edits.labelled(scheme), versions=TLS13)
    row("Finished: a wrong bit", lambda: edits.flipped(FINISHED, 0))
    row("Finished: empty", lambda: edits.body(FINISHED, lambda server, old: b""))
    row("Finished: a byte more", lambda: edits.body(FINISHED, lambda server, old: old + b"\0"))


def hello(change):
    """Change the ServerHello."""
    def make(server, message):
        change(message)
        return [message]
    return edits.instead(HELLO, make)


def add_hellos():
    def changed(name, change, versions):
        row(f"hello: {name}", lambda: hello(change), versions=versions)

    row("hello: a cipher that was not offered", lambda: edits.body(
        HELLO, lambda server, old: old[:35 + old[34]] + b"\x13\x06" + old[37 + old[34]:]))
    changed("a cipher without authentication", lambda message: setattr(message, "cipher_suite", 0xc018), TLS12)
    changed("a cipher without encryption", lambda message: setattr(message, "cipher_suite", 0xc006), TLS12)
    changed("the version of another protocol", lambda message: setattr(message, "server_version", (3, 9)), TLS12)
    changed("another session", lambda message: setattr(message, "session_id", bytearray(32)), TLS13)
    changed("a PSK that was not offered", lambda message: message.extensions.append(extension(41, b"\0\0")), TLS13)
    changed("early data", lambda message: message.extensions.append(extension(42)), TLS13)
    changed("a ticket", lambda message: message.extensions.append(extension(35)), TLS13)
    changed("no share", lambda message: message.extensions.pop(0), TLS13)
    row("hello: a session that is resumed at once", lambda: edits.instead(HELLO, resumed), versions=TLS12)
    row("hello: a sign of a downgrade, for a client of TLS 1.3", lambda: hello(downgraded), versions=TLS12, client="TLS 1.3")


def extension(kind, data=b""):
    return TLSExtension().create(kind, bytearray(data))


def downgraded(message):
    message.random[-8:] = b"DOWNGRD\1"


def resumed(server, message):
    message.session_id = bytearray(range(32))
    return [message, edits.ccs(), edits.finished()]


def add_strange_messages():
    for name, message, versions in (
        ("ClientHello", handshake(1, bytes(40)), BOTH), ("ClientKeyExchange", handshake(16, bytes(8)), BOTH),
        ("NewSessionTicket", handshake(4, bytes(8)), BOTH), ("KeyUpdate", edits.key_update(), TLS13),
        ("EndOfEarlyData", handshake(5), TLS13), ("CertificateStatus", handshake(22, bytes(4)), BOTH),
        ("type 99", handshake(99, bytes(4)), BOTH), ("a fatal alert", edits.fatal(), BOTH),
        ("close_notify", edits.warning(0), BOTH), ("a heartbeat", edits.heartbeat(), BOTH),
        ("message_hash", handshake(254, bytes(32)), TLS13), ("a compressed Certificate", handshake(25, bytes(8)), BOTH),
    ):
        row(f"amid: {name}", lambda message=message: edits.before(CERTIFICATE, message), versions=versions)


for add in (add_right, add_certificates, add_skipped, add_repeated_and_moved, add_retries, add_proofs, add_hellos,
            add_strange_messages):
    add()

def fault(row, seen):
    """Return what is wrong with a client that has met the server of a row, or None."""
    if row.may:
        return None if seen.served else "the right server was refused"
    if seen.trusted and not row.late:
        return "a wrong server was trusted"
    return None if "ENDED by" in seen.says else "no error ended the connection"


def judge(row, plain, governed):
    """Return a fault of the governed client, or the reason of its difference from the plain one, each or None."""
    wrong = fault(row, governed)
    if wrong or str(plain) == str(governed):
        return wrong, None
    return (None, REASONS[row.name]) if row.name in REASONS else ("a difference without a reason", None)


CASES = [(one, version) for one in ROWS for version in one.versions]
