# SPDX-License-Identifier: Apache-2.0
"""The content that a roots or leaf answer must have, and the forms that it may have."""

import pytest
from cryptography.hazmat.primitives import serialization

from ca import PKCS8, TRADITIONAL, Authority, Identity, ec_key, key_pem, rsa_key, service_uri
from fake_agent import LEAF, ROOTS, TRUST_DOMAIN, value
from test_faults_store import fails

pytestmark = pytest.mark.faults

GARBAGE = "-----BEGIN CERTIFICATE-----\nZ2FyYmFnZQ==\n-----END CERTIFICATE-----\n"
UNREADABLE = "-----BEGIN CERTIFICATE-----\n%%%%\n-----END CERTIFICATE-----\n"


def roots(**changes):
    return lambda fake: {**fake.roots(), **changes}


def root(**changes):
    return lambda fake: {**fake.roots(), "Roots": [fake.root(**changes)]}


def without(body, name):
    return {key: value for key, value in body.items() if key != name}


BAD_ROOTS = {
    "no Roots": lambda fake: without(fake.roots(), "Roots"),
    "Roots null": roots(Roots=None),
    "Roots empty": roots(Roots=[]),
    "Roots an object": roots(Roots={}),
    "Roots text": roots(Roots="roots"),
    "a root null": lambda fake: {**fake.roots(), "Roots": [fake.root(), None]},
    "a root text": lambda fake: {**fake.roots(), "Roots": [fake.authority.pem]},
    "no RootCert": lambda fake: {**fake.roots(), "Roots": [without(fake.root(), "RootCert")]},
    "RootCert number": root(RootCert=7),
    "RootCert null": root(RootCert=None),
    "RootCert empty": root(RootCert=""),
    "RootCert text": root(RootCert="root"),
    "RootCert garbage": root(RootCert=GARBAGE),
    "RootCert unreadable": root(RootCert=UNREADABLE),
    "RootCert cut": lambda fake: root(RootCert=fake.authority.pem[:200])(fake),
    "RootCert a key": lambda fake: root(RootCert=fake.authority.key_pem)(fake),
    "one good, one bad": lambda fake: {**fake.roots(), "Roots": [fake.root(), fake.root(RootCert=GARBAGE)]},
    "no TrustDomain": lambda fake: without(fake.roots(), "TrustDomain"),
    "TrustDomain number": roots(TrustDomain=7),
    "TrustDomain empty": roots(TrustDomain=""),
    "TrustDomain a path": roots(TrustDomain="x/y"),
    "TrustDomain with zero byte": roots(TrustDomain=TRUST_DOMAIN + "\0.example"),
    "TrustDomain long": roots(TrustDomain=5000 * "x"),
    "too many": lambda fake: {**fake.roots(), "Roots": 20000 * [{"RootCert": "x"}]},
}


@pytest.mark.parametrize("case", BAD_ROOTS)
def test_roots_of_wrong_content_are_refused(programs, fake, case):
    """All of them are refused: half a trust store is not the agent's answer."""
    fake.answer(ROOTS, value(BAD_ROOTS[case](fake)))
    result = fails(programs, fake, "consul:roots", "invalid answer")
    assert fake.address in result.reasons[0]


def as_listed(pem):
    return root(RootCert=pem)


GOOD_ROOTS = {
    "as usual": lambda pem: pem,
    "no newline": lambda pem: pem.rstrip("\n"),
    "CRLF": lambda pem: pem.replace("\n", "\r\n"),
    "a comment": lambda pem: "The root\n" + pem,
}


@pytest.mark.parametrize("case", GOOD_ROOTS)
def test_roots_come_in_several_shapes(programs, fake, case):
    fake.answer(ROOTS, value(root(RootCert=GOOD_ROOTS[case](fake.authority.pem))(fake)))
    result = programs.storeutl("consul:roots", config=programs.config(fake))
    assert result.code == 0, result
    assert fake.authority.pem in result.stdout


def test_two_roots_without_newlines_are_two(programs, fake):
    other = Authority(TRUST_DOMAIN, "Other Root")
    pems = [fake.authority.pem, other.pem]
    listed = [fake.root(RootCert=pem.rstrip("\n")) for pem in pems]
    fake.answer(ROOTS, value({**fake.roots(), "Roots": listed}))
    result = programs.storeutl("consul:roots", config=programs.config(fake))
    assert "Total found: 2" in result.stdout
    assert all(pem in result.stdout for pem in pems)


def leaf(**changes):
    return lambda fake: {**fake.leaf(), **changes}


def identity(make):
    return lambda fake: fake.leaf(identity=make(fake))


def encrypted_key(fake):
    return ec_key().private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8,
        serialization.BestAvailableEncryption(b"secret")).decode()


