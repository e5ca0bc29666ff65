# SPDX-License-Identifier: Apache-2.0
"""HAProxy by its package's own haproxy.cfg: a chrooted worker of another user, which can make no thread."""

import re
import shutil
import time
from pathlib import Path

import pytest

import endpoints
from applications import documented, haproxy
from applications.common import backend, launch, program, user
from ca import Authority, service_uri
from conftest import programs_in
from fake_agent import AUTHORIZE, TRUST_DOMAIN, silent
from processes import wait_until
from tls_agent import TlsAgent

pytestmark = pytest.mark.applications

PACKAGE = Path("/etc/haproxy/haproxy.cfg")
PROCESS_LIMIT = r"Max processes +0 +0 "
TRIES = 8
HANG = 3  # seconds for which a process without threads remembers a hang


@pytest.fixture
def folder(open_folders):
    return open_folders("haproxy-package")


@pytest.fixture
def open_programs(folder, module):
    with programs_in(folder, module) as one:
        yield one


@pytest.fixture
def tls_agent(folder):
    one = TlsAgent(folder / "agent")
    one.wait_for_roots()
    yield one
    one.stop()


def root_of(programs):
    """Return the folder that is the worker's root. Like the package's it is empty at first."""
    root = programs.folder / "root"
    root.mkdir(exist_ok=True)
    return root


def bind(programs, *files):
    """Put files at the same path below the worker's root, as BindReadOnlyPaths of systemd does."""
    for file in files:
        seen = root_of(programs) / Path(file).relative_to("/")
        seen.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(file, seen)
        shutil.chown(seen, user("haproxy"))


def configure(programs, folder, port, certificate, key):
    """Write the package's configuration and the documented one behind it. Logs go to stderr."""
    text = PACKAGE.read_text()
    for old, new in (("/dev/log\tlocal0", "stderr local0"), ("/dev/log\tlocal1", "stderr local1"),
                     ("/run/haproxy/admin.sock", str(folder / "admin.sock")),
                     ("chroot /var/lib/haproxy", f"chroot {root_of(programs)}")):
        assert old in text, f"{PACKAGE} does not have {old!r}"
        text = text.replace(old, new)
    assert "\n\tuser haproxy\n" in text
    both = folder / "haproxy.pem"
    both.write_text(Path(certificate).read_text() + Path(key).read_text())
    file = folder / "haproxy.cfg"
    file.write_text(text + "\n" + documented("haproxy/haproxy.cfg", {
        "bind :8443": f"bind 127.0.0.1:{port}", "/etc/consul-provider/haproxy.pem": both,
        "127.0.0.1:8080": f"127.0.0.1:{backend(programs).port}"}))
    return [program("haproxy"), "-Ws", "-f", file, "-p", folder / "pid"]


class Service:
    """HAProxy as the service, with these settings of the provider."""

    def __init__(self, programs, service, more=None, **settings):
        self.log = endpoints.Log(programs.path("connect.log"))
        config = programs.config(log=self.log.path, **settings)
        files = endpoints.stand_in_files(programs, service)

        def make(folder, port):
            return ["env", *(f"{name}={value}" for name, value in (more or {}).items()),
                    *configure(programs, folder, port, *files)]

        process = launch(programs, config, make, haproxy.READY)
        self.endpoint = endpoints.Endpoint(haproxy, programs, process, service, self.log)
        worker, = (int(pid) for pid in re.findall(r"New worker.* \((\d+)\) forked", process.output()))
        limits = Path(f"/proc/{worker}/limits")
        wait_until(lambda: re.search(PROCESS_LIMIT, limits.read_text()), "a worker that can make no thread")

    def serves(self, files=()):
        return self.endpoint.ask(*files).served

    def refuses(self, pattern, files=()):
        mark = self.log.size()
        assert not self.serves(files)
        self.log.wait_for(pattern, mark)


def is_right(programs, agent, service, haproxy):
    """Check the five verdicts."""
    friend, foe = (agent.leaf(f"{name}-{service}").files(programs.folder, name) for name in ("friend", "foe"))
    foreign = Authority(agent.trust_domain).service(f"friend-{service}").files(programs.folder, "foreign")
    denied = '%s" may not connect to "' + service
    agent.allow(f"friend-{service}", service)
    agent.deny(f"foe-{service}", service)
    for _ in range(2):
        assert haproxy.serves(friend), haproxy.log.text()
        haproxy.refuses("peer presented no certificate: client refused")
        haproxy.refuses("not trusted by the Consul roots", foreign)
        haproxy.refuses(denied % f"foe-{service}", foe)
    agent.deny(f"friend-{service}", service)
    haproxy.refuses(denied % f"friend-{service}", friend)
    assert not haproxy.endpoint.process.ended()


def resolver(programs):
    """Return what makes agent.test a name of this host."""
    library = programs.module.parents[1] / "tests" / "held_resolver.so"
    return {"LD_PRELOAD": f"{programs.preload}:{library}" if programs.preload else library}


def test_an_agent_over_http(open_programs, agent, service):
    is_right(open_programs, agent, service, Service(open_programs, service, address=agent.address))


def test_an_agent_by_a_name_of_the_host(open_programs, agent, service):
    address = f"http://agent.test:{agent.ports['http']}"
    is_right(open_programs, agent, service,
             Service(open_programs, service, resolver(open_programs), address=address))


@pytest.mark.parametrize("host", ["127.0.0.1", "agent.test"])
def test_an_agent_over_https_with_files_below_the_root(open_programs, tls_agent, service, host):
    settings = {**tls_agent.settings(), "address": f"https://{host}:{tls_agent.ports['https']}"}
    bind(open_programs, *(settings[name] for name in ("ca_file", "client_cert", "client_key")))
    is_right(open_programs, tls_agent, service,
             Service(open_programs, service, resolver(open_programs), **settings))


def test_files_outside_of_the_root_are_a_refusal_with_a_reason(open_programs, tls_agent, service):
    haproxy = Service(open_programs, service, **tls_agent.settings())
    friend = tls_agent.leaf("friend").files(open_programs.folder, "friend")
    haproxy.refuses(f'ca_file "{tls_agent.ca_file}": No such file or directory', friend)


def test_an_agent_that_hangs_does_not_hold_up_each_client(open_programs, fake):
    """One client waits for the agent. The next ones do not, until some seconds later."""
    haproxy = Service(open_programs, "web", address=fake.address, authorize_timeout="1s", request_timeout="1s")
    friend = fake.authority.issue([service_uri(TRUST_DOMAIN, "friend")]).files(open_programs.folder, "friend")
    assert haproxy.serves(friend), haproxy.log.text()
    fake.answer(AUTHORIZE, silent)
    before, began = len(fake.seen(AUTHORIZE)), time.monotonic()
    assert not any(haproxy.serves(friend) for _ in range(TRIES))
    asked = len(fake.seen(AUTHORIZE)) - before
    assert 1 <= asked <= 1 + (time.monotonic() - began) // HANG
    fake.answer(AUTHORIZE, None)
    wait_until(lambda: haproxy.serves(friend), "the end of the hang")
