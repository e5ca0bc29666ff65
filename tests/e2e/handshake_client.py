# SPDX-License-Identifier: Apache-2.0
"""A client on Python's ssl module. Each line that it reads is a port and a version of TLS, for one connection.

It prints ESTABLISHED where a handshake succeeds, says hello, and prints SERVED or ENDED, with the reason. With a file of
CA certificates as its argument it verifies by these, and otherwise by nothing.
"""

import socket
import ssl
import sys

VERSIONS = {"TLS 1.2": ssl.TLSVersion.TLSv1_2, "TLS 1.3": ssl.TLSVersion.TLSv1_3}
NAME = "db.service.consul"


def context_of(version, ca_file):
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.maximum_version = version
    if ca_file:
        context.load_verify_locations(ca_file)
    else:
        context.verify_mode = ssl.CERT_NONE
    return context


def talk(context, port):
    """Return the end of a connection, as it is printed."""
    end = "ENDED"
    try:
        plain = socket.create_connection(("127.0.0.1", port), 60)
        with context.wrap_socket(plain, server_hostname=NAME) as connection:
            end = "ESTABLISHED ENDED"
            connection.sendall(b"hello")
            answer = connection.recv(64)
            return "ESTABLISHED SERVED" if answer == b"hello" else f"{end} without an answer"
    except OSError as error:
        return f"{end} by {error}"


def main(ca_file=""):
    contexts = {name: context_of(version, ca_file) for name, version in VERSIONS.items()}
    print("READY", flush=True)
    for line in sys.stdin:
        port, version = line.strip().split(",")
        print(talk(contexts[version], int(port)), flush=True)


main(*sys.argv[1:])