# name: (body, words of the error)
BAD_LEAVES = {
    "another service": (identity(lambda fake: fake.authority.service("api")), "svc/api"),
    "another case": (identity(lambda fake: fake.authority.service("Web")), "svc/Web"),
    "another trust domain": (
        identity(lambda fake: fake.authority.issue([service_uri("other.consul", "web")])), "trust domain"),
    "a foreign root": (identity(lambda fake: Authority(TRUST_DOMAIN).service("web")), "chain"),
    "a missing intermediate": (lambda fake: fake.leaf(
        identity=lonely(fake.authority.intermediate().service("web"))), "chain"),
    "an expired intermediate": (identity(
        lambda fake: fake.authority.intermediate(begins=-5, ends=-1).service("web")), "expired"),
    "another key": (lambda fake: leaf(PrivateKeyPEM=key_pem(ec_key()))(fake), "key"),
    "another kind of key": (lambda fake: leaf(PrivateKeyPEM=key_pem(rsa_key()))(fake), "key"),
    "expired": (identity(lambda fake: fake.authority.service("web", begins=-5, ends=-1)), "expired"),
    "not yet valid": (identity(lambda fake: fake.authority.service("web", begins=1, ends=5)), "not valid yet"),
    "a CA": (identity(lambda fake: fake.authority.service("web", ca=True)), "CA"),
    "two URIs": (identity(lambda fake: fake.authority.issue(
        [service_uri(TRUST_DOMAIN, name) for name in ("web", "api")])), "2 URIs"),
    "no URI": (identity(lambda fake: fake.authority.issue([], dns=["web"])), "0 URIs"),
    "an agent": (identity(lambda fake: fake.authority.issue(
        [f"spiffe://{TRUST_DOMAIN}/agent/client/dc/dc1/id/web"])), "not the SPIFFE ID of a service"),
    "CertPEM number": (leaf(CertPEM=7), "CertPEM"),
    "CertPEM null": (leaf(CertPEM=None), "CertPEM"),
    "CertPEM empty": (leaf(CertPEM=""), "CertPEM"),
    "CertPEM text": (leaf(CertPEM="leaf"), "certificate"),
    "CertPEM garbage": (leaf(CertPEM=GARBAGE), "certificate"),
    "CertPEM unreadable": (leaf(CertPEM=UNREADABLE), "certificate"),
    "a bad intermediate": (lambda fake: leaf(
        CertPEM=fake.leaf()["CertPEM"] + GARBAGE)(fake), "certificate"),
    "the root first": (lambda fake: leaf(
        CertPEM=fake.authority.pem + fake.leaf()["CertPEM"])(fake), "invalid answer"),
    "no CertPEM": (lambda fake: without(fake.leaf(), "CertPEM"), "CertPEM"),
    "no PrivateKeyPEM": (lambda fake: without(fake.leaf(), "PrivateKeyPEM"), "PrivateKeyPEM"),
    "PrivateKeyPEM number": (leaf(PrivateKeyPEM=7), "PrivateKeyPEM"),
    "PrivateKeyPEM text": (leaf(PrivateKeyPEM="key"), "key"),
    "PrivateKeyPEM a certificate": (leaf(PrivateKeyPEM=GARBAGE), "key"),
    "PrivateKeyPEM encrypted": (lambda fake: leaf(PrivateKeyPEM=encrypted_key(fake))(fake), "key"),
}


def lonely(one):
    return Identity(one.certificate, one.key)


@pytest.mark.parametrize("case", BAD_LEAVES)
def test_a_leaf_of_wrong_content_is_refused(programs, fake, case):
    body, cause = BAD_LEAVES[case]
    fake.answer(LEAF, value(body(fake)))
    result = fails(programs, fake, "consul:leaf/web", cause)
    assert "invalid answer" in result.reasons[0]
    assert fake.address in result.reasons[0]
    assert "PRIVATE KEY" not in result.output


def test_a_leaf_of_another_datacenter_is_refused(programs, fake):
    """The fake agent ignores the parameter, the check does not."""
    fails(programs, fake, "consul:leaf/web?dc=dc2", 'not for the datacenter "dc2".*1.16')


def twice(fake):
    intermediate = fake.authority.intermediate()
    one = intermediate.service("web")
    return fake.leaf(identity=Identity(one.certificate, one.key, 3 * one.intermediates))


GOOD_LEAVES = {
    "as usual": lambda fake: fake.leaf(),
    "PKCS#8": identity(lambda fake: fake.authority.service("web", form=PKCS8)),
    "SEC1": identity(lambda fake: fake.authority.service("web", form=TRADITIONAL)),
    "PKCS#1": identity(lambda fake: fake.authority.service("web", key=rsa_key(), form=TRADITIONAL)),
    "RSA PKCS#8": identity(lambda fake: fake.authority.service("web", key=rsa_key())),
    "no newline": lambda fake: {
        **fake.leaf(), **{name: fake.leaf()[name].rstrip("\n") for name in ("CertPEM", "PrivateKeyPEM")}},
    "an intermediate": identity(lambda fake: fake.authority.intermediate().service("web")),
    "the same intermediates again": twice,
    "the root as well": lambda fake: {**fake.leaf(), "CertPEM": fake.leaf()["CertPEM"] + fake.authority.pem},
    "no other fields": lambda fake: {name: fake.leaf()[name] for name in ("CertPEM", "PrivateKeyPEM")},
}


@pytest.mark.parametrize("case", GOOD_LEAVES)
def test_leaves_come_in_several_shapes(programs, fake, case):
    """Each gives its key and certificate, the key as PKCS#8."""
    fake.answer(LEAF, value(GOOD_LEAVES[case](fake)))
    result = programs.storeutl("consul:leaf/web", config=programs.config(fake))
    assert result.code == 0, result
    assert "-----BEGIN PRIVATE KEY-----" in result.stdout
    assert result.stdout.count("BEGIN CERTIFICATE") <= 2


def test_a_passphrase_is_never_asked_for(programs, fake):
    """An encrypted key in an answer is an error, not a prompt to the program's user."""
    fake.answer(LEAF, value(leaf(PrivateKeyPEM=encrypted_key(fake))(fake)))
    result = programs.openssl(
        "storeutl", "-passin", "pass:secret", "consul:leaf/web", config=programs.config(fake))
    assert result.code != 0
