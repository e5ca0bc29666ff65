# SPDX-License-Identifier: Apache-2.0
"""A scripted agent: answers like Consul, except where a test says otherwise.

An answer is a callable that takes the connection. The default answers are right, and the CA is the
test's own. A process cannot wait for its changes, unless it is made `watchable`.
"""

import ctypes
import json
import os
import re
import socket
import struct
import threading
import urllib.parse
from dataclasses import dataclass, field

from ca import Authority, TRADITIONAL, ec_key, service_uri
from processes import wait_until

ROOTS = "/v1/agent/connect/ca/roots"
LEAF = "/v1/agent/connect/ca/leaf/"
AUTHORIZE = "/v1/agent/connect/authorize"
INTENTIONS = "/v1/connect/intentions"
LATEST = "index=4611686018427387904&wait=1us"  # how a process asks for a leaf of which it knows no index
TRUST_DOMAIN = "11111111-2222-3333-4444-555555555555.consul"
SO_ATTACH_FILTER = 26  # Linux, asm-generic/socket.h
GENEROUS = 60  # seconds until an unused connection is given up


@dataclass
class Request:
    method: str
    target: str  # as it came, not decoded
    headers: dict
    body: bytes
    stopping: threading.Event = field(default_factory=threading.Event)  # of the agent, as of its connection

    @property
    def path(self):
        return self.target.partition("?")[0]

    @property
    def query(self):
        return dict(urllib.parse.parse_qsl(self.target.partition("?")[2], keep_blank_values=True))

    @property
    def json(self):
        return json.loads(self.body)

    @property
    def waits(self):
        """Return true for a request of a watch. No other request waits for changes."""
        return self.query.get("wait", "1us") != "1us"

    @property
    def index(self):
        return int(self.query.get("index", 0))


@dataclass
class Connection:
    socket: socket.socket
    stopping: threading.Event
    request: Request = field(default=None)

    def send(self, data):
        self.socket.sendall(data)

    def read_request(self):
        stream = self.socket.makefile("rb")
        method, target, _ = stream.readline().decode("latin-1").split(" ", 2)
        headers = {}
        for line in iter(stream.readline, b"\r\n"):
            name, _, value = line.decode("latin-1").partition(":")
            headers[name.strip().lower()] = value.strip()
        body = stream.read(int(headers.get("content-length", "0")))
        self.request = Request(method, target, headers, body, self.stopping)
        return self.request


def raw(status, body=b"", reason="Status", **headers):
    """Answer with this status, body and further headers."""
    body = body.encode() if isinstance(body, str) else body
    lines = [f"HTTP/1.1 {status} {reason}", f"Content-Length: {len(body)}", "Connection: close"]
    lines += [f"{name.replace('_', '-')}: {value}" for name, value in headers.items()]
    return lambda connection: connection.send("\r\n".join(lines + ["", ""]).encode() + body)


def value(value, status=200, **headers):
    """Answer with this JSON value."""
    return raw(status, json.dumps(value, indent=4) + "\n", Content_Type="application/json", **headers)


def seconds(duration):
    """Return the seconds of a duration in Consul's notation, like 10ms or 1us."""
    number, unit = re.fullmatch(r"(\d+)(us|ms|s)", duration).groups()
    return int(number) * {"us": 1e-6, "ms": 1e-3, "s": 1}[unit]


def cut(body, claimed):
    """Answer with a body that is shorter than its Content-Length."""
    head = f"HTTP/1.1 200 OK\r\nContent-Length: {claimed}\r\n\r\n".encode()
    return lambda connection: connection.send(head + body.encode())


