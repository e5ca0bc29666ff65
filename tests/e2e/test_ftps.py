# SPDX-License-Identifier: Apache-2.0
"""FTPS: ProFTPD governs each data connection by itself. The client is Python's ftplib, without the provider."""

import ftplib
import io
import ssl
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

import applications
import endpoints
from applications import proftpd
from ca import Authority
from conftest import programs_in

pytestmark = [
    pytest.mark.applications,
    pytest.mark.skipif(not applications.can_run(proftpd), reason="its packages are not installed here"),
]

DATA = bytes(range(256)) * 4096
REFUSED = (OSError, EOFError, ftplib.Error)


@pytest.fixture(scope="module")
def shared(open_folders, module):
    with programs_in(open_folders("ftps"), module) as one:
        yield one


@pytest.fixture(scope="module", params=endpoints.IDENTITIES)
def server(request, shared, agent):
    return endpoints.start(proftpd, shared, agent, request.param, f"ftps-{request.param}")


@pytest.fixture(params=["TLSv1_2", "TLSv1_3"])
def version(request):
    return request.param


@pytest.fixture
def context(shared, version):
    """Yield a function that makes the TLS of a client, with an identity or without one."""
    def make(identity=None):
        one = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        one.check_hostname, one.verify_mode = False, ssl.CERT_NONE
        one.minimum_version = one.maximum_version = ssl.TLSVersion[version]
        if identity:
            _, certificate, _, key, *_ = identity.files(shared.folder, f"client-{shared.count}")
            with open(certificate, "a") as chain:
                chain.write(identity.intermediates)
            one.load_cert_chain(certificate, key)
        return one
    return make


def log_in(server, context):
    """Open a control connection, with encrypted data connections."""
    client = ftplib.FTP_TLS(context=context, timeout=20)
    client.connect("127.0.0.1", server.process.port)
    client.login(proftpd.USER, proftpd.PASSWORD)
    client.prot_p()
    return client


def transfers(client, name):
    """Bring a file there and back, each in a data connection."""
    client.storbinary(f"STOR {name}", io.BytesIO(DATA))
    back = io.BytesIO()
    client.retrbinary(f"RETR {name}", back.write)
    return back.getvalue() == DATA and name in client.nlst()


def refuses_data(server, clients, context, pattern):
    """Check that neither way is open to a data connection with this TLS. Each way takes a client."""
    home = Path(server.process.argv[-1]).parent / "home"
    (home / "secret").write_bytes(DATA)
    got = []
    for client, attempt in zip(clients, (lambda one: one.storbinary("STOR never", io.BytesIO(DATA)),
                                         lambda one: one.retrbinary("RETR secret", got.append))):
        mark = server.log.size()
        client.context = context
        # OpenSSL's error queue is the thread's. A write that failed leaves an error there, also for the next client.
        with pytest.raises(REFUSED), ThreadPoolExecutor(1) as thread:
            thread.submit(attempt, client).result()
        server.log.wait_for(pattern, mark)
        client.close()
    never = home / "never"
    assert not got and not (never.exists() and never.stat().st_size)


def test_data_go_both_ways(server, agent, service, context):
    agent.allow(service, server.service)
    with log_in(server, context(agent.leaf(service))) as client:
        for turn in range(3):
            assert transfers(client, f"file-{turn}")


def test_a_denial_counts_for_the_next_data_connection(server, agent, service, context):
    own = context(agent.leaf(service))
    agent.allow(service, server.service)
    clients = [log_in(server, own) for _ in range(2)]
    assert all(transfers(client, "before") for client in clients)
    agent.deny(service, server.service)
    refuses_data(
        server, clients, own, f'client refused: "spiffe://[^"]*/svc/{service}" may not connect to .*DENY')
    agent.allow(service, server.service)
    with log_in(server, own) as client:
        assert transfers(client, "after")


@pytest.mark.parametrize("stranger", ["none", "foreign", "denied"])
def test_nobody_takes_a_data_connection_of_an_allowed_client(server, agent, service, context, stranger):
    agent.allow(service, server.service)
    agent.deny(f"foe-{service}", server.service)
    identity = {"none": None, "foreign": Authority(agent.trust_domain).service(service),
                "denied": agent.leaf(f"foe-{service}")}[stranger]
    clients = [log_in(server, context(agent.leaf(service))) for _ in range(2)]
    refuses_data(server, clients, context(identity), "client refused")


def test_without_the_provider_anybody_has_data_connections(shared, context):
    """The control."""
    plain = endpoints.start_plain(proftpd, shared)
    with log_in(plain, context()) as client:
        assert transfers(client, "file")
