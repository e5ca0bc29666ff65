# SPDX-License-Identifier: Apache-2.0
"""Many services on one agent: their processes, their clients, and the cost of both."""

import collections
import concurrent.futures
import http.client
import itertools
import json
import os
import re
import socket
import ssl
import subprocess
import threading
import time
from dataclasses import dataclass
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric import ec

import stand_ins
from ca import self_signed

PATIENCE = 30  # seconds for one connection
SERVED = b"served\n"
BACKLOG = 1024


@dataclass
class Visit:
    """A connection to a service, and its outcome."""

    service: str
    served: bool
    presented: bytes  # the server's certificate; empty where the handshake did not get that far
    began: float
    ended: float

    @property
    def took(self):
        return self.ended - self.began


def visit(port, context, service):
    """Visit a service as a client that begins a handshake well. It cannot tell the reason of a refusal."""
    began = time.monotonic()
    presented = answer = b""
    try:
        plain = socket.create_connection(("127.0.0.1", port), PATIENCE)
        with context.wrap_socket(plain, server_hostname=service) as connection:
            presented = connection.getpeercert(True)
            answer = connection.recv(64)
    except TimeoutError:
        raise
    except OSError:
        pass  # an alert, or a bare close
    return Visit(service, answer == SERVED, presented, began, time.monotonic())


def client(agent, name, folder):
    """Make the TLS context of a client of the mesh, which does not use the provider itself."""
    _, certificate, _, key, *_ = agent.leaf(name).files(folder, name)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    context.load_cert_chain(certificate, key)
    return context


def together(work, items, threads):
    """Do the work for all items, by so many threads."""
    with concurrent.futures.ThreadPoolExecutor(threads) as pool:
        return list(pool.map(work, items))


def stand_in_file(folder, service):
    """Write one file with the stand-in of a service and its key."""
    uri = f"consul:leaf/{service}"
    stand_in = self_signed([uri], key=ec.derive_private_key(1, ec.SECP256R1()))
    file = folder / f"{service}.pem"
    file.write_text(f"{stand_in.certificate}{stand_ins.BLOCK}")
    return file


def ordinary_file(folder, service):
    """Write the same for a server that is to run without the provider."""
    one = self_signed()
    file = folder / f"{service}.pem"
    file.write_text(one.certificate + one.key)
    return file


class Host:
    """A process that is some services, on one port."""

    def __init__(self, binary, environment, files, threads=1):
        listener = socket.create_server(("127.0.0.1", 0), backlog=BACKLOG)
        self.port = listener.getsockname()[1]
        self.services = [file.stem for file in files]
        with listener:
            self.child = subprocess.Popen(
                [binary, str(listener.fileno()), str(threads), *map(str, files)], env=environment,
                pass_fds=[listener.fileno()], stdin=subprocess.DEVNULL)

    def visit(self, context, service=None):
        return visit(self.port, context, service or self.services[0])

    def memory(self):
        """Return its share of the resident memory (PSS), in kB."""
        text = Path(f"/proc/{self.child.pid}/smaps_rollup").read_text()
        return int(re.search(r"^Pss:\s+(\d+) kB", text, re.M).group(1))

    def threads(self):
        return len(os.listdir(f"/proc/{self.child.pid}/task"))

    def connections(self, agent, among=None):
        """Return how many it holds to the agent; `among` is the result of connections()."""
        links = []
        for fd in os.listdir(f"/proc/{self.child.pid}/fd"):
            try:
                links.append(os.readlink(f"/proc/{self.child.pid}/fd/{fd}"))
            except FileNotFoundError:
                pass  # closed meanwhile
        among = connections(agent) if among is None else among
        return sum(f"socket:[{inode.decode()}]" in links for inode in among)

    def kill(self):
        self.child.kill()
        self.child.wait()


def connects():
    """Return how many TCP connections were begun in this network namespace."""
    names, values = (line.split() for line in open("/proc/net/snmp") if line.startswith("Tcp:"))
    return int(values[names.index("ActiveOpens")])


def descriptors(pid):
    return len(os.listdir(f"/proc/{pid}/fd"))