def flood(connection, megabytes=64):
    """Answer with a body without an end, until the client has had enough."""
    connection.send(b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n\r\n")
    for _ in range(16 * megabytes):
        if connection.stopping.is_set():
            return
        connection.send(b" " * 65536)


def declared(size):
    """Answer with a body that announces its excessive size, and then comes."""
    def answer(connection):
        connection.send(f"HTTP/1.1 200 OK\r\nContent-Length: {size}\r\n\r\n".encode())
        for _ in range(size // 65536 + 1):
            connection.send(b" " * 65536)
    return answer


def text(answer):
    """Answer with these characters and nothing else."""
    return lambda connection: connection.send(answer.encode("latin-1"))


def header_flood(connection, megabytes=64):
    """Answer with headers without an end."""
    connection.send(b"HTTP/1.1 200 OK\r\n")
    line = b"X-More: " + 1000 * b"x" + b"\r\n"
    for _ in range(1024 * megabytes):
        if connection.stopping.is_set():
            return
        connection.send(line)


def silent(connection):
    """Take the request, and never answer."""
    connection.stopping.wait(GENEROUS)


def slow_headers(connection):
    """Answer with headers that never end, one a moment."""
    connection.send(b"HTTP/1.1 200 OK\r\n")
    while not connection.stopping.wait(0.05):
        connection.send(b"X-More: yes\r\n")


def drip(connection):
    """Answer with a body that comes a byte at a time, and would take for ever."""
    connection.send(b"HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\n")
    while not connection.stopping.wait(0.05):
        connection.send(b" ")


def hang_up(connection):
    """Close without a byte."""


def reset(connection):
    """Reset the connection."""
    connection.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))


def redirect(target):
    return raw(302, "", Location=target)


def black_hole(endpoint):
    """Drop all packets to this socket from now on, before TCP sees them: not even an ACK is sent."""
    drop = ctypes.create_string_buffer(struct.pack("HBBI", 0x06, 0, 0, 0), 8)  # BPF: return 0
    endpoint.setsockopt(socket.SOL_SOCKET, SO_ATTACH_FILTER, struct.pack("HP", 1, ctypes.addressof(drop)))


