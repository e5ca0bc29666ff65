# SPDX-License-Identifier: Apache-2.0
"""One address before several servers: each connection goes to the next server that takes it."""

import itertools
import selectors
import socket
import threading


class Balancer:
    def __init__(self, ports):
        self.turns = itertools.cycle(ports)
        self.count = len(ports)
        self.served = dict.fromkeys(ports, 0)  # connections, by port
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.port = self.listener.getsockname()[1]
        threading.Thread(target=self.accept, daemon=True).start()

    def accept(self):
        while True:
            try:
                client, _ = self.listener.accept()
            except OSError:
                return
            threading.Thread(target=self.relay, args=(client,), daemon=True).start()

    def connect(self):
        for port in itertools.islice(self.turns, self.count):
            try:
                server = socket.create_connection(("127.0.0.1", port), 10)
            except OSError:
                continue  # it is down
            self.served[port] += 1
            server.settimeout(None)
            return server
        return None

    def relay(self, client):
        server = self.connect()
        if server is None:
            client.close()
            return
        with client, server, selectors.DefaultSelector() as selector:
            for one, other in ((client, server), (server, client)):
                selector.register(one, selectors.EVENT_READ, other)
            try:
                while True:
                    for key, _ in selector.select():
                        data = key.fileobj.recv(65536)
                        if not data:
                            return
                        key.data.sendall(data)
            except OSError:
                pass  # either end has gone

    def close(self):
        self.listener.shutdown(socket.SHUT_RDWR)
        self.listener.close()