def connections(agent):
    """Return the sockets (inodes) of the established TCP connections to the agent."""
    port = b"%04X" % int(agent.address.rpartition(":")[2])
    rows = [line.split() for line in open("/proc/net/tcp", "rb")]
    return {row[9] for row in rows if row[2].endswith(b":" + port) and row[3] == b"01"}


class Meter:
    """The load of the agent over time: its descriptors, and connection attempts."""

    PERIOD = 0.02

    def __init__(self, agent):
        self.agent, self.samples, self.over = agent, [], threading.Event()
        self.thread = threading.Thread(target=self.watch, daemon=True)

    def __enter__(self):
        self.sample()
        self.thread.start()
        return self

    def __exit__(self, *_):
        self.over.set()
        self.thread.join()
        self.sample()

    def watch(self):
        while not self.over.wait(self.PERIOD):
            self.sample()

    def sample(self):
        try:
            held = descriptors(self.agent.process.child.pid)
        except (FileNotFoundError, ProcessLookupError):
            held = 0  # it has ended
        self.samples.append((time.monotonic(), held, connects()))

    @property
    def most_held(self):
        return max(held for _, held, _ in self.samples)

    @property
    def attempts(self):
        return self.samples[-1][2] - self.samples[0][2]

    @property
    def seconds(self):
        return self.samples[-1][0] - self.samples[0][0]

    def rates(self, period=1.0):
        """Connection attempts in each second."""
        start = self.samples[0][0]
        at = {int((moment - start) / period): total for moment, _, total in self.samples}
        steps = [self.samples[0][2], *(at[key] for key in sorted(at))]
        return [after - before for before, after in itertools.pairwise(steps)]


class Log:
    """The refusals that all these processes have written, by reason."""

    def __init__(self, path):
        self.path, self.mark = path, 0

    def since(self):
        """Count each reason since the last call. A process writes ten lines a second at most, and counts the rest."""
        text = self.path.read_text() if self.path.exists() else ""
        new, self.mark = text[self.mark:], len(text)
        reasons = re.findall(r"consul: ([^:]+): ", new)
        return collections.Counter(reason for reason in reasons if "not written here" not in reason)


class Leaves:
    """The leaves that the agent gives out, over one connection for each thread."""

    def __init__(self, agent):
        self.agent, self.mine = agent, threading.local()

    def get(self, service):
        """Return the certificate (DER), and the moment at which the agent is known to have it."""
        if not hasattr(self.mine, "connection"):
            self.mine.connection = http.client.HTTPConnection(self.agent.address, timeout=PATIENCE)
        self.mine.connection.request("GET", f"/v1/agent/connect/ca/leaf/{service}")
        with self.mine.connection.getresponse() as response:
            body = json.loads(response.read())
        end = "-----END CERTIFICATE-----\n"
        return ssl.PEM_cert_to_DER_cert(body["CertPEM"].partition(end)[0] + end), time.monotonic()


class Neighbour:
    """Holds connections to the agent and does not use them. It makes a lost connection anew."""

    def __init__(self, agent, count):
        host, port = agent.address.split(":")
        self.address, self.count, self.held, self.over = (host, int(port)), count, [], threading.Event()
        self.thread = threading.Thread(target=self.hold, daemon=True)

    def __enter__(self):
        self.thread.start()
        return self

    def __exit__(self, *_):
        self.over.set()
        self.thread.join()
        for one in self.held:
            one.close()

    def hold(self):
        while not self.over.is_set():
            alive = [one for one in self.held if self.is_alive(one)]
            self.held = alive + [self.connect() for _ in range(self.count - len(alive))]
            self.over.wait(0.01)

    def connect(self):
        one = socket.create_connection(self.address, 10)
        one.setblocking(False)
        return one

    def holds(self):
        return sum(map(self.is_alive, list(self.held)))

    @staticmethod
    def is_alive(connection):
        try:
            if connection.fileno() >= 0:
                return connection.recv(1) != b""
        except BlockingIOError:
            return True
        except OSError:
            pass
        connection.close()
        return False
