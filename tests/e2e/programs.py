# SPDX-License-Identifier: Apache-2.0
"""OpenSSL's own programs, with and without the provider, and a connection between two of them."""

import contextlib
import functools
import os
import re
import signal
import socket
import ssl
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path

import pytest

from processes import PATIENCE, Process, wait_until

PYTHON = sys.executable
CLIENT_LINE = "hello from the client"
SERVER_LINE = "hello from the server"
TLS12, TLS13, DTLS12 = "-tls1_2", "-tls1_3", "-dtls1_2"
VERSIONS = (TLS12, TLS13)
SLACK = 3  # seconds that starting and ending a program may add to a timeout
PASSED_ON = ("PATH", "LANG", "ASAN_OPTIONS", "UBSAN_OPTIONS", "LSAN_OPTIONS", "TSAN_OPTIONS")
SANITIZERS = ("ASAN_OPTIONS", "UBSAN_OPTIONS", "LSAN_OPTIONS", "TSAN_OPTIONS")
SANITIZER_EXIT = 99

# A busy host may hold up any process for a second. Tests about time have the timeouts of the provider itself.
PATIENT = {"connect_timeout": "5s", "authorize_timeout": "5s"}
AS_SHIPPED = dict.fromkeys(PATIENT)
SHORT = 1  # seconds
SHORT_TIMEOUTS = dict.fromkeys(("connect_timeout", "request_timeout", "authorize_timeout"), f"{SHORT}s")

CONFIG = """\
openssl_conf = openssl_init
config_diagnostics = 1

[openssl_init]
providers = providers

[providers]
null = null_provider
consul = consul_provider

[null_provider]
activate = 1

[consul_provider]
module = {module}
activate = 1
{settings}
{more}
"""
PLAIN_CONFIG = "openssl_conf = openssl_init\n[openssl_init]\n"


@dataclass
class Result:
    """How a program ended, and how long it took."""

    code: int
    stdout: str
    stderr: str
    elapsed: float

    @property
    def output(self):
        return self.stdout + self.stderr

    @property
    def reasons(self):
        """The lines that the provider put on OpenSSL's error queue."""
        return reasons(self.stderr)


def openssl_version():
    """Return the numbers of the installed OpenSSL, as a tuple."""
    text = subprocess.run(["openssl", "version"], capture_output=True, text=True, check=True).stdout
    return tuple(int(number) for number in re.search(r"OpenSSL (\d+)\.(\d+)", text).groups())


def reasons(text):
    return [line for line in text.splitlines() if re.search(r"error:[0-9A-F]+:[^:]*consul", line)]


@dataclass
class Outcome:
    """The outcome of one connection."""

    client: str  # the client's log
    server: str  # the server's log of this connection
    code: int
    elapsed: float

    @property
    def heard(self):
        return CLIENT_LINE in self.server

    @property
    def served(self):
        return SERVER_LINE in self.client

    @property
    def established(self):
        """The server finished the handshake, and has said so."""
        return "CIPHER is" in self.server

    @property
    def talked(self):
        return self.established and self.heard and self.served

    @property
    def refused(self):
        """The server never let the client in."""
        return not (self.established or self.heard or self.served)

    @property
    def silent(self):
        """No application data went either way."""
        return not (self.heard or self.served)

    @property
    def reused(self):
        return "Reused, TLS" in self.client

    @property
    def alert(self):
        """The number of the alert that the client received."""
        match = re.search(r"SSL alert number (\d+)", self.client)
        return int(match.group(1)) if match else None

    def __str__(self):
        return f"client ended with {self.code}:\n{self.client}\n--- server:\n{self.server}"


class Server(Process):
    """A TLS server that prints ACCEPT with its address, its input, and CONNECTION CLOSED."""

    def ready(self):
        match = self.wait_for(r"ACCEPT 127\.0\.0\.1:(\d+)")
        self.port = int(match.group(1))
        return self

    def leave(self):
        """End it as by its own will where it can, so that exit handlers and leak checks run."""
        self.close_input()
        if self.ended():
            pass
        elif "s_server" in self.argv and not {"-early_data", "-www", DTLS12} & set(self.argv):
            # It looks at its input, which is at its end, when a connection comes or ends.
            with contextlib.suppress(ConnectionError), socket.create_connection(("127.0.0.1", self.port), 5):
                wait_until(self.ended, f"the end of {self.argv}")
            wait_until(self.ended, f"the end of {self.argv}")
        else:
            self.signal(signal.SIGTERM)
        code = self.wait()
        assert code in (0, 1, -signal.SIGTERM), f"{self.argv} ended with {code}:\n{self.output()}"


@functools.cache
def openssl_major():
    """Return the major of OpenSSL's own programs, and of the provider under test."""
    return int(re.match(r"OpenSSL (\d+)", subprocess.run(["openssl", "version"], capture_output=True, text=True).stdout)[1])


def others_differ():
    """Return whether the applications of this Debian are on another OpenSSL, as Python is."""
    return ssl.OPENSSL_VERSION_INFO[0] != openssl_major()


