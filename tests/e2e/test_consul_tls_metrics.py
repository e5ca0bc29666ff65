# SPDX-License-Identifier: Apache-2.0
"""consul-tls metrics --listen: one page for Prometheus, and hostile peers that want more of it."""

import os
import select
import socket
import urllib.error
import urllib.request

import pytest

from agent import free_ports
from consul_tls import bad, good
from processes import PATIENCE, Process, wait_until

AS_ROOT = pytest.mark.skipif(os.getuid() != 0, reason="needs a capability")
GET = b"GET /metrics HTTP/1.1\r\nHost: localhost\r\n\r\n"
CONNECTIONS = 16


def exporter(programs, address, *before):
    """Start the command, and return it when it listens."""
    command = programs.module.parents[1] / "cli" / "consul-tls"
    process = programs.start(Process, [*before, command, "metrics", "--listen", address], env={"OPENSSL_CONF": "/dev/null"})
    port = int(address.rpartition(":")[2])

    def listens():
        assert not process.ended(), process.output()
        with socket.socket(socket.AF_INET6 if "[" in address else socket.AF_INET) as probe:
            return probe.connect_ex(("::1" if "[" in address else "127.0.0.1", port)) == 0

    wait_until(listens, address)
    return process


@pytest.fixture
def port(programs):
    one, = free_ports(1)
    process = exporter(programs, str(one))
    yield one
    assert not process.ended() and process.output() == ""
    process.kill()


def connect(port):
    return socket.create_connection(("127.0.0.1", port), PATIENCE)


def read(connection):
    """Return all that comes to the end. A reset is an end, too."""
    data = b""
    try:
        while part := connection.recv(65536):
            data += part
    except ConnectionResetError:
        pass
    return data


def is_silent(connection):
    """Return True for a connection without an answer and without an end."""
    return not select.select([connection], [], [], 0)[0]


def ask(port, request=GET):
    with connect(port) as one:
        one.sendall(request)
        return read(one)


@pytest.fixture
def server(programs, agent, service):
    return programs.server("-nocert", config=programs.config(agent, service=service))


def test_the_page(programs, service, server, port):
    """It is the output of the command, as Prometheus reads it."""
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=PATIENCE) as response:
        page = response.read().decode()
        assert response.headers["Content-Type"] == "text/plain; version=0.0.4; charset=utf-8"
        assert int(response.headers["Content-Length"]) == len(page) and response.headers["Connection"] == "close"
    mine = f'consul_provider_info{{program="openssl",pid="{server.child.pid}",service="{service}"'
    assert mine in page and mine in good(programs, "metrics")
    head, _, body = ask(port, GET.replace(b"/metrics", b"/metrics?format=x")).partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 200 OK\r\n") and mine.encode() in body


@pytest.mark.parametrize("line, status", [
    (b"GET / HTTP/1.1", b"404"),
    (b"GET /metricsx HTTP/1.1", b"404"),
    (b"GET /../metrics HTTP/1.1", b"404"),
    (b"POST /metrics HTTP/1.1", b"405"),
    (b"HEAD /metrics HTTP/1.1", b"405"),
    (b"get /metrics HTTP/1.1", b"405"),
    (b"\x16\x03\x01 hello", b"405"),
])
def test_nothing_else_is_served(port, line, status):
    answer = ask(port, line + b"\r\n\r\n")
    assert answer.startswith(b"HTTP/1.1 " + status + b" ") and answer.endswith(b"\r\n\r\n")


@pytest.mark.parametrize("request_bytes", [b"A" * 100_000, b"GET /metrics HTTP/1.1\r\n" + b"X: y\r\n" * 1000, b"GET /me\0\r\n\r\n"])
def test_a_request_that_is_none_gets_no_answer(port, request_bytes):
    """The connection ends before the rest of it is read."""
    with connect(port) as one:
        try:
            one.sendall(request_bytes)
        except (ConnectionResetError, BrokenPipeError):
            pass
        assert read(one) == b""


def test_a_request_in_parts(port):
    with connect(port) as one:
        for byte in GET:
            one.sendall(bytes([byte]))
        assert read(one).startswith(b"HTTP/1.1 200 OK\r\n")


def test_slow_peers_keep_nobody_out(port):
    """More of them than there are places, which say nothing, or read nothing. Each ends by its time."""
    def is_answered_at_once():
        slow = [connect(port) for _ in range(3 * CONNECTIONS)]
        for one in slow[::2]:
            one.sendall(GET[:10])
        for one in slow[1::4]:
            one.sendall(GET)
        assert ask(port).startswith(b"HTTP/1.1 200 OK\r\n")
        is_open = is_silent(slow[-1])
        for one in slow:
            read(one)
            one.close()
        return is_open

    # A host that stalls for seconds ends the slow peers before the answer: then it is tried again.
    assert any(is_answered_at_once() for _ in range(4))
    assert ask(port).startswith(b"HTTP/1.1 200 OK\r\n")


