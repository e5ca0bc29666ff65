#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Writes the corpus of agent answers beside this file: valid/<name>/ and invalid/<name>/.

Run once and committed; run again after adding a case: the keys and signatures of all change then.
The private keys are made here for these tests and are of no use elsewhere.
"""

import datetime
import json
import shutil
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

HERE = Path(__file__).resolve().parent
START = datetime.datetime(2020, 1, 1)
END = datetime.datetime(9999, 12, 31, 23, 59, 59)
CLUSTER = "11111111-2222-3333-4444-555555555555"
TRUST_DOMAIN = CLUSTER + ".consul"
WEB = f"spiffe://{TRUST_DOMAIN}/ns/default/dc/dc1/svc/web"


def name(common_name):
    if common_name is None:
        return x509.Name([])
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, common_name)])


def key_usage(ca):
    return x509.KeyUsage(
        digital_signature=True, content_commitment=False, key_encipherment=not ca,
        data_encipherment=not ca, key_agreement=not ca, key_cert_sign=ca, crl_sign=ca,
        encipher_only=False, decipher_only=False)


class Party:
    """A certificate and its key, in the shape that Consul 1.8.7 gives them."""

    def __init__(self, subject, uris, issuer=None, ca=False, key=None, start=START, end=END,
                 critical_san=False, serial=7, sign_with=None):
        self.key = key or ec.generate_private_key(ec.SECP256R1())
        issuer = issuer or self
        builder = (
            x509.CertificateBuilder()
            .subject_name(name(subject))
            .issuer_name(name(subject) if issuer is self else issuer.cert.subject)
            .public_key(self.key.public_key())
            .serial_number(serial)
            .not_valid_before(start)
            .not_valid_after(end)
            .add_extension(key_usage(ca), critical=True))
        if not ca:
            builder = builder.add_extension(
                x509.ExtendedKeyUsage([ExtendedKeyUsageOID.CLIENT_AUTH, ExtendedKeyUsageOID.SERVER_AUTH]),
                critical=False)
        builder = (
            builder.add_extension(x509.BasicConstraints(ca=ca, path_length=None), critical=True)
            .add_extension(x509.SubjectKeyIdentifier.from_public_key(self.key.public_key()), critical=False)
            .add_extension(
                x509.AuthorityKeyIdentifier.from_issuer_public_key(issuer.key.public_key()), critical=False))
        if uris:
            builder = builder.add_extension(
                x509.SubjectAlternativeName([x509.UniformResourceIdentifier(uri) for uri in uris]),
                critical=critical_san)
        self.cert = builder.sign(issuer.key, hashes.SHA256())

    @property
    def pem(self):
        return self.cert.public_bytes(serialization.Encoding.PEM).decode()

    def key_pem(self, form="sec1", password=None):
        formats = {
            "sec1": serialization.PrivateFormat.TraditionalOpenSSL,
            "pkcs1": serialization.PrivateFormat.TraditionalOpenSSL,
            "pkcs8": serialization.PrivateFormat.PKCS8,
        }
        encryption = (serialization.BestAvailableEncryption(password) if password
                      else serialization.NoEncryption())
        return self.key.private_bytes(serialization.Encoding.PEM, formats[form], encryption).decode()


def make_ca(subject="pri-12hixitz.consul.ca.11111111.consul", **more):
    return Party(subject, [f"spiffe://{TRUST_DOMAIN}"], ca=True, **more)


def make_leaf(issuer, uris=(WEB,), subject="web.svc.default.11111111.consul", serial=8, **more):
    return Party(subject, list(uris), issuer=issuer, serial=serial, **more)


CA = make_ca()
OTHER_CA = make_ca("pri-other.consul.ca.11111111.consul")
LEAF = make_leaf(CA)


def root_entry(pem, **more):
    return {
        "ID": "18:cf:65:18:00:ab:cf:5e:fd:6d:5d:d8:be:0f:80:ad:4e:ab:ea:74",
        "Name": "Consul CA Root Cert",
        "SerialNumber": 7,
        "SigningKeyID": "0e:bc:07:2c:09:55:67:9d:bf:e1:60:2b:51:29:09:a1",
        "ExternalTrustDomain": CLUSTER,
        "NotBefore": "2020-01-01T00:00:00Z",
        "NotAfter": "9999-12-31T23:59:59Z",
        "RootCert": pem,
        "IntermediateCerts": None,
        "Active": True,
        "PrivateKeyType": "ec",
        "PrivateKeyBits": 256,
        "CreateIndex": 9,
        "ModifyIndex": 9,
        **more,
    }


def roots(*entries, **more):
    return {
        "ActiveRootID": "18:cf:65:18:00:ab:cf:5e:fd:6d:5d:d8:be:0f:80:ad:4e:ab:ea:74",
        "TrustDomain": TRUST_DOMAIN,
        "Roots": list(entries) or [root_entry(CA.pem)],
        **more,
    }


def leaf(party=LEAF, **more):
    return {
        "SerialNumber": "08",
        "CertPEM": party.pem,
        "PrivateKeyPEM": party.key_pem(),
        "Service": "web",
        "ServiceURI": WEB,
        "ValidAfter": "2020-01-01T00:00:00Z",
        "ValidBefore": "9999-12-31T23:59:59Z",
        "CreateIndex": 12,
        "ModifyIndex": 12,
        **more,
    }


def without(answer, field):
    return {key: value for key, value in answer.items() if key != field}


def write(folder, case, kind, answer, third, text):
    """Write one case; `answer` is the bytes of a body, or a value for JSON in the agent's layout."""
    if not isinstance(answer, bytes):
        answer = (json.dumps(answer, indent=4) + "\n").encode()
    place = HERE / folder / f"{kind}-{case}"
    place.mkdir(parents=True)
    (place / "kind").write_text(kind + "\n")
    (place / "input.json").write_bytes(answer)
    (place / third).write_text(text + "\n")


