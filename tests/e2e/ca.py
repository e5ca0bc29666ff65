# SPDX-License-Identifier: Apache-2.0
"""Certificate authorities of a test, and the certificates that they issue."""

import datetime
import functools
import ipaddress
from dataclasses import dataclass
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

DAY = datetime.timedelta(days=1)
CLIENT_AND_SERVER = (ExtendedKeyUsageOID.CLIENT_AUTH, ExtendedKeyUsageOID.SERVER_AUTH)
SERVER_ONLY = (ExtendedKeyUsageOID.SERVER_AUTH,)

PKCS8 = serialization.PrivateFormat.PKCS8
TRADITIONAL = serialization.PrivateFormat.TraditionalOpenSSL  # SEC1 or PKCS#1


def service_uri(trust_domain, service, datacenter="dc1"):
    return f"spiffe://{trust_domain}/ns/default/dc/{datacenter}/svc/{service}"


def ec_key():
    return ec.generate_private_key(ec.SECP256R1())


@functools.lru_cache(maxsize=None)
def rsa_key():
    """Return the same key for all, as making one takes long."""
    return rsa.generate_private_key(public_exponent=65537, key_size=2048)


def pem(certificate):
    return certificate.public_bytes(serialization.Encoding.PEM).decode()


def key_pem(key, form=PKCS8):
    return key.private_bytes(
        serialization.Encoding.PEM, form, serialization.NoEncryption()
    ).decode()


@dataclass
class Identity:
    """A certificate, its key, and the certificates between it and a root, as PEM."""

    certificate: str
    key: str
    intermediates: str = ""

    @property
    def x509(self):
        return x509.load_pem_x509_certificate(self.certificate.encode())

    def files(self, folder, name):
        """Write the identity, and return the s_client and s_server arguments that use it."""
        certificate, key = folder / f"{name}.pem", folder / f"{name}.key"
        chain = folder / f"{name}.chain.pem"
        certificate.write_text(self.certificate)
        key.write_text(self.key)
        key.chmod(0o600)
        chain.write_text(self.intermediates)
        arguments = ["-cert", str(certificate), "-key", str(key)]
        return arguments + (["-cert_chain", str(chain)] if self.intermediates else [])


def build(subject, issuer, key, signer, *, begins=-1, ends=10, ca=False, uris=(), dns=(), usage=(),
          serial=None):
    """Build a certificate; its validity is in days from now, and the issuer signs with `signer`."""
    now = datetime.datetime.utcnow()
    names = [x509.UniformResourceIdentifier(uri) for uri in uris]
    for name in dns:
        try:
            names.append(x509.IPAddress(ipaddress.ip_address(name)))
        except ValueError:
            names.append(x509.DNSName(name))
    builder = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key.public_key())
        .serial_number(serial or x509.random_serial_number())
        .not_valid_before(now + begins * DAY)
        .not_valid_after(now + ends * DAY)
        .add_extension(x509.BasicConstraints(ca, None), True)
        .add_extension(key_usage(ca), True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), False)
        .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(signer.public_key()), False)
    )
    if names:
        builder = builder.add_extension(x509.SubjectAlternativeName(names), not list(subject))
    if usage:
        builder = builder.add_extension(x509.ExtendedKeyUsage(usage), False)
    return builder.sign(signer, hashes.SHA256())


def key_usage(ca):
    return x509.KeyUsage(not ca, False, False, False, not ca, ca, ca, False, False)


def common_name(text):
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, text)] if text else [])


class Authority:
    """A root, or an intermediate made by `intermediate()`, that issues Connect-looking leaves."""

    def __init__(self, trust_domain, name="Test Root", parent=None, key=None, ends=30, begins=-1):
        self.trust_domain = trust_domain
        self.name = common_name(name)
        self.parent = parent
        self.key = key or ec_key()
        signer = parent or self
        self.certificate: Any = build(
            self.name, signer.name, self.key, signer.key,
            begins=begins, ends=ends, ca=True, uris=[f"spiffe://{trust_domain}"],
        )
        self.chain = pem(self.certificate) + parent.chain if parent else ""

    @property
    def pem(self):
        return pem(self.certificate)

    @property
    def key_pem(self):
        return key_pem(self.key, TRADITIONAL)

    def intermediate(self, name="Test Intermediate", **validity):
        return Authority(self.trust_domain, name, parent=self, **validity)

    def renewed(self):
        """Return this intermediate with another certificate of the same key."""
        assert self.parent
        return self.parent.intermediate(key=self.key)

    def service(self, name, **options):
        """Issue a leaf for a service, like Consul's own."""
        return self.issue([service_uri(self.trust_domain, name)], **options)

    def issue(self, uris, *, subject="", key=None, form=PKCS8, usage=CLIENT_AND_SERVER, **options):
        key = key or ec_key()
        certificate = build(
            common_name(subject), self.name, key, self.key, uris=uris, usage=usage, **options
        )
        return Identity(pem(certificate), key_pem(key, form), self.chain)


def self_signed(uris=(), subject="self-signed", key=None, **options):
    key = key or ec_key()
    name = common_name(subject)
    certificate = build(name, name, key, key, uris=uris, usage=CLIENT_AND_SERVER, **options)
    return Identity(pem(certificate), key_pem(key))
