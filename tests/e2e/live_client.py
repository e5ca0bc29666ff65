# SPDX-License-Identifier: Apache-2.0
"""A client on Python's ssl module that lives long: a connection for each port that it reads.

It verifies no server by itself. It prints SERVED or REFUSED, and why.
"""

import socket
import ssl
import sys


def main():
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    print("READY", flush=True)
    for line in sys.stdin:
        try:
            plain = socket.create_connection(("127.0.0.1", int(line)), 20)
            with context.wrap_socket(plain, server_hostname="db.service.consul") as connection:
                connection.sendall(b"hello")
                print("SERVED" if connection.recv(64) == b"hello" else "REFUSED", flush=True)
        except OSError as error:
            print(f"REFUSED {error}", flush=True)


main()