class Programs:
    """Runs programs in one test's folder; `close` ends them all."""

    def __init__(self, folder, module, preload, reports):
        self.folder = folder
        self.module = module
        self.preload = preload
        self.reports = reports
        self.started = []
        self.count = 0

    def path(self, name):
        self.count += 1
        return self.folder / f"{self.count}-{name}"

    # -- configuration --

    def config(self, agent=None, more="", **settings):
        """Write an openssl.cnf with the provider; `agent` is an agent or an address. None leaves a setting out."""
        if agent is not None:
            settings.setdefault("address", getattr(agent, "address", agent))
        settings.setdefault("log", "off")  # no test writes to the syslog of its host
        settings = {**settings, **{name: value for name, value in PATIENT.items() if name not in settings}}
        lines = "\n".join(f"{name} = {value}" for name, value in settings.items() if value is not None)
        return self.write("openssl.cnf", CONFIG.format(module=self.module, settings=lines, more=more))

    def write(self, name, text):
        file = self.path(name)
        file.write_text(text)
        return file

    def environment(self, config, more=None):
        environment = {name: os.environ[name] for name in PASSED_ON if name in os.environ}
        environment["HOME"] = str(self.folder)
        environment["OPENSSL_CONF"] = str(config or self.write("plain.cnf", PLAIN_CONFIG))
        for name in SANITIZERS:
            options = [environment[name]] if name in environment else []
            options += [f"log_path={self.reports / 'report'}", f"exitcode={SANITIZER_EXIT}"]
            # Otherwise libasan 12 mistakes dlopen'ed thread-local storage, and crashes.
            options += ["intercept_tls_get_addr=0"]
            environment[name] = ":".join(options)
        if config and self.preload:
            environment["LD_PRELOAD"] = self.preload
        environment.update(more or {})
        return environment

    def leaks_allowed(self):
        """Return the additions to the environment of programs that leak by themselves, like Python."""
        return {"ASAN_OPTIONS": self.environment(None)["ASAN_OPTIONS"] + ":detect_leaks=0"}

    # -- programs that end by themselves --

    def run(self, argv, config=None, env=None, stdin=None):
        argv = [str(argument) for argument in argv]
        self.skip_without_provider(argv, config)
        began = time.monotonic()
        done = subprocess.run(
            argv, env=self.environment(config, env), cwd=self.folder, input=stdin,
            capture_output=True, timeout=PATIENCE, start_new_session=True,
        )
        result = Result(
            done.returncode, done.stdout.decode("utf-8", "replace"),
            done.stderr.decode("utf-8", "replace"), time.monotonic() - began,
        )
        assert result.code >= 0 and result.code != SANITIZER_EXIT, f"{argv}: {result}"
        return result

    def openssl(self, *arguments, config=None, env=None, stdin=None):
        return self.run(["openssl", *arguments], config, env, stdin)

    def storeutl(self, uri, *options, config, env=None):
        return self.openssl("storeutl", *options, uri, config=config, env=env)

    # -- programs that talk to each other --

    def skip_without_provider(self, argv, config):
        """Skip a test of an application that the provider cannot be in."""
        own = argv[0] == "openssl" or str(argv[0]).startswith(str(self.module.parents[1]))
        if config and not own and others_differ():
            pytest.skip(f"{argv[0]} is on OpenSSL {ssl.OPENSSL_VERSION_INFO[0]} here")

    def start(self, kind, argv, config=None, env=None):
        self.skip_without_provider(argv, config)
        process = kind(argv, self.environment(config, env), self.path("log"), cwd=self.folder)
        self.started.append(process)
        return process

    def server(self, *arguments, config=None, env=None):
        """Start an s_server. With a configuration, the provider is in it."""
        argv = ["openssl", "s_server", "-accept", "127.0.0.1:0", *arguments]
        return self.start(Server, argv, config, env).ready()

    def connect_server(self, service, *arguments, config, env=None):
        """Start an s_server with the service's leaf as its certificate, and without a verify option."""
        uri = f"consul:leaf/{service}"
        return self.server("-cert", uri, "-key", uri, *arguments, config=config, env=env)

    def python_server(self, certificate, key, *arguments, config=None):
        script = Path(__file__).with_name("ssl_server.py")
        return self.start(
            Server, [PYTHON, script, certificate, key, *arguments], config, self.leaks_allowed(),
        ).ready()

    def talk(self, server, *arguments, config=None, env=None, again=True):
        """Connect an s_client, and let both sides say their line.

        It opens one URI for its certificate and one for its key. If a rotation fell in between, it connects once `again`.
        """
        argv = ["openssl", "s_client", "-connect", f"127.0.0.1:{server.port}", *arguments]
        mark = server.size()
        began = time.monotonic()
        client = self.start(Process, argv, config, env)
        client.say(CLIENT_LINE)
        heard = wait_until(lambda: CLIENT_LINE in server.output(mark) or client.ended(), "a greeting")
        if heard and not client.ended():
            server.say(SERVER_LINE)
            wait_until(lambda: SERVER_LINE in client.output() or client.ended(), "an answer")
        client.close_input()
        code = client.wait()  # in time, or the test fails
        elapsed = time.monotonic() - began
        assert code >= 0 and code != SANITIZER_EXIT, client.output()
        if again and "key values mismatch" in client.output() and "consul:" in "".join(arguments):
            return self.talk(server, *arguments, config=config, env=env, again=False)
        assert "CONNECTED(" in client.output(), client.output()
        server.wait_for("CONNECTION CLOSED", mark)
        return Outcome(client.output(), server.output(mark), code, elapsed)

    def close(self):
        try:
            for process in self.started:
                if isinstance(process, Server):
                    process.leave()
        finally:
            for process in self.started:
                process.kill()
