# SPDX-License-Identifier: Apache-2.0
"""A client on Python's ssl module, as any program uses it: says GET and prints what comes.

Arguments: port, host name or "", "check" or "trust" (no verification), highest version, CA file or "", count of
connections, and path. Each connection offers the session of the one before.
"""

import socket
import ssl
import sys


def main(port, host, checks, highest, ca_file, count, path="/"):
    context = ssl.create_default_context(cafile=ca_file or None)
    context.maximum_version = ssl.TLSVersion[highest]
    if checks == "trust":
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    session = None
    for _ in range(int(count)):
        plain = socket.create_connection(("127.0.0.1", int(port)), 10)
        with context.wrap_socket(plain, server_hostname=host or None, session=session) as connection:
            connection.sendall(f"GET {path} HTTP/1.1\r\nHost: {host or 'any'}\r\nConnection: close\r\n\r\n".encode())
            answer = b""
            while data := connection.recv(4096):
                answer += data
            session = connection.session
            print("ANSWER", answer.split(b"\r\n\r\n", 1)[-1].decode(), connection.version(),
                  "reused" if connection.session_reused else "new", flush=True)


main(*sys.argv[1:])