def valid(case, kind, answer, **expect):
    write("valid", case, kind, answer, "expect", "\n".join(f"{key} {value}" for key, value in expect.items()))


def invalid(case, kind, answer, error):
    write("invalid", case, kind, answer, "error", error)


def valid_roots():
    def good(case, answer, certs, trust_domain=TRUST_DOMAIN):
        valid(case, "roots", answer, trust_domain=trust_domain, certs=certs)

    good("1.8.7", roots(), 1)
    good("no-final-newline", roots(root_entry(CA.pem.rstrip("\n"))), 1)
    good("several", roots(root_entry(CA.pem.rstrip("\n")), root_entry(OTHER_CA.pem, Active=False)), 2)
    good("several-in-one-text", roots(root_entry(CA.pem + OTHER_CA.pem)), 2)
    good("same-twice", roots(root_entry(CA.pem), root_entry(CA.pem)), 1)
    good("largest-serial", json.dumps(roots(root_entry(CA.pem, SerialNumber=18446744073709551615))).encode(), 1)
    good("real-serial", json.dumps(roots(root_entry(CA.pem, SerialNumber=1.8446744073709552e19))).encode(), 1)
    good("text-before-pem", roots(root_entry("Consul CA\nsubject=x\n" + CA.pem)), 1)
    good("crlf", roots(root_entry(CA.pem.replace("\n", "\r\n"))), 1)
    good("intermediates-are-no-roots", roots(root_entry(CA.pem, IntermediateCerts=[OTHER_CA.pem])), 1)
    good("trust-domain-in-capitals", roots(TrustDomain=TRUST_DOMAIN.upper()), 1)
    good("unknown-fields", roots(Peer={"Name": [1, None, True]}), 1)
    rsa_ca = make_ca(key=rsa.generate_private_key(65537, 2048))
    good("rsa", roots(root_entry(rsa_ca.pem, PrivateKeyType="rsa", PrivateKeyBits=2048)), 1)
    good("not-self-signed", roots(root_entry(Party("inner", [f"spiffe://{TRUST_DOMAIN}"], CA, ca=True).pem)), 1)


