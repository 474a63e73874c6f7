"""Keys and certificates for tests: an authority of their own, and servers that it vouches for."""

from __future__ import annotations

import ipaddress
from dataclasses import dataclass
from datetime import datetime, timedelta, timezone
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.x509.oid import NameOID

_KEY_USAGES = (
    "digital_signature",
    "content_commitment",
    "key_encipherment",
    "data_encipherment",
    "key_agreement",
    "key_cert_sign",
    "crl_sign",
    "encipher_only",
    "decipher_only",
)

PrivateKey = ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey


@dataclass(frozen=True)
class ServerCertificate:
    """PEM files of a server: its certificate and key, and the certificate of the authority to trust."""

    certificate: Path
    key: Path
    authority: Path


def make_server_certificate(directory: Path, names: tuple[str, ...], *, strict: bool = True) -> ServerCertificate:
    """Write a certificate for host names and addresses, and the authority that signed it, below `directory`.

    Without `strict` the certificates lack what RFC 5280 wants and few programs need.
    """
    authority_key = ec.generate_private_key(ec.SECP256R1())
    authority = self_signed(authority_key, "test authority", strict=strict)
    key = ec.generate_private_key(ec.SECP256R1())
    alternatives = x509.SubjectAlternativeName([_general_name(name) for name in names])
    builder = _builder("test server", "test authority", key).add_extension(alternatives, critical=False)
    if strict:
        issuer = x509.AuthorityKeyIdentifier.from_issuer_public_key(authority_key.public_key())
        builder = builder.add_extension(issuer, critical=False)
    certificate = builder.sign(authority_key, hashes.SHA256())
    files = ServerCertificate(directory / "server.pem", directory / "server.key", directory / "authority.pem")
    files.certificate.write_bytes(pem(certificate))
    files.key.write_bytes(
        key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    )
    files.authority.write_bytes(pem(authority))
    return files


def self_signed(key: PrivateKey, name: str, *, strict: bool = True) -> x509.Certificate:
    """Return the certificate of an authority."""
    constraints = x509.BasicConstraints(ca=True, path_length=None)
    builder = _builder(name, name, key).add_extension(constraints, critical=True)
    if strict:
        usage = {name: name in ("digital_signature", "key_cert_sign", "crl_sign") for name in _KEY_USAGES}
        builder = builder.add_extension(x509.KeyUsage(**usage), critical=True)
        subject = x509.SubjectKeyIdentifier.from_public_key(key.public_key())
        builder = builder.add_extension(subject, critical=False)
    return builder.sign(key, hashes.SHA256())


def pem(certificate: x509.Certificate) -> bytes:
    """Return a certificate as PEM."""
    return certificate.public_bytes(serialization.Encoding.PEM)


def _builder(subject: str, issuer: str, key: PrivateKey) -> x509.CertificateBuilder:
    now = datetime.now(timezone.utc)
    return (
        x509.CertificateBuilder()
        .subject_name(_name(subject))
        .issuer_name(_name(issuer))
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=1))
    )


def _name(common_name: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, common_name)])


def _general_name(name: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ipaddress.ip_address(name))
    except ValueError:
        return x509.DNSName(name)
