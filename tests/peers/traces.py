# SPDX-License-Identifier: Apache-2.0
"""Handshakes of TLS-Attacker in wrong orders, and why those of a plain and a governed server end in other ways."""

import itertools
import pathlib
import subprocess
from typing import NamedTuple

ROOT = pathlib.Path(__file__).resolve().parents[2]
PACKAGES = ROOT / "build" / "setup" / "attacker"
SOURCE = ROOT / "tests" / "peers" / "attacker" / "Attacker.java"

FLIGHTS = {"TLS12": ("certificate", "key", "verify", "ccs", "finished"), "TLS13": ("certificate", "verify", "finished")}
PARTIES = ("friend", "foe")
THIEF = "thief"  # shows the certificate of the friend, and has the key of the denied service
REPLY = ("request", "reply")


class Trace(NamedTuple):
    party: str  # the second one of a connection with two is the other of the parties
    version: str
    name: str
    words: tuple
    right: bool = False  # a friend may be served
    of_nginx: bool = False  # s_server has the orders of the friend, which reach further
    renegotiates: bool = False

    @property
    def may(self):
        return self.right and self.party == "friend"


def orders(flight):
    """Yield each choice of the messages of a flight, each message once more at each place, and each two exchanged."""
    for count in range(len(flight) + 1):
        yield from itertools.combinations(flight, count)
    for message, place in itertools.product(flight, range(len(flight) + 1)):
        yield (*flight[:place], message, *flight[place:])
    for one, other in itertools.combinations(range(len(flight)), 2):
        changed = list(flight)
        changed[one], changed[other] = changed[other], changed[one]
        yield tuple(changed)


def named(version):
    """Yield the attacks that are no order of the flight. Each has a name, words, and whether a friend may be served."""
    flight = FLIGHTS[version]
    rest = flight[1:]
    without_proof = tuple(word for word in rest if word != "verify")
    yield "an empty Certificate", ("hello", "answer", "empty", *without_proof, *REPLY), False
    yield "an empty Certificate with a proof", ("hello", "answer", "empty", *rest, *REPLY), False
    yield "an empty Certificate, then one's own", ("hello", "answer", "empty", *flight, *REPLY), False
    yield "one's own Certificate, then an empty one", ("hello", "answer", "certificate", "empty", *rest, *REPLY), False
    yield "Finished before the server's answer", ("hello", "finished", "answer", *flight, *REPLY), False
    yield "two hellos", ("hello", "hello", "answer", *flight, *REPLY), False
    yield "ChangeCipherSpec before the hello", ("ccs", "hello", "answer", *flight, *REPLY), False
    yield "ChangeCipherSpec after the hello", ("hello", "ccs", "answer", *flight, *REPLY), version == "TLS13"
    yield "a hello after Finished", ("hello", "answer", *flight, "hello", *REPLY), False
    if version == "TLS12":
        yield "ChangeCipherSpec, and an empty secret", ("hello", "answer", "ccs", "no-secret", *flight, *REPLY), False
        yield "an empty secret", ("hello", "answer", "certificate", "key", "no-secret", "verify", "ccs", "finished", *REPLY), False
        return
    again = ("no-share", "hello", "retry", "share", "hello")
    yield "HelloRetryRequest", (*again, "answer", *flight, *REPLY), True
    yield "HelloRetryRequest, without a Certificate", (*again, "answer", "finished", *REPLY), False
    yield "HelloRetryRequest, without a proof", (*again, "answer", "certificate", "finished", *REPLY), False
    yield "HelloRetryRequest, again without a share", ("no-share", "hello", "retry", "hello", "answer", *flight, *REPLY), False
    yield "HelloRetryRequest, three hellos", (*again, "hello", "answer", *flight, *REPLY), False


