# SPDX-License-Identifier: Apache-2.0
"""A server that is several services, on a port each, in one process and thread.

Arguments: certificate and key file, for each service. Prints ACCEPT with the first address, and all ports in a
line PORTS; then it echoes one message for each connection.
"""

import select
import signal
import socket
import ssl
import sys


def context_of(files):
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(*files)
    return context


def serve(context, client):
    client.settimeout(20)
    try:
        with context.wrap_socket(client, server_side=True) as connection:
            connection.sendall(connection.recv(64))
    except OSError:
        pass  # refused, which the client sees


signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
contexts = {socket.create_server(("127.0.0.1", 0)): context_of(files) for files in zip(sys.argv[1::2], sys.argv[2::2])}
ports = [listener.getsockname()[1] for listener in contexts]
print(" ".join(["PORTS", *map(str, ports)]), flush=True)
print(f"ACCEPT 127.0.0.1:{ports[0]}", flush=True)
while True:
    for ready in select.select(list(contexts), [], [], 1)[0]:
        serve(contexts[ready], ready.accept()[0])
