# SPDX-License-Identifier: Apache-2.0
"""An application that runs for several tests, and the outcome of its connections."""

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

import applications
import stand_ins
from ca import self_signed
from processes import Process, wait_until
from programs import Programs, Result

# How an application gets its identity: by a setting, or by the files that its configuration names.
IDENTITIES = ["service", "stand-in"]


def parameters(modules):
    """Return a parameter for each of these applications that can run here."""
    return [
        pytest.param(module, id=applications.short_name(module),
                     marks=[pytest.mark.core] if getattr(module, "CORE", False) else [])
        for module in modules if applications.can_run(module)
    ]


class Log:
    """The file that the setting `log` names."""

    def __init__(self, path):
        self.path = path

    def text(self):
        return self.path.read_text() if self.path.exists() else ""

    def size(self):
        return len(self.text())

    def wait_for(self, pattern, start):
        wait_until(lambda: re.search(pattern, self.text()[start:]), f"{pattern!r} in {self.path}", 20)


def dummy_files(programs):
    """Make the certificate and key that an application's configuration demands. No peer trusts it."""
    _, certificate, _, key, *_ = self_signed().files(programs.folder, "web")
    return Path(certificate), Path(key)


def stand_in_files(programs, service):
    certificate, key = stand_ins.make(programs, f"consul:leaf/{service}")
    return Path(certificate), Path(key)


def identity(programs, agent, kind, service, is_set=False):
    """Return the openssl.cnf, its log, and the certificate and key by which a program is this service.

    With a stand-in the setting `service` is set, too, where `is_set`.
    """
    log = Log(programs.path("connect.log"))
    if kind == "stand-in":
        settings = {"service": service} if is_set else {}
        return programs.config(agent, log=log.path, **settings), log, *stand_in_files(programs, service)
    return programs.config(agent, service=service, log=log.path), log, *dummy_files(programs)


@dataclass
class Answered:
    """The outcome of one s_client at a server."""

    result: Result
    served: bool

    @property
    def reused(self):
        return "Reused, TLS" in self.result.stdout

    @property
    def certificate(self):
        """The server's certificate, as PEM."""
        return re.search(
            "-----BEGIN CERTIFICATE-----.*?-----END CERTIFICATE-----\n", self.result.stdout, re.DOTALL)[0]


@dataclass
class Endpoint:
    """A server that runs, as a service or (without one) as it does without the provider."""

    module: Any
    programs: Programs
    process: Any
    service: str = ""
    log: Any = None

    def ask(self, *arguments):
        """Make the request of an s_client without the provider, which knows how to begin."""
        run = self.leave_after_answer if getattr(self.module, "KEEPS", False) else self.wait_for_end
        result = run(
            "s_client", "-connect", f"127.0.0.1:{self.process.port}", *self.module.S_CLIENT, *arguments)
        assert "CONNECTED(" in result.stdout, result
        return Answered(result, bool(re.search(self.module.ANSWER, result.stdout)))

    def wait_for_end(self, *arguments):
        return self.programs.openssl(*arguments, "-ign_eof", stdin=self.module.REQUEST)

    def leave_after_answer(self, *arguments):
        client = self.programs.start(Process, ["openssl", *arguments])
        client.write(self.module.REQUEST)
        wait_until(lambda: re.search(self.module.ANSWER, client.output()) or client.ended(), "an answer")
        client.kill()  # its farewell takes half a second
        return Result(client.child.returncode, client.output(), "", 0)


def start(application, programs, agent, kind, service):
    config, log, certificate, key = identity(programs, agent, kind, service, getattr(application, "ROOT", False))
    process = application.start(programs, config, certificate, key)
    return Endpoint(application, programs, process, service, log)


def start_plain(application, programs):
    return Endpoint(application, programs, application.start(programs, None, *dummy_files(programs)))