def valid_leaves():
    def good(case, answer, key="EC", chain=0, uri=WEB, service="web"):
        valid(case, "leaf", answer, uri=uri, service=service, key=key, chain=chain)

    good("1.8.7", leaf())
    newer = make_leaf(CA, subject=None, critical_san=True, serial=0x1234567890ABCDEF)
    good("empty-subject", leaf(newer, SerialNumber="12:34:56:78:90:ab:cd:ef"))
    partition = f"spiffe://{TRUST_DOMAIN}/ap/part/ns/team/dc/dc2/svc/web"
    good("partition", leaf(make_leaf(CA, [partition]), ServiceURI=partition), uri=partition)
    good("pkcs8", leaf(PrivateKeyPEM=LEAF.key_pem("pkcs8")))
    rsa_leaf = make_leaf(CA, key=rsa.generate_private_key(65537, 2048))
    good("pkcs1", leaf(rsa_leaf, PrivateKeyPEM=rsa_leaf.key_pem("pkcs1")), key="RSA")
    good("rsa-pkcs8", leaf(rsa_leaf, PrivateKeyPEM=rsa_leaf.key_pem("pkcs8")), key="RSA")
    p384 = make_leaf(CA, key=ec.generate_private_key(ec.SECP384R1()))
    good("p384", leaf(p384))
    inner = Party("inner", [f"spiffe://{TRUST_DOMAIN}"], CA, ca=True)
    cross = Party("pri-other.consul.ca.11111111.consul", [f"spiffe://{TRUST_DOMAIN}"], CA, ca=True,
                  key=OTHER_CA.key, serial=9)
    under = make_leaf(inner)
    good("intermediate", leaf(under, CertPEM=under.pem + inner.pem), chain=1)
    good("intermediates-twice", leaf(under, CertPEM=under.pem + inner.pem + inner.pem + inner.pem), chain=1)
    good("cross-signed", leaf(under, CertPEM=under.pem + inner.pem + cross.pem), chain=2)
    good("leaf-twice", leaf(CertPEM=LEAF.pem + LEAF.pem))
    good("no-final-newlines", leaf(CertPEM=LEAF.pem.rstrip("\n"), PrivateKeyPEM=LEAF.key_pem().rstrip("\n")))
    # Whether it is valid now is no matter of decoding.
    good("expired", leaf(make_leaf(CA, end=datetime.datetime(2020, 1, 4))))
    good("not-yet", leaf(make_leaf(CA, start=datetime.datetime(9999, 1, 1))))


def valid_decisions():
    def good(case, answer, authorized, reason):
        valid(case, "authorize", answer, authorized=authorized, reason=reason)

    good("1.8.7", {"Authorized": True, "Reason": "ACLs disabled, access is allowed by default"}, "true",
         "ACLs disabled, access is allowed by default")
    good("deny", {"Authorized": False, "Reason": "Matched intention: DENY default/db => default/web (ID: 5c, Precedence: 9)"},
         "false", "Matched intention: DENY default/db => default/web (ID: 5c, Precedence: 9)")
    good("no-reason", {"Authorized": True}, "true", "no reason given")
    good("deny-no-reason", {"Authorized": False, "Reason": None}, "false", "no reason given")
    good("reason-is-a-number", {"Authorized": False, "Reason": 1}, "false", "no reason given")
    good("a-denying-reason-decides-nothing", {"Authorized": True, "Reason": "DENY"}, "true", "DENY")
    good("unknown-fields", {"X": [1.5, 2e300, -1], "Authorized": False, "Reason": "no"}, "false", "no")


def invalid_json():
    """Write the texts that no kind of answer may be."""
    samples = {"roots": roots(), "leaf": leaf(), "authorize": {"Authorized": True, "Reason": "yes"}}
    for kind, sample in samples.items():
        text = json.dumps(sample)
        invalid("empty", kind, b"", "not JSON")
        invalid("html", kind, b"<html>Permission denied</html>\n", "not JSON")
        invalid("plain-text", kind, b"Permission denied\n", "not JSON")
        invalid("truncated", kind, text[:-1].encode(), "not JSON")
        invalid("trailing-text", kind, (text + "x").encode(), "not JSON")
        invalid("two-objects", kind, (text + text).encode(), "not JSON")
        invalid("array", kind, f"[{text}]".encode(), "not a JSON object")
        invalid("null", kind, b"null\n", "not JSON")
        invalid("string", kind, b'"x"\n', "not JSON")
        invalid("true", kind, b"true\n", "not JSON")
        invalid("byte-order-mark", kind, b"\xef\xbb\xbf" + text.encode(), "not JSON")
        invalid("bad-utf-8", kind, text.replace("}", ', "X": "\udcff"}').encode(errors="surrogateescape"), "not JSON")
        invalid("nul-escape", kind, (text[:-1] + ', "X": "\\u0000"}').encode(), "not JSON")
        invalid("nul-byte", kind, text.encode() + b"\0", "not JSON")
        invalid("deep", kind, b'{"X": ' + b"[" * 4000 + b"]" * 4000 + b"," + text[1:].encode(), "nested deeper than")
        invalid("huge-number", kind, (text[:-1] + ', "X": 1e999}').encode(), "not JSON")
    invalid("empty-object", "roots", {}, "TrustDomain is missing")
    invalid("empty-object", "leaf", {}, "CertPEM is missing")
    invalid("empty-object", "authorize", {}, "Authorized is missing")


