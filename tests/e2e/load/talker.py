# SPDX-License-Identifier: Apache-2.0
"""A client that connects again and again, and writes down the outcome of each connection.

Arguments: a JSON object with
    kind      "connect"  a Connect client by configuration alone: one context for ever, and no files
              "neutral"  without the provider: asks the agent for its leaf and the roots before each
                         connection, and verifies the server by them
              "early"    without the provider: presents these files and verifies by these roots, for ever
              "files"    without the provider: presents these files, if any, and verifies nobody
    servers   name: port
    address   of the agent, and service: who the client is        (neutral)
    files     certificate and key                                 (early, files)
    roots     as PEM                                              (early)
    record    the file to write to; folder: for files of its own
    pause     seconds between two connections
    offers    whether it offers its last session (which Python 3.11 leaks each time)
    rest      while a file of this name is there it does nothing, and says RESTING

A line of the record has begin and end of the connection (monotonic clock), the server and the own port. The outcome
follows: "served", "failed" or "resumed". At the end are the serial number of the server's leaf, and the server's
answer or the error. A neutral client that is not served adds a JSON object. The object has the presented
certificates, the roots of the verification, and the moment of the question for them.
"""

import http.client
import json
import os
import signal
import socket
import ssl
import sys
import time
import urllib.parse
import urllib.request

REQUEST = b"GET / HTTP/1.0\r\n\r\n"
PATIENCE = 20
LOCAL = urllib.request.build_opener(urllib.request.ProxyHandler({}))
VERSIONS = (ssl.TLSVersion.TLSv1_3, ssl.TLSVersion.TLSv1_2)


def chain_of(message, is_1_3):
    """Return the certificates, as DER, of a Certificate message (RFC 5246, 7.4.2; RFC 8446, 4.4.2)."""
    at = 4  # type and length
    if is_1_3:
        at += 1 + message[at]
    at += 3
    chain = []
    while at < len(message):
        end = at + 3 + int.from_bytes(message[at:at + 3], "big")
        chain.append(message[at + 3:end])
        at = end + (2 + int.from_bytes(message[end:end + 2], "big") if is_1_3 else 0)
    return chain


def names_of(certificates):
    """Return the serial number, subject and issuer of each."""
    from cryptography import x509  # a slow import, and seldom needed
    read = map(x509.load_der_x509_certificate, certificates)
    return [(str(one.serial_number), one.subject.rfc4514_string(), one.issuer.rfc4514_string()) for one in read]


def serial_of(certificate):
    """Return the number that follows the version in a certificate's DER (RFC 5280, 4.1)."""
    version = b"\xa0\x03\x02\x01\x02\x02"
    at = certificate.index(version) + len(version)
    return int.from_bytes(certificate[at + 1:at + 1 + certificate[at]], "big")


class Talker:
    def __init__(self, settings):
        self.__dict__.update(settings)
        self.contexts, self.sessions = {}, {}
        self.presented = []  # by the server, in the last handshake of a neutral client
        self.leaf, self.trusted = None, None  # of a neutral client: its leaf and the roots, as the agent gives them
        if self.kind != "neutral":
            self.make_contexts()

    # -- identity --

    def ask(self, path):
        with LOCAL.open(f"http://{self.address}/v1/agent/connect/ca/{path}", timeout=5) as response:
            return json.load(response)

    def make_contexts(self, roots="", files=None):
        self.contexts = {version: ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT) for version in VERSIONS}
        self.sessions = {}
        files = files or getattr(self, "files", None)
        for version, context in self.contexts.items():
            context.maximum_version = version
            context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
            if files:
                context.load_cert_chain(*files)
            if roots or self.kind == "early":
                context.load_verify_locations(cadata=roots or self.roots)
                context.verify_mode = ssl.CERT_REQUIRED
            if self.kind == "neutral":
                context._msg_callback = self.see

    def see(self, _connection, direction, version, _content_type, message_type, data):
        """Keep the presented certificates, also where a verification fails then."""
        if direction == "read" and message_type == ssl._TLSMessageType.CERTIFICATE:
            self.presented = chain_of(data, version == ssl.TLSVersion.TLSv1_3)

    def facts(self):
        """Return the presented certificates and the roots of a neutral client, as JSON."""
        held = [ssl.PEM_cert_to_DER_cert(root) for root in self.trusted]
        return json.dumps({"presented": names_of(self.presented), "held": names_of(held), "asked": self.asked})

    def renew(self):
        """Take the agent's roots and leaf, or keep the earlier leaf. Return False without any."""
        self.asked = time.monotonic()
        try:
            roots = [root["RootCert"].strip() + "\n" for root in self.ask("roots")["Roots"]]
        except (OSError, ValueError, http.client.HTTPException):
            return False
        try:
            leaf = self.ask("leaf/" + urllib.parse.quote(self.service, safe=""))
        except (OSError, ValueError, http.client.HTTPException):  # in the moment of a rotation
            leaf = self.leaf
        if leaf is None:
            return False
        if (self.trusted, self.leaf) == (roots, leaf):
            return True
        files = [os.path.join(self.folder, name) for name in ("leaf.pem", "leaf.key")]
        for file, text in zip(files, (leaf["CertPEM"], leaf["PrivateKeyPEM"])):
            with open(file, "w") as stream:
                stream.write(text)
        self.make_contexts("".join(roots), files)
        self.trusted, self.leaf = roots, leaf
        return True

    # -- one connection --

    def talk(self, port, version):
        """Return the own port, the outcome, the serial number of the server's leaf, and the answer or the error."""
        own, serial = 0, 0
        try:
            with socket.create_connection(("127.0.0.1", port), PATIENCE) as plain:
                # A server that sends no tickets is silent after the handshake: its ACK would come late.
                plain.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                own = plain.getsockname()[1]
                session = self.sessions.get((port, version))
                with self.contexts[version].wrap_socket(plain, session=session) as connection:
                    serial = serial_of(connection.getpeercert(True))
                    connection.sendall(REQUEST)
                    answer = b""
                    while data := connection.recv(4096):
                        answer += data
                    if connection.session_reused:
                        return own, "resumed", serial, ""
                    if self.offers:
                        self.sessions[port, version] = connection.session
        except OSError as error:
            facts = " " + self.facts() if self.kind == "neutral" and self.presented else ""
            return own, "failed", serial, f"{type(error).__name__}: {error}{facts}"
        text = " ".join(answer.decode("latin-1").split("\r\n\r\n")[-1].split())
        return own, "served" if answer else "failed", serial, text

    def run(self):
        resting, count = False, 0
        with open(self.record, "w", buffering=1) as record:
            while True:
                if os.path.exists(self.rest):
                    if not resting:
                        print("RESTING", flush=True)
                    resting = True
                    time.sleep(0.02)
                    continue
                resting = False
                for name, port in self.servers.items():
                    self.presented = []
                    if self.kind == "neutral" and not self.renew():
                        continue
                    began = time.monotonic()
                    own, outcome, serial, text = self.talk(port, VERSIONS[count % 2])
                    line = (f"{began:.6f}", f"{time.monotonic():.6f}", name, own, outcome, serial, text)
                    record.write("\t".join(str(field) for field in line) + "\n")
                    time.sleep(self.pause)
                count += 1


signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
Talker(json.loads(sys.argv[1])).run()