def renegotiations():
    """Yield connections with a second handshake. s_server asks for a certificate in the first one only."""
    flight = FLIGHTS["TLS12"]
    first = ("hello", "answer", *flight, "end")
    for name, second in (
        ("no Certificate", ("again", "hello", "answer", "key", "ccs", "finished", "end")),
        ("another Certificate", ("other", "again", "hello", "answer", *flight, "end")),
        ("one's own Certificate", ("again", "hello", "answer", *flight, "end")),
        ("an empty Certificate", ("again", "hello", "answer", "empty", "key", "ccs", "finished", "end")),
    ):
        for party in PARTIES:
            yield Trace(party, "TLS12", f"renegotiation: {name}", (*first, *second, *REPLY), renegotiates=True)


def all_traces():
    for version, party in itertools.product(FLIGHTS, PARTIES):
        flight = FLIGHTS[version]
        for order in dict.fromkeys(orders(flight)):
            yield Trace(party, version, " ".join(order) or "nothing", ("hello", "answer", *order, *REPLY), order == flight,
                        of_nginx=party == "foe")
        for name, words, right in named(version):
            yield Trace(party, version, name, words, right)
    for version, flight in FLIGHTS.items():
        yield Trace(THIEF, version, "another's Certificate", ("hello", "answer", *flight, *REPLY))
    yield from renegotiations()


def is_for(trace, program):
    """Return whether a server is to meet it. A second handshake wants a server that allows one."""
    return trace.renegotiates == ("-client_renegotiation" in program) and not (trace.of_nginx and program != "nginx")


class Attacker:
    """The program in Java, which makes the connections."""

    def __init__(self, folder, mesh):
        self.files = {}
        for party, certificate, key in (("friend", mesh.friend, mesh.friend), ("foe", mesh.foe, mesh.foe),
                                        (THIEF, mesh.friend, mesh.foe)):
            self.files[party] = folder / f"{party}.trace.pem", folder / f"{party}.trace.key"
            self.files[party][0].write_text(certificate.certificate + certificate.intermediates)
            self.files[party][1].write_text(key.key)
        self.log = (folder / "attacker.txt").open("w+")
        self.process = subprocess.Popen(
            ["java", "-cp", f"{PACKAGES}/*", SOURCE], stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=self.log, text=True)

    def run(self, trace, port):
        """Return the answer of a server."""
        other = self.files["friend" if trace.party == "foe" else "foe"]
        fields = [port, trace.version, *self.files[trace.party], *other, " ".join(trace.words)]
        print(*fields, sep="\t", file=self.process.stdin, flush=True)
        answer = self.process.stdout.readline().strip()
        if not answer:
            self.log.seek(0)
            raise RuntimeError(f"TLS-Attacker has ended: {self.log.read()}")
        return answer

    def close(self):
        self.process.stdin.close()
        self.process.wait(60)
        self.log.close()


class Reason(NamedTuple):
    """A kind of difference: each answer of the two is one of these."""

    parties: tuple
    plain: tuple
    governed: tuple
    text: str


REFUSED = ("alert certificate_required", "alert handshake_failure")
REASONS = (
    Reason(("foe",),
           ("served", "alert unexpected_message", "alert bad_record_mac", "alert that is encrypted", "answered 400"),
           ("alert bad_certificate",),
           "The agent denies the service. The governed server refuses at its Certificate, and reads no further."),
    Reason(PARTIES, ("answered 400", "alert unexpected_message"), REFUSED,
           "nginx goes on without a certificate, up to the proof, or answers 400. The governed one refuses the empty list."),
)


def is_lost(answer, other):
    """Return whether an answer is the other one, whose alert did not arrive."""
    return answer == "closed" and other.startswith("alert ")


def reason(trace, plain, governed):
    """Return why these answers differ, or None."""
    for one in REASONS:
        if trace.party in one.parties and plain in one.plain and governed in one.governed:
            return one.text
    if trace.renegotiates and governed != "served":
        return "A governed server does not renegotiate."
    if is_lost(plain, governed) or is_lost(governed, plain):
        return "A server that closes before it has read all resets the connection. Its alert may be lost."
    return None


def judge(trace, plain, governed):
    """Return a fault, or the reason of a difference, each or None."""
    if governed == "served" and not trace.may:
        return "an unauthorized peer was served", None
    if plain == governed:
        return None, None
    why = reason(trace, plain, governed)
    return (None, why) if why else ("a difference without a reason", None)