WRONG_TEXTS = {"number": 1, "array": [], "object": {}, "null": None, "bool": True, "empty": ""}


def invalid_roots():
    def bad(case, answer, error):
        invalid(case, "roots", answer, error)

    for case, value in WRONG_TEXTS.items():
        bad(f"trust-domain-{case}", roots(TrustDomain=value), "TrustDomain is missing, empty or not a string")
        bad(f"root-cert-{case}", roots(root_entry(value)), "root 0: RootCert is missing, empty or not a string")
    for case, value in {"null": None, "empty": [], "object": {"0": root_entry(CA.pem)}, "text": "x", "number": 1}.items():
        bad(f"roots-{case}", {**roots(), "Roots": value}, "Roots is missing, empty or not an array")
    for case, value in {"null": None, "text": CA.pem, "number": 1, "array": [CA.pem]}.items():
        bad(f"root-{case}", roots(root_entry(CA.pem), value), "root 1: RootCert is missing")
    bad("no-trust-domain", without(roots(), "TrustDomain"), "TrustDomain is missing")
    bad("no-roots", without(roots(), "Roots"), "Roots is missing")
    bad("no-root-cert", roots(without(root_entry(CA.pem), "RootCert")), "root 0: RootCert is missing")
    for case, value in {"slash": "a/b", "space": "a b", "port": "a:1", "percent": "a%2eb", "newline": "a\n",
                        "user": "u@a", "long": "a" * 256, "unicode": "caf\u00e9"}.items():
        bad(f"trust-domain-with-{case}", roots(TrustDomain=value), "is not a trust domain")
    bad("garbage", roots(root_entry("garbage")), "root 0: no certificate in its PEM text")
    bad("key-as-root", roots(root_entry(CA.key_pem())), "root 0: no certificate in its PEM text")
    lines = CA.pem.splitlines(keepends=True)
    bad("bad-base64", roots(root_entry(lines[0] + "!!!!\n" + "".join(lines[2:]))), "cannot be read")
    bad("bad-der", roots(root_entry(lines[0] + "AAAA\n" + lines[-1])), "cannot be read")
    bad("no-end-line", roots(root_entry("".join(lines[:-1]))), "cannot be read")
    bad("second-certificate-cut", roots(root_entry(CA.pem + "".join(lines[:3]))), "cannot be read")
    bad("second-root-bad", roots(root_entry(CA.pem), root_entry(lines[0] + "AAAA\n" + lines[-1])), "root 1: ")
    encrypted = lines[0] + "Proc-Type: 4,ENCRYPTED\nDEK-Info: AES-128-CBC," + "0" * 32 + "\n\n" + "".join(lines[1:])
    bad("encrypted", roots(root_entry(encrypted)), "cannot be read")
    bad("too-many", roots(*[root_entry(small_cert(i)) for i in range(65)]), "more than 64 certificates")
    bad("too-many-in-one", roots(root_entry("".join(small_cert(i) for i in range(65)))), "more than 64 certificates")
    bad("same-root-key-twice", json.dumps(roots()).replace('"Roots"', '"Roots": [], "Roots"').encode(), "not JSON")
    bad("same-key-twice-inside", json.dumps(roots()).replace('"Active":', '"RootCert": "", "Active":').encode(), "not JSON")
    bad("nul-in-trust-domain", json.dumps(roots()).replace('.consul"', '.consul\\u0000"').encode(), "not JSON")


def small_cert(serial):
    key = ed25519.Ed25519PrivateKey.from_private_bytes(bytes(31) + bytes([serial + 1]))
    builder = (x509.CertificateBuilder().subject_name(name(None)).issuer_name(name(None))
               .public_key(key.public_key()).serial_number(serial + 1)
               .not_valid_before(START).not_valid_after(END))
    return builder.sign(key, None).public_bytes(serialization.Encoding.PEM).decode()