class FakeAgent:
    def __init__(self, authority=None, unix=None):
        self.authority = authority or Authority(TRUST_DOMAIN)
        self.unix = unix
        self.requests = []
        self.answers = {}
        self.leaves = {}
        self.trust_domain = self.authority.trust_domain
        self.watchable = False
        self.indexes = dict.fromkeys((ROOTS, LEAF, INTENTIONS), 1)
        self.changed = threading.Condition()
        self.open = set()  # connections
        self.listener = None
        self.port = 0
        self.start()

    # -- for tests --

    def answer(self, kind, answer):
        """Answer requests of one kind (ROOTS, LEAF, ...) like this, or as usual for None."""
        self.answers[kind] = answer

    def change(self, kind):
        """End the blocking queries of this kind."""
        with self.changed:
            self.indexes[kind] += 1
            self.changed.notify_all()

    def await_told(self, kind, change, meanwhile=lambda: None):
        """Make a change, and return once a watch has heard of it: then it waits from that index on.

        Any further question is no sign. The watch may ask it because the wait of an earlier one has ended.
        A process that is not busy does not ask for all kinds. `meanwhile` may keep it busy.
        """
        change()

        def is_told():
            meanwhile()
            asked = [request for request in self.seen(kind) if request.waits]
            return asked and asked[-1].index >= self.newest(kind, asked[-1])

        wait_until(is_told, f"a question for {kind} with the index of the change")

    def newest(self, kind, _):
        """Return the present index of an answer."""
        return self.indexes[kind]

    def vanish(self):
        """Vanish as if the network dropped all packets, silently."""
        for endpoint in [self.listener, *list(self.open)]:
            black_hole(endpoint)

    def seen(self, kind):
        return [request for request in self.requests if kind in request.path]

    @property
    def address(self):
        return f"unix://{self.unix}" if self.unix else f"127.0.0.1:{self.port}"

    # -- the right answers --

    def roots(self):
        """Return the body of the roots answer."""
        return {"ActiveRootID": "01", "TrustDomain": self.trust_domain, "Roots": [self.root()]}

    def root(self, authority=None, **changes):
        authority = authority or self.authority
        root = {
            "ID": "01", "Name": "Fake Root", "SerialNumber": 2**64 - 1, "SigningKeyID": "01",
            "ExternalTrustDomain": self.trust_domain.partition(".")[0],
            "NotBefore": "2020-01-01T00:00:00Z", "NotAfter": "2040-01-01T00:00:00Z",
            "RootCert": authority.pem, "IntermediateCerts": None, "Active": True,
            "PrivateKeyType": "ec", "PrivateKeyBits": 256, "CreateIndex": 1, "ModifyIndex": 1,
        }
        root.update(changes)
        return root

    def leaf(self, service="web", identity=None, **changes):
        """Return the body of the leaf answer. A service keeps its leaf unless it is given another."""
        if service not in self.leaves:
            self.leaves[service] = self.authority.service(service, key=ec_key(), form=TRADITIONAL)
        identity = identity or self.leaves[service]
        leaf = {
            "SerialNumber": "08", "CertPEM": identity.certificate + identity.intermediates,
            "PrivateKeyPEM": identity.key, "Service": service,
            "ServiceURI": service_uri(self.trust_domain, service),
            "ValidAfter": "2020-01-01T00:00:00Z", "ValidBefore": "2040-01-01T00:00:00Z",
            "CreateIndex": 1, "ModifyIndex": 1,
        }
        leaf.update(changes)
        return leaf

    # -- the server --

    def start(self):
        """Listen, after a stop at the same address again."""
        self.stopping = threading.Event()
        if self.unix:
            self.listener = socket.socket(socket.AF_UNIX)
            self.listener.bind(str(self.unix))
        else:
            self.listener = socket.socket()
            self.listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            self.listener.bind(("127.0.0.1", self.port))
            self.port = self.listener.getsockname()[1]
        self.listener.listen(64)
        self.thread = threading.Thread(target=self.accept, args=(self.listener,), daemon=True)
        self.thread.start()

    def stop(self):
        if self.listener is None:
            return
        self.stopping.set()
        with self.changed:
            self.changed.notify_all()
        listener, self.listener = self.listener, None
        listener.shutdown(socket.SHUT_RDWR)
        listener.close()
        self.thread.join(GENEROUS)
        if self.unix:
            os.unlink(self.unix)

    def accept(self, listener):
        while True:
            try:
                client, _ = listener.accept()
            except OSError:
                return
            client.settimeout(GENEROUS)
            connection = Connection(client, self.stopping)
            threading.Thread(target=self.serve, args=(connection,), daemon=True).start()

    def serve(self, connection):
        with connection.socket:
            self.open.add(connection.socket)
            try:
                request = connection.read_request()
                self.requests.append(request)
                self.reply(connection, request)
            except (OSError, ValueError):
                pass  # the client has gone, which is for the test to judge
            finally:
                self.open.discard(connection.socket)

    def reply(self, connection, request):
        for kind in (ROOTS, LEAF, AUTHORIZE, INTENTIONS):
            if kind in request.path and (kind != INTENTIONS or self.watchable or kind in self.answers):
                answer = self.answers.get(kind) or self.usual(kind, request)
                break
        else:
            answer = raw(404, "")
        answer(connection)

    def headers(self, kind, request):
        """Return the headers of a blocking query, after a change or at the end of its wait."""
        if not self.watchable:
            return {}
        index = request.index
        wait = seconds(request.query.get("wait", "0ms"))
        with self.changed:
            self.changed.wait_for(
                lambda: self.indexes[kind] != index or request.stopping.is_set(), wait if index else 0)
            return {"X_Consul_Index": str(self.indexes[kind])}

    def usual(self, kind, request):
        if kind == AUTHORIZE:
            return value({"Authorized": True, "Reason": "Default behavior configured by ACLs"})
        headers = self.headers(kind, request)  # first: it waits
        if kind == ROOTS:
            return value(self.roots(), **headers)
        if kind == LEAF:
            return value(self.leaf(urllib.parse.unquote(request.path.partition(LEAF)[2])), **headers)
        return value({}, **headers)


def closed_port():
    """Return a socket that keeps its port from being listened on, until the test closes it."""
    holder = socket.socket()
    holder.bind(("127.0.0.1", 0))
    return holder
