# SPDX-License-Identifier: Apache-2.0
"""Why a governed server answers a foreign client in another way than the plain one. Other differences are faults."""

from typing import NamedTuple

REFUSED = ("alert certificate_required", "alert handshake_failure")
SERVED = ("served", "served, warned of a downgrade")


class Reason(NamedTuple):
    """A kind of difference: each answer of the two is one of these."""

    rows: str  # how the names of the rows begin
    parties: tuple
    plain: tuple
    governed: tuple
    text: str


ANY = ("friend", "foe", "stranger", "")
REASONS = [
    Reason("", ("foe",), (*SERVED, "alert unexpected_message"), ("alert bad_certificate",),
           "The agent denies the service. The governed server refuses at its Certificate, and reads no further."),
    Reason("", ("stranger",), ("answered 400",), ("alert unknown_ca",),
           "nginx ends the handshake with a client that fails, and answers 400. The governed one ends in the handshake."),
    Reason("", ("",), ("answered 400",), REFUSED,
           "nginx ends the handshake with a client that fails, and answers 400. The governed one ends in the handshake."),
    Reason("an empty list", ("friend",), ("alert unexpected_message",), REFUSED,
           "nginx goes on without a certificate, up to the proof. The governed one refuses the empty list."),
    Reason("session: ", ANY, tuple(f"served, resumed{rest}" for rest in ("", ", warned of a downgrade")),
           (*SERVED, "alert bad_certificate", *REFUSED),
           "The governed server resumes no session. It decides by the certificate of this connection."),
    Reason("session: a wrong binder", ANY, ("alert illegal_parameter", "alert decrypt_error"),
           ("served", "alert certificate_required"),
           "The governed server knows no ticket. So it looks at no binder, and decides by the certificate."),
]


def reason(row, plain, governed):
    """Return why these answers differ, or None."""
    for one in REASONS:
        if (row.name.startswith(one.rows) and row.party in one.parties
                and str(plain) in one.plain and str(governed) in one.governed):
            return one.text
    return None


def judge(row, plain, governed):
    """Return a fault in the pair of answers, or the reason of their difference, each or None."""
    if governed.served and not row.may:
        return "an unauthorized peer was served", None
    if str(plain) == str(governed):
        return None, None
    text = reason(row, plain, governed)
    return (None, text) if text else ("a difference without a reason", None)