def invalid_leaves():
    def bad(case, answer, error):
        invalid(case, "leaf", answer, error)

    for case, value in WRONG_TEXTS.items():
        bad(f"cert-{case}", leaf(CertPEM=value), "CertPEM is missing, empty or not a string")
        bad(f"key-{case}", leaf(PrivateKeyPEM=value), "PrivateKeyPEM is missing, empty or not a string")
    bad("no-cert", without(leaf(), "CertPEM"), "CertPEM is missing")
    bad("no-key", without(leaf(), "PrivateKeyPEM"), "PrivateKeyPEM is missing")
    bad("cert-garbage", leaf(CertPEM="garbage"), "no certificate in its PEM text")
    bad("key-garbage", leaf(PrivateKeyPEM="garbage"), "the private key cannot be read")
    bad("public-key", leaf(PrivateKeyPEM=LEAF.key.public_key().public_bytes(
        serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo).decode()),
        "the private key cannot be read")
    bad("cert-as-key", leaf(PrivateKeyPEM=LEAF.pem), "the private key cannot be read")
    bad("key-cut", leaf(PrivateKeyPEM=LEAF.key_pem()[:80]), "the private key cannot be read")
    bad("key-bad-der", leaf(PrivateKeyPEM="-----BEGIN EC PRIVATE KEY-----\nAAAA\n-----END EC PRIVATE KEY-----\n"),
        "the private key cannot be read")
    bad("key-encrypted-pkcs8", leaf(PrivateKeyPEM=LEAF.key_pem("pkcs8", b"secret")), "the private key cannot be read")
    bad("key-encrypted-sec1", leaf(PrivateKeyPEM=LEAF.key_pem("sec1", b"secret")), "the private key cannot be read")
    bad("key-mismatch", leaf(PrivateKeyPEM=OTHER_CA.key_pem()), "the private key does not belong to the leaf")
    rsa_key = rsa.generate_private_key(65537, 2048).private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()).decode()
    bad("key-of-another-type", leaf(PrivateKeyPEM=rsa_key), "the private key does not belong to the leaf")
    bad("intermediate-first", leaf(CertPEM=CA.pem + LEAF.pem), "the private key does not belong to the leaf")
    bad("chain-cut", leaf(CertPEM=LEAF.pem + CA.pem[:200]), "cannot be read")
    bad("chain-too-long", leaf(CertPEM=LEAF.pem + "".join(small_cert(i) for i in range(64))), "more than 64 certificates")

    def named(case, error, *uris, **more):
        bad(case, leaf(make_leaf(CA, uris, **more)), error)

    base = f"spiffe://{TRUST_DOMAIN}"
    named("gateway", "is not the SPIFFE ID of a service", f"{base}/gateway/mesh/dc/dc1")
    named("agent", "is not the SPIFFE ID of a service", f"{base}/agent/client/dc/dc1/id/1")
    named("trust-domain-alone", "is not the SPIFFE ID of a service", base)
    named("https", "is not a SPIFFE ID", "https://web.example/svc/web")
    named("two-uris", "2 URIs", WEB, WEB.replace("/web", "/db"))
    named("no-uri", "0 URIs")
    named("bad-trust-domain", "trust domain has a character", "spiffe://td:8500/ns/default/dc/dc1/svc/web")
    named("percent-encoded", "is not the SPIFFE ID of a service", f"{base}/ns/default/dc/dc1/svc/w%65b")
    bad("ca", leaf(make_ca_leaf()), "the leaf: it is a CA certificate")
    bad("cert-twice-in-json", json.dumps(leaf()).replace('"Service":', '"CertPEM": "x", "Service":').encode(), "not JSON")
    bad("nul-in-key", json.dumps(leaf()).replace("-----END EC", "\\u0000-----END EC").encode(), "not JSON")


def make_ca_leaf():
    return Party("web", [WEB], CA, ca=True)


def invalid_decisions():
    def bad(case, answer, error="Authorized is missing or not a boolean"):
        invalid(case, "authorize", answer, error)

    for case, value in {"text": "true", "yes": "yes", "one": 1, "real": 1.0, "null": None, "array": [True],
                        "object": {"Authorized": True}, "empty-text": ""}.items():
        bad(f"authorized-{case}", {"Authorized": value, "Reason": "allowed"})
    bad("authorized-missing", {"Reason": "allowed"})
    bad("authorized-in-lower-case", {"authorized": True})
    bad("authorized-within", {"Result": {"Authorized": True}})
    bad("authorized-twice", b'{"Authorized": false, "Authorized": true}', "not JSON")
    bad("authorized-in-capitals", b'{"Authorized": TRUE}', "not JSON")


def main():
    for folder in ("valid", "invalid"):
        shutil.rmtree(HERE / folder, ignore_errors=True)
    for make in (valid_roots, valid_leaves, valid_decisions, invalid_json, invalid_roots, invalid_leaves,
                 invalid_decisions):
        make()


if __name__ == "__main__":
    main()
