# SPDX-License-Identifier: Apache-2.0
"""Stand-ins: the certificate and key files that a program loads in the place of a leaf."""

from pathlib import Path

# The key of every stand-in, with its comment, as an example has it.
KEY = (Path(__file__).resolve().parents[2] / "examples" / "stand-in").read_text().split("END\n")[1]
BLOCK = KEY.split("\n", 1)[1]


def key_file(programs):
    """Write the private key of every stand-in, which only the provider can read."""
    return programs.write("stand-in.key", KEY)


def make(programs, uri, *names):
    """Make a stand-in by openssl as the documentation says. Return its certificate and key files."""
    key, certificate = key_file(programs), programs.path("stand-in.pem")
    alternatives = ",".join([f"URI:{uri}", *names])
    made = programs.openssl(
        "req", "-x509", "-new", "-key", key, "-days", "36500", "-subj", "/CN=stand-in",
        "-addext", f"subjectAltName={alternatives}", "-out", certificate,
        config=programs.config("127.0.0.1:1"), env=programs.leaks_allowed())
    assert made.code == 0, made
    return certificate, key
