# SPDX-License-Identifier: Apache-2.0
"""Store URIs that name nothing are refused. The error has the fault and the allowed forms."""

import pytest

pytestmark = pytest.mark.faults

LONG = "a" * 5000


@pytest.mark.parametrize("uri", [
    "consul:", "consul://", "consul:leaf/", "consul://leaf/", "consul:leaves/web",
    "consul:root", "consul:roots/", "consul:roots/x", "consul:ROOTS", "consul:leaf/web/key",
    "consul:leaf//web", "consul:/leaf/web", "consul:///leaf/web", "consul://host/leaf/web",
    "consul:leaf/web#key", "consul:roots#active",
    "consul:leaf/web?color=red", "consul:roots?service=web", "consul:leaf/web?dc", "consul:leaf/web?=dc1",
    "consul:leaf/web?dc=dc1&dc=dc2", "consul:leaf/web?dc=", "consul:roots?ns=",
    "consul:leaf/we%6", "consul:leaf/we%zz", "consul:leaf/web%", "consul:leaf/web?dc=%g1",
    "consul:leaf/we%00b", "consul:leaf/web?dc=dc%001",
    f"consul:leaf/{LONG}", f"consul:roots?dc={LONG}", f"consul:leaf/web?ns={LONG}",
], ids=lambda uri: uri[:32])
def test_a_wrong_uri_is_refused(programs, fake, uri):
    """No request is made for it, and one error has the allowed forms."""
    result = programs.storeutl(uri, "-noout", config=programs.config(fake))
    assert result.code != 0
    assert len(result.reasons) == 1, result.stderr
    assert "consul:leaf/<service>" in result.reasons[0]
    assert "consul:roots" in result.reasons[0]
    assert fake.requests == []


@pytest.mark.parametrize("uri", ["consul:leaf", "consul://leaf"])
def test_without_a_name_there_must_be_a_configured_one(programs, fake, uri):
    result = programs.storeutl(uri, "-noout", config=programs.config(fake))
    assert result.code != 0
    assert len(result.reasons) == 1, result.stderr
    assert uri in result.reasons[0] and "service is not set" in result.reasons[0]
    assert fake.requests == []


@pytest.mark.parametrize("uri, culprit", [
    ("consul:leaf/web?color=red", "color"),
    ("consul:leaf/web/key", "leaf/web/key"),
    ("consul:leaf/we%zz", "%zz"),
])
def test_the_culprit_is_named(programs, fake, uri, culprit):
    result = programs.storeutl(uri, "-noout", config=programs.config(fake))
    assert culprit in result.reasons[0]


@pytest.mark.parametrize("uri", ["consult:roots", "consul-x://roots"])
def test_other_schemes_are_not_ours(programs, fake, uri):
    result = programs.storeutl(uri, "-noout", config=programs.config(fake))
    assert result.code != 0
    assert result.reasons == []


def test_without_the_provider_there_is_no_such_uri(programs):
    """The control: OpenSSL itself knows no consul URI."""
    result = programs.storeutl("consul:roots", "-noout", config=None)
    assert result.code != 0
    assert not result.reasons, result.stderr
