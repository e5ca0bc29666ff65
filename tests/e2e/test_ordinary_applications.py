# SPDX-License-Identifier: Apache-2.0
"""Applications beside a provider that is not meant for them: the openssl.cnf is the one of the whole system.

It names no service, and the applications have ordinary certificates. They work as without the provider.
"""

import inspect
import re
from pathlib import Path

import pytest

import applications
import endpoints
from ca import Authority
from conftest import programs_in
from programs import VERSIONS

pytestmark = pytest.mark.applications

NOWHERE = "127.0.0.1:1"  # no agent is asked


@pytest.fixture(params=VERSIONS, ids=lambda option: option.lstrip("-"))
def version(request):
    return request.param


@pytest.fixture(scope="module", params=endpoints.parameters(applications.servers()))
def server(request, open_folders, module):
    with programs_in(open_folders(applications.short_name(request.param)), module) as programs:
        certificate, key = endpoints.dummy_files(programs)
        shown = certificate.read_text()  # a server may add its key to the file
        process = request.param.start(programs, programs.config(NOWHERE), certificate, key)
        yield endpoints.Endpoint(request.param, programs, process), shown


def test_a_server_serves_anybody_and_resumes(server, version):
    one, certificate = server
    session = one.programs.path("session")
    answered = one.ask(version, "-sess_out", session)
    assert answered.served and answered.certificate == certificate, answered
    resume = ["-sess_in", session] if session.exists() else []
    answered = one.ask(version, *resume)
    resumes = getattr(one.module, "RESUMES", True) and not getattr(one.module, "LATE", False)
    assert answered.served and answered.reused == resumes, answered


@pytest.mark.parametrize("application", endpoints.parameters(applications.clients()))
def test_a_client_is_served_by_its_own_rules(application, open_folders, module):
    """It knows a CA where it can be given one, and refuses servers of another."""
    own, other = Authority("own.example", "Own Root"), Authority("own.example", "Other Root")
    with programs_in(open_folders(applications.short_name(application)), module) as programs:
        _, certificate, _, key, *_ = own.issue([], dns=["localhost", "127.0.0.1"]).files(programs.folder, "own")
        ordinary = application.SERVER.start(programs, None, Path(certificate), Path(key))

        def is_served(**options):
            result = application.fetch(programs, programs.config(NOWHERE), ordinary, **options)
            return bool(re.search(application.SERVED, result.stdout))

        assert is_served()
        if "ca" in inspect.signature(application.fetch).parameters:
            assert is_served(ca=programs.write("own-root.pem", own.pem))
            assert not is_served(ca=programs.write("other-root.pem", other.pem))
