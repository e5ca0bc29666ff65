# SPDX-License-Identifier: Apache-2.0
"""Scans of a server by sslyze, and why those of a plain and a governed server differ."""

import json
import os
import pathlib
import re
import subprocess

ROOT = pathlib.Path(__file__).resolve().parents[2]
PACKAGES = ROOT / "build" / "setup" / "sslyze"
PARTIES = ("friend", "foe", "nobody")
COMMANDS = ("certinfo", "compression", "early_data", "elliptic_curves", "ems", "fallback", "heartbleed", "openssl_ccs", "reneg",
            "resum", "robot", "sslv2", "sslv3", "tlsv1", "tlsv1_1", "tlsv1_2", "tlsv1_3")
# Each scan and each connection has its own, and the traces of errors name them. A cipher of two names has either.
OWN = re.compile(r"date_scans|\.uuid$|\.port$|ephemeral_key\.(public_bytes|x|y)$|error_trace|"
                 r"rejected_cipher_suites\[\d+\]\.cipher_suite\.openssl_name$")

PROBES = r"\.(session_renegotiation|session_resumption|tls_1_3_early_data)\.(error_reason|result|status)$"
REFUSED = "CLIENT_CERTIFICATE_NEEDED|None|ERROR"
REASONS = (  # the party, the field, the plain value, the governed one, and why
    ("friend", "session_resumption", r"FULLY_SUPPORTED|\d+", "NOT_SUPPORTED|0",
     "A governed server resumes no session."),
    ("foe", PROBES, ".*", REFUSED, "The agent denies the service. So no handshake ends."),
    ("nobody", PROBES, ".*", REFUSED, "nginx ends the handshake without a certificate, and answers 400."),
    ("nobody", "client_auth_requirement", "OPTIONAL", "REQUIRED",
     "nginx goes on without a certificate, and answers 400. The governed one demands it in the handshake."),
)


def files_of(folder, party, identity):
    """Write the certificate and key of a party. Return the options of sslyze that name them."""
    if identity is None:
        return []
    certificate, key = folder / f"{party}.scan.pem", folder / f"{party}.scan.key"
    certificate.write_text(identity.certificate + identity.intermediates)
    key.write_text(identity.key)
    return ["--cert", certificate, "--key", key]


def scan(folder, port, files):
    """Return the result of a scan, as sslyze writes it."""
    output = folder / "scan.json"
    subprocess.run(
        ["/usr/bin/python3", "-m", "sslyze", "--mozilla_config", "disable", "--quiet", "--json_out", output, *files,
         *(f"--{command}" for command in COMMANDS), f"127.0.0.1:{port}"],
        env={**os.environ, "PYTHONPATH": str(PACKAGES)}, capture_output=True, timeout=600, check=False)
    return json.loads(output.read_text())


def differences(plain, governed, field="scan"):
    """Yield the fields that differ, with both values, but for those of each scan's own."""
    if isinstance(plain, dict) and isinstance(governed, dict):
        for name in sorted(plain.keys() | governed.keys()):
            yield from differences(plain.get(name), governed.get(name), f"{field}.{name}")
    elif isinstance(plain, list) and isinstance(governed, list) and len(plain) == len(governed):
        for number, (one, other) in enumerate(zip(plain, governed)):
            yield from differences(one, other, f"{field}[{number}]")
    elif plain != governed and not OWN.search(field):
        yield field, plain, governed


def judge(party, field, plain, governed):
    """Return a fault, or the reason of a difference, each or None."""
    for name, part, one, other, why in REASONS:
        if (name == party and re.search(part, field)
                and re.fullmatch(one, str(plain), re.DOTALL) and re.fullmatch(other, str(governed))):
            return None, why
    return "a difference without a reason", None