def test_it_is_of_the_loopback_alone(port):
    with socket.socket() as other:
        assert other.connect_ex(("127.0.0.2", port)) != 0


def test_another_address(programs):
    port, = free_ports(1)
    exporter(programs, f"0.0.0.0:{port}")
    with socket.create_connection(("127.0.0.2", port), PATIENCE) as other:
        other.sendall(GET)
        assert read(other).startswith(b"HTTP/1.1 200 OK\r\n")


def test_an_address_of_ipv6(programs):
    with socket.socket(socket.AF_INET6) as probe:
        try:
            probe.bind(("::1", 0))
        except OSError:
            pytest.skip("this host has no IPv6")
    port, = free_ports(1)
    exporter(programs, f"[::1]:{port}")
    with socket.create_connection(("::1", port), PATIENCE) as other:
        other.sendall(GET)
        assert read(other).startswith(b"HTTP/1.1 200 OK\r\n")


@pytest.mark.parametrize("address", ["nonsense", "0", "70000", "localhost:9000", "127.0.0.1:", "127.0.0.1:http", ":9000"])
def test_no_address(programs, address):
    assert "it is no address and port" in bad(programs, "metrics", "--listen", address)


def test_a_taken_port(programs, port):
    assert "cannot listen there: Address already in use" in bad(programs, "metrics", "--listen", str(port))


ONE_CAPABILITY = ("setpriv", "--bounding-set=-all,+sys_ptrace", "--inh-caps=-all", "--no-new-privs")


@AS_ROOT
def test_one_capability_is_enough(programs, service, server):
    """As in examples/consul-tls-metrics.service: root without any other capability reads all boards."""
    unit = (programs.module.parents[3] / "examples" / "consul-tls-metrics.service").read_text()
    assert "\nCapabilityBoundingSet=CAP_SYS_PTRACE\n" in unit
    port, = free_ports(1)
    exporter(programs, str(port), *ONE_CAPABILITY)
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=PATIENCE) as response:
        page = response.read().decode()
    assert f'service="{service}"' in page and "\nconsul_provider_unreadable_processes 0\n" in page


@AS_ROOT
def test_one_capability_is_enough_for_other_users(programs):
    """Files of theirs in /proc, as PostgreSQL's, are not root's without a further capability."""
    script = """
import mmap, os, signal
fd = os.memfd_create("consul-provider", 0)
os.write(fd, (0x636f6e73756c0001).to_bytes(8, "little"))
shown = mmap.mmap(fd, 8, prot=mmap.PROT_READ)
print("ready", flush=True)
signal.pause()
"""
    argv = ["setpriv", "--reuid=nobody", "--regid=nogroup", "--clear-groups", "/usr/bin/python3", "-c", script]
    other = programs.start(Process, argv, None, programs.leaks_allowed())
    other.wait_for("ready")
    command = [*ONE_CAPABILITY, programs.module.parents[1] / "cli" / "consul-tls", "metrics"]
    page = programs.run(command, env={"OPENSSL_CONF": "/dev/null"}).stdout
    other.kill()
    assert "\nconsul_provider_unreadable_processes 0\n" in page


@AS_ROOT
def test_a_board_that_goes_while_it_is_read(programs):
    """It was not unreadable. Apache's goes when Apache reads its configuration for the second time."""
    script = """
import mmap, os
def show():
    fd = os.memfd_create("consul-provider", 0)
    os.write(fd, (0x636f6e73756c0001).to_bytes(8, "little"))
    shown = mmap.mmap(fd, 8, prot=mmap.PROT_READ)
    os.close(fd)
    return shown
shown = show()
print("ready", flush=True)
while True:
    last, shown = shown, show()
    last.close()
"""
    restless = [programs.start(Process, ["/usr/bin/python3", "-c", script], None, programs.leaks_allowed()) for _ in range(3)]
    for one in restless:
        one.wait_for("ready")
    command = [*ONE_CAPABILITY, programs.module.parents[1] / "cli" / "consul-tls", "metrics"]
    pages = [programs.run(command, env={"OPENSSL_CONF": "/dev/null"}).stdout for _ in range(40)]
    for one in restless:
        one.kill()
    assert all("\nconsul_provider_unreadable_processes 0\n" in page for page in pages)
