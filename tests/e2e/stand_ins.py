# SPDX-License-Identifier: Apache-2.0
"""Stand-ins: the certificate and key files that a program loads in the place of a leaf."""

import base64

# The comment of such files in README.
COMMENT = 'Only the OpenSSL provider "consul" reads this key. "unsupported"? OPENSSL_CONF does not load it in this program.'


def key_file(programs, uri):
    """Write the private key of every stand-in, which only the provider can read."""
    content = base64.b64encode(uri.encode()).decode()
    return programs.write("stand-in.key", f"{COMMENT}\n-----BEGIN CONSUL URI-----\n{content}\n-----END CONSUL URI-----\n")


def make(programs, uri, *names):
    """Make a stand-in by openssl as the documentation says. Return its certificate and key files."""
    key, certificate = key_file(programs, uri), programs.path("stand-in.pem")
    alternatives = ",".join([f"URI:{uri}", *names])
    made = programs.openssl(
        "req", "-x509", "-new", "-key", key, "-days", "36500", "-subj", "/CN=stand-in",
        "-addext", f"subjectAltName={alternatives}", "-out", certificate,
        config=programs.config("127.0.0.1:1"), env=programs.leaks_allowed())
    assert made.code == 0, made
    return certificate, key
