# SPDX-License-Identifier: Apache-2.0
"""consul-tls check --starttls: listeners that begin TLS at the client's word, and hostile ones."""

import socket
import threading

import pytest

import endpoints
import stand_ins
from applications import can_run, mariadb, postgresql
from conftest import programs_in
from consul_tls import check
from processes import PATIENCE

# The talk of a server up to its TLS: its bytes, and the begin of the client's next line.
DIALOGS = {
    "smtp": [b"220-a.example\r\n220 hello\r\n", b"EHLO ", b"250-a.example\r\n250 STARTTLS\r\n", b"STARTTLS", b"220 go\r\n"],
    "lmtp": [b"220 hello\r\n", b"LHLO ", b"250-a\r\n250 STARTTLS\r\n", b"STARTTLS", b"220 go\r\n"],
    "imap": [b"* OK [CAPABILITY IMAP4rev1 STARTTLS] ready\r\n", b"a STARTTLS", b"* NOTHING\r\na OK go\r\n"],
    "pop3": [b"+OK hello\r\n", b"STLS", b"+OK go\r\n"],
    "ftp": [b"220-hello\r\n220 ready\r\n", b"AUTH TLS", b"234 go\r\n"],
    "nntp": [b"201 hello\r\n", b"STARTTLS", b"382 go\r\n"],
    "sieve": [b'"IMPLEMENTATION" "x"\r\n"STARTTLS"\r\nOK "ready"\r\n', b"STARTTLS", b'OK "go"\r\n'],
}


def carry(source, target):
    try:
        while data := source.recv(65536):
            target.sendall(data)
        target.shutdown(socket.SHUT_WR)
    except OSError:
        pass


def converse(client, dialog):
    for number, part in enumerate(dialog):
        if number % 2 == 0:
            client.sendall(part)
            continue
        line = b""
        while not line.endswith(b"\n"):
            byte = client.recv(1)
            assert byte, line
            line += byte
        assert line.startswith(part), line


class Front:
    """A listener that talks first, and passes TLS on to a server at `port`, if there is one."""

    def __init__(self, dialog, port=None):
        self.dialog, self.target, self.error = dialog, port, None
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.listener.settimeout(PATIENCE)
        self.port = self.listener.getsockname()[1]
        self.thread = threading.Thread(target=self.serve)
        self.thread.start()

    def serve(self):
        try:
            client, _ = self.listener.accept()
            client.settimeout(PATIENCE)
            with client:
                converse(client, self.dialog)
                if self.target:
                    with socket.create_connection(("127.0.0.1", self.target)) as server:
                        back = threading.Thread(target=carry, args=(server, client))
                        back.start()
                        carry(client, server)
                        back.join()
        except Exception as error:  # for the thread of the test
            self.error = error

    def end(self):
        self.thread.join()
        self.listener.close()
        assert self.error is None


def check_front(programs, config, front, protocol):
    chain = check(programs, config, "--connect", f"127.0.0.1:{front.port}", "--starttls", protocol)
    front.end()
    return chain


@pytest.mark.parametrize("protocol", DIALOGS)
def test_the_words_of_a_protocol(programs, agent, service, protocol):
    config = programs.config(agent, service=service)
    server = programs.server("-nocert", config=config)
    check_front(programs, config, Front(DIALOGS[protocol], server.port), protocol).is_good("listener")


@pytest.mark.parametrize("protocol, dialog, words", [
    ("smtp", [b"220 hello\r\n", b"EHLO ", b"250 a\r\n", b"STARTTLS", b"454 \x1b[2Jno TLS\r\n"], 'it answers "454 ?[2Jno TLS"'),
    ("imap", [b"* OK hello\r\n", b"a STARTTLS", b"a BAD no\r\n"], 'it answers "a BAD no"'),
    ("pop3", [b"-ERR no\r\n"], 'it answers "-ERR no"'),
    ("sieve", [b'"SASL" ""\r\nBYE\r\n'], 'it answers "BYE"'),
    ("smtp", [b"220 half a line"], "it has closed the connection"),
    ("smtp", [b"220-more\r\n" * 1000], "it says too much"),
    ("nntp", [b"\0" * 4095 + b"\n"], 'it answers "???'),
    ("postgres", [b"N"], "its TLS is off (ssl = off)"),
    ("postgres", [b"220 hello\r\n"], "it is no PostgreSQL"),
    ("mysql", [b"\xff\xff\xff\0" + b"x" * 1000], "it says too much"),
    ("mysql", [b"\x05\0\0\0\x0a5.5\0"], "it is no MySQL or MariaDB"),
    ("mysql", [b"\0\0\0\0"], "it is no MySQL or MariaDB"),
    ("mysql", [b"\x20\0\0\0\x0a5\0" + b"\0" * 29], "its TLS is off"),
])
def test_a_server_that_begins_no_tls(programs, agent, service, protocol, dialog, words):
    """Its words are printed without their escapes, and a hostile length is not believed."""
    chain = check_front(programs, programs.config(agent, service=service), Front(dialog), protocol)
    chain.breaks("listener", f"begins no TLS by {protocol}: ", words, cure="turn TLS on in the server")
    assert "\x1b" not in chain.result.stdout


def test_an_unknown_protocol(programs, agent, service):
    check(programs, programs.config(agent, service=service), "--connect", "127.0.0.1:1", "--starttls", "gopher").breaks(
        "listener", "knows no --starttls gopher", cure="postgres, mysql, smtp")


@pytest.mark.applications
@pytest.mark.parametrize("application, protocol", [(postgresql, "postgres"), (mariadb, "mysql")],
                         ids=["postgresql", "mariadb"])
def test_a_database(agent, service, open_folders, module, application, protocol):
    if not can_run(application):
        pytest.skip("it is not installed")
    with programs_in(open_folders("starttls"), module) as programs:
        config = programs.config(agent)
        process = application.start(programs, config, *endpoints.stand_in_files(programs, service))
        where = ("--service", service, "--connect", f"127.0.0.1:{process.port}")
        check(programs, config, *where, "--starttls", protocol).is_good("listener")
        chain = check(programs, config, *where)
        if application is postgresql and postgresql.major() >= 17:
            chain.is_good("listener")  # it takes TLS from the first byte, too
        else:
            chain.breaks("listener", "presents no certificate", cure="PostgreSQL needs --starttls postgres")
        process.kill()
