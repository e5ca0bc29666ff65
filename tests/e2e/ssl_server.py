# SPDX-License-Identifier: Apache-2.0
"""A server on Python's ssl module that verifies no client, and prints the same as s_server.

Arguments: certificate file, key file, and optionally the highest TLS version.
"""

import signal
import socket
import ssl
import sys


def serve(context, client):
    try:
        with context.wrap_socket(client, server_side=True) as connection:
            print(f"CIPHER is {connection.cipher()[0]}", flush=True)
            print(connection.makefile("r").readline(), end="", flush=True)
            connection.sendall(sys.stdin.readline().encode())
    except OSError as error:
        print(f"ERROR {error}", flush=True)
    print("CONNECTION CLOSED", flush=True)


def main(certificate, key, highest="TLSv1_3"):
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)
    context.maximum_version = ssl.TLSVersion[highest]
    with socket.create_server(("127.0.0.1", 0)) as listener:
        print("ACCEPT 127.0.0.1:%d" % listener.getsockname()[1], flush=True)
        while True:
            client, _ = listener.accept()
            serve(context, client)


main(*sys.argv[1:])
