# SPDX-License-Identifier: Apache-2.0
"""The store URIs, through OpenSSL's own programs, from a real agent."""

import re

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.serialization import load_pem_private_key

pytestmark = pytest.mark.core

CERTIFICATE = re.compile("-----BEGIN CERTIFICATE-----.*?-----END CERTIFICATE-----\n", re.S)
KEY = re.compile("-----BEGIN PRIVATE KEY-----.*?-----END PRIVATE KEY-----\n", re.S)


@pytest.fixture
def config(programs, agent):
    return programs.config(agent)


def succeeds(result):
    assert result.code == 0, result
    assert result.stderr == ""
    return result.stdout


@pytest.mark.parametrize("scheme", ["consul:", "consul://"])
def test_a_leaf_is_key_leaf_and_intermediates(programs, agent, config, service, scheme):
    """In this order, as PKCS#8 and certificates, and the key is the leaf's."""
    output = succeeds(programs.storeutl(f"{scheme}leaf/{service}", config=config))
    assert re.findall(r"^\d+: (.*)", output, re.M) == ["Pkey", "Certificate", "Certificate"]
    key = load_pem_private_key(KEY.search(output).group().encode(), None)
    leaf, intermediate = [
        x509.load_pem_x509_certificate(text.encode()) for text in CERTIFICATE.findall(output)
    ]
    assert leaf.public_key().public_numbers() == key.public_key().public_numbers()
    assert leaf.issuer == intermediate.subject == agent.authority.certificate.subject
    names = leaf.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    assert names.get_values_for_type(x509.UniformResourceIdentifier) == [
        f"spiffe://{agent.trust_domain}/ns/default/dc/dc1/svc/{service}"
    ]


@pytest.mark.parametrize("scheme", ["consul:", "consul://"])
def test_roots_are_all_listed_roots(programs, agent, config, scheme):
    output = succeeds(programs.storeutl(f"{scheme}roots", config=config))
    assert CERTIFICATE.findall(output) == agent.root_pems
    assert "Total found: 2" in output


@pytest.mark.parametrize("what", ["leaf/web", "roots"])
def test_text_shows_what_it_is(programs, agent, config, what):
    output = succeeds(programs.storeutl(f"consul:{what}", "-noout", "-text", config=config))
    assert f"URI:spiffe://{agent.trust_domain}" in output
    assert "BEGIN" not in output


@pytest.mark.parametrize("uri", [
    "consul:leaf/web?dc=dc1", "consul:roots?dc=dc1", "consul://leaf/web?dc=dc1",
    "consul:leaf/we%62", "consul:leaf/we%62?dc=d%631",
])
def test_parameters_are_taken(programs, config, uri):
    succeeds(programs.storeutl(uri, "-noout", config=config))


@pytest.mark.parametrize("uri, option, kinds", [
    ("consul:leaf/web", "-certs", ["Certificate", "Certificate"]),
    ("consul:leaf/web", "-keys", ["Pkey"]),
    ("consul:leaf/web", "-crls", []),
    ("consul:roots", "-certs", ["Certificate", "Certificate"]),
    ("consul:roots", "-keys", []),
])
def test_only_what_is_expected_is_given(programs, config, uri, option, kinds):
    """EXPECT: a kind that the URI does not have is an empty answer."""
    output = programs.storeutl(uri, option, "-noout", config=config).stdout
    assert re.findall(r"^\d+: (.*)", output, re.M) == kinds


def test_a_root_is_found_by_its_subject(programs, agent, config):
    """SUBJECT gives the one root of this name, as a chain builder asks for it."""
    output = succeeds(
        programs.storeutl("consul:roots", "-certs", "-subject", "/CN=Adopted Root", config=config))
    assert CERTIFICATE.findall(output) == [agent.authority.pem]


def test_the_elder_root_is_found_by_its_subject(programs, agent, config):
    issuer = "/" + agent.elder.x509.issuer.rfc4514_string()
    output = succeeds(programs.storeutl("consul:roots", "-certs", "-subject", issuer, config=config))
    (found,) = CERTIFICATE.findall(output)
    assert x509.load_pem_x509_certificate(found.encode()).subject == agent.elder.x509.issuer


def test_an_unknown_subject_finds_nothing(programs, config):
    result = programs.storeutl("consul:roots", "-certs", "-subject", "/CN=Adopted Roof", config=config)
    assert CERTIFICATE.findall(result.output) == []


@pytest.mark.parametrize("uri", ["consul:roots", "consul://roots"])
def test_verify_takes_the_roots(programs, agent, config, service, uri):
    leaf = programs.write("leaf.pem", agent.leaf(service).certificate)
    output = succeeds(programs.openssl("verify", "-CAstore", uri, leaf, config=config))
    assert output == f"{leaf}: OK\n"


def test_verify_takes_a_leaf_of_the_elder_root(programs, agent, config):
    elder = programs.write("elder.pem", agent.elder.certificate)
    succeeds(programs.openssl("verify", "-CAstore", "consul:roots", elder, config=config))


def test_verify_refuses_other_peoples_leaves(programs, agent, config, fake):
    """The control for the two above."""
    foreign = programs.write("foreign.pem", fake.authority.service("web").certificate)
    result = programs.openssl("verify", "-CAstore", "consul:roots", foreign, config=config)
    assert result.code != 0
    assert "unable to get local issuer certificate" in result.stderr


def test_x509_reads_the_leaf(programs, agent, config, service):
    output = succeeds(programs.openssl(
        "x509", "-in", f"consul:leaf/{service}", "-noout", "-ext", "subjectAltName", config=config,
    ))
    assert f"URI:spiffe://{agent.trust_domain}/ns/default/dc/dc1/svc/{service}\n" in output


def test_x509_reads_the_first_root(programs, agent, config):
    output = succeeds(programs.openssl("x509", "-in", "consul:roots", config=config))
    assert output == agent.root_pems[0]


def test_without_a_name_the_leaf_is_of_the_configured_service(programs, agent, service):
    config = programs.config(agent, service=service)
    for uri in ("consul:leaf", "consul://leaf"):
        output = succeeds(programs.storeutl(uri, "-noout", "-text", config=config))
        assert f"/svc/{service}\n" in output


def test_pkey_reads_the_key(programs, agent, config, service):
    public = programs.openssl("x509", "-in", f"consul:leaf/{service}", "-noout", "-pubkey", config=config)
    output = succeeds(programs.openssl("pkey", "-in", f"consul:leaf/{service}", "-pubout", config=config))
    assert output == public.stdout


def test_pkey_makes_signatures_with_the_key(programs, agent, config, service):
    """The key is usable, not only printable."""
    text, signature = programs.write("text", "words\n"), programs.path("signature")
    uri = f"consul:leaf/{service}"
    succeeds(programs.openssl("dgst", "-sha256", "-sign", uri, "-out", signature, text, config=config))
    public = programs.write("public.pem", agent_public(programs, config, uri))
    output = succeeds(programs.openssl("dgst", "-sha256", "-verify", public, "-signature", signature, text))
    assert output == "Verified OK\n"


def agent_public(programs, config, uri):
    return programs.openssl("x509", "-in", uri, "-noout", "-pubkey", config=config).stdout


def test_files_are_still_files(programs, agent, config, service):
    """The provider takes its own scheme only."""
    leaf = programs.write("leaf.pem", agent.leaf(service).certificate)
    output = succeeds(programs.storeutl(str(leaf), "-noout", config=config))
    assert "Total found: 1" in output
