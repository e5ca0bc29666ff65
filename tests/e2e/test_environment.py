# SPDX-License-Identifier: Apache-2.0
"""Only the documented variables of the environment name the agent. No variable has a secret written.

A set-user-ID program takes nothing from it. The user who starts that program may not choose what it writes.
"""

import os
import shutil
import subprocess

import pytest

from tls_agent import TlsAgent

pytestmark = pytest.mark.applications  # no sanitizer comes into a set-user-ID program

NOBODY = 65534
PROXIES = ("http_proxy", "https_proxy", "HTTPS_PROXY", "all_proxy", "ALL_PROXY")


@pytest.fixture(scope="module")
def secure(tmp_path_factory):
    agent = TlsAgent(tmp_path_factory.mktemp("tls") / "agent")
    agent.wait_for_roots()
    yield agent
    agent.stop()


@pytest.fixture(params=["http", "https"])
def settings(request, agent):
    return {"address": agent.address} if request.param == "http" else request.getfixturevalue("secure").settings()


@pytest.fixture
def place(open_folders):
    """A folder where all users may make files."""
    folder = open_folders("environment")
    folder.chmod(0o777)
    return folder


class Reader:
    """The program of store_reader.c, by itself or set-user-ID."""

    def __init__(self, programs, place):
        self.programs, self.place = programs, place
        built = programs.module.parents[1] / "tests" / "store_reader"
        self.plain, self.set_user_id = place / "plain", place / "set-user-id"
        for file in (self.plain, self.set_user_id):
            shutil.copy(built, file)
        self.set_user_id.chmod(0o4755)
        self.module = place / "consul.so"
        shutil.copy(programs.module, self.module)

    def read(self, program, environment, settings):
        config = self.place / "openssl.cnf"
        made = self.programs.config(**settings)
        config.write_text(made.read_text().replace(str(self.programs.module), str(self.module)))
        user = {"user": NOBODY, "group": NOBODY, "extra_groups": []} if program == self.set_user_id else {}
        return subprocess.run(
            [program, config, "consul://roots"], env={"PATH": os.environ["PATH"], **environment}, cwd="/",
            capture_output=True, text=True, timeout=30, **user)


@pytest.fixture
def reader(programs, place):
    return Reader(programs, place)


def hostile(place, fake):
    """Return all variables that libcurl, OpenSSL or the resolver might heed, but for the log of keys."""
    netrc = place / ".netrc"
    netrc.write_text("default login mallory password secret\n")
    bundle = place / "bundle.pem"
    bundle.write_text("")
    return {
        **dict.fromkeys(PROXIES, f"http://{fake.address}"), "NO_PROXY": "", "HOME": str(place), "CURL_HOME": str(place),
        "NETRC": str(netrc), "SSL_CERT_FILE": str(bundle), "SSL_CERT_DIR": str(place), "CURL_CA_BUNDLE": str(bundle),
        "CURL_SSL_BACKEND": "none", "RES_OPTIONS": "ndots:9", "LOCALDOMAIN": "invalid", "HOSTALIASES": str(bundle),
        "LDAPCONF": str(netrc), "KRB5_CONFIG": str(netrc),
    }


@pytest.mark.parametrize("program", ["plain", "set_user_id"])
def test_nobody_else_is_the_agent(reader, settings, place, fake, program):
    environment = hostile(place, fake)
    if program == "set_user_id":
        environment["CONSUL_HTTP_ADDR"] = fake.address
        environment["CONSUL_HTTP_TOKEN_FILE"] = "/etc/shadow"
    result = reader.read(getattr(reader, program), environment, settings)
    assert result.returncode == 0, result
    assert fake.requests == []


def test_secrets_are_not_logged(reader, settings, place):
    """A user may set the variable for a program, but the log has no key of the token's connection."""
    log = place / "keys"
    result = reader.read(reader.plain, {"SSLKEYLOGFILE": str(log)}, settings)
    assert result.returncode == 0, result
    assert not log.exists() or log.read_text() == ""


def test_a_set_user_id_program_makes_no_file(reader, settings, place):
    log = place / "made-by-root"
    result = reader.read(reader.set_user_id, {"SSLKEYLOGFILE": str(log)}, settings)
    assert not log.exists()
    assert result.returncode != 0 and "SSLKEYLOGFILE" in result.stdout, result


def test_a_set_user_id_program_writes_to_no_file(reader, settings, tmp_path):
    log = tmp_path / "of-root"
    log.write_text("untouched")
    log.chmod(0o600)
    reader.read(reader.set_user_id, {"SSLKEYLOGFILE": str(log)}, settings)
    assert log.read_text() == "untouched"
